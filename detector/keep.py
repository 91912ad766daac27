"""``Keep``: what is kept of a labelled page, named by people in options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.detector import Detector, Preset
from detector.labels import LABELS, Label
from detector.page import Page


@dataclass(frozen=True)
class Keep:
    """The paragraphs that bear one of ``labels`` or, with a preset or ``min_confidence`` (0 to 1), come above that
    threshold.
    """

    labels: tuple[Label, ...]
    preset: Preset | None = None
    min_confidence: float | None = None

    @classmethod
    def of(cls, keep: str | Sequence[str] | None, preset: str | None) -> Keep | None:
        """What the options ``keep`` (a label or several) and ``preset`` ask for; ``None`` where ``keep`` is none.

        Raises ``ValueError`` for names that are none, and for a preset with nothing to keep.
        """
        if preset is not None and preset not in set(Preset):
            raise ValueError(f"preset={preset!r}: name one of {', '.join(Preset)}")
        if keep is None:
            if preset is not None:
                raise ValueError("preset= says how to keep: name what to keep with keep=")
            return None
        names = (keep,) if isinstance(keep, str) else tuple(keep)
        if not names or not set(names) <= set(LABELS):
            raise ValueError(f"keep={keep!r}: name one or more of {', '.join(LABELS)}")
        return cls(tuple(Label(name) for name in names), None if preset is None else Preset(preset))

    def mask(self, detector: Detector, page: Page) -> NDArray[np.bool_]:
        """Which paragraphs are kept of a page that ``detector`` labelled."""
        return detector.keep_mask(page, self.labels, preset=self.preset, min_confidence=self.min_confidence)

    def text(self, detector: Detector, page: Page) -> str:
        """The text that is kept of a page that ``detector`` labelled."""
        return page.keep_where(self.mask(detector, page))
