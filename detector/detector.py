"""``Detector``: segment, read, decide; one page or any number of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.features import FAMILIES, SHAPE_OFFSETS, SHAPES, Features
from detector.labels import LABELS, Label
from detector.model import Model
from detector.network import Floats, softmax
from detector.page import Page
from detector.segment import segment

BUNDLED = Path(__file__).parent / "models" / "default"
BATCH_CHARS = 1 << 17
"""Characters labelled at once: enough to hide numpy's cost a call, few enough to stay in a core's cache."""
_BATCH_PAGES = 64


class Preset(StrEnum):
    """What ``clean`` favours when a paragraph may or may not be editorial.

    Thresholds on the probability of the labels kept, read off the model's card: ``RECALL`` is the highest that
    keeps 99.9 % of the editorial characters of held-out pages, ``PRECISION`` the lowest that leaves 0.5 % junk.
    """

    RECALL = "recall"
    PRECISION = "precision"


@dataclass(frozen=True, slots=True)
class Reason:
    """One piece of evidence. ``weight`` is in logits (natural log odds): above 0 it speaks for the label."""

    kind: str  # "words", "shape" or "neighbour"
    what: str
    weight: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a paragraph got its label.

    ``alone`` is the probability of the label from the paragraph's own words and shape; ``confidence`` the one
    after its neighbours, its group and its page were read. ``reasons`` are sorted, the strongest first.
    """

    label: Label
    confidence: float
    alone: float
    reasons: tuple[Reason, ...]

    def sentence(self, most: int = 4) -> str:
        """The explanation in one line, with the ``most`` strongest reasons that speak for the label."""
        named = [reason.what for reason in self.reasons if reason.weight > 0][:most]
        turned = "" if self.alone >= 0.5 else f"; by itself only {self.alone:.0%}, its surroundings decided"
        return ", ".join(named or ["no single feature stands out"]) + turned


class Detector:
    """Labels pages with a trained model. Holds no state between pages; safe to share between threads."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @classmethod
    def load(cls, folder: str | Path | None = None) -> Detector:
        """The bundled model, or the one in ``folder``; raises ``ModelError`` if that is not a whole, known one."""
        return _bundled() if folder is None else cls(Model.load(Path(folder)))

    def label(self, text: str) -> Page:
        """Label a page of plain text, as scraped."""
        return self.label_pages([segment(text)])[0]

    def label_many(self, texts: Iterable[str]) -> Iterator[Page]:
        """Label any number of plain texts, in order; memory holds one batch at a time."""
        return self.label_stream(map(segment, texts))

    def label_stream(self, pages: Iterable[Page]) -> Iterator[Page]:
        """Label any number of segmented pages, in order; memory holds one batch at a time."""
        batch: list[Page] = []
        chars = 0
        for page in pages:
            batch.append(page)
            chars += len(page.text)
            if chars >= BATCH_CHARS or len(batch) >= _BATCH_PAGES:
                yield from self.label_pages(batch)
                batch, chars = [], 0
        yield from self.label_pages(batch)

    def label_pages(self, pages: Sequence[Page]) -> list[Page]:
        """Label segmented pages at once. A page's labels do not depend on the others'."""
        if not pages:
            return []
        return [page.with_scores(rows) for page, rows in zip(pages, self.model.scores(pages), strict=True)]

    def keep_mask(
        self, page: Page, labels: Sequence[Label], *, preset: Preset | None = None, min_confidence: float | None = None
    ) -> NDArray[np.bool_]:
        """Which paragraphs of a labelled page ``clean`` keeps.

        Without a threshold those whose label is among ``labels``; with one (a preset's, or ``min_confidence``,
        0 to 1) those whose probabilities of ``labels`` add up to it.
        """
        if page.scores is None:
            raise ValueError("this page has no labels yet: pass its text to Detector.label()")
        columns = [LABELS.index(label) for label in labels]
        if preset is not None:
            min_confidence = float(self.model.card["presets"][preset.value])
        if min_confidence is None:
            return np.isin(page.scores.argmax(axis=1), columns)
        return np.asarray(page.scores[:, columns].sum(axis=1) >= min_confidence)

    def explain(self, page: Page, index: int, *, most: int = 12) -> Explanation:
        """The n-grams, the shape and the neighbours that decided paragraph ``index`` of a labelled page.

        N-grams and shape: what each adds to the logit of the label as its own words tell it. Neighbours: what the
        label's log odds lose when the neighbour is left out. Raises ``IndexError`` beyond the page's end.
        """
        if not 0 <= index < len(page):
            raise IndexError(f"paragraph {index} of a page of {len(page)}")
        if page.scores is None:
            page = self.label_pages([page])[0]
        assert page.scores is not None
        label = int(page.scores[index].argmax())
        features = Features.of([page])
        vectors = self.model.vectors(features)
        reasons = [
            *self._word_reasons(features, index, label),
            *self._shape_reasons(features.shape.levels[index], label),
            *self._neighbour_reasons(vectors, index, label),
        ]
        reasons.sort(key=lambda reason: -abs(reason.weight))
        own = self.model.network.own(vectors[index : index + 1])
        return Explanation(
            label=LABELS[label],
            confidence=float(page.scores[index, label]),
            alone=float(softmax(own)[0, label]),
            reasons=tuple(reasons[:most]),
        )

    def _toward(self, vectors: Floats, label: int) -> Floats:
        """What vectors (n, width) add to the logit of ``label``, over what they add to all labels."""
        logits = vectors @ self.model.network.own.weights
        return np.asarray(logits[:, label] - logits.mean(axis=1), dtype=np.float32)

    def _word_reasons(self, features: Features, index: int, label: int) -> list[Reason]:
        tokens = features.tokens
        lo, hi = int(tokens.first[index]), int(tokens.first[index + 1])
        slots = self.model.slots[features.buckets[lo:hi]]
        rows = self.model.word_rows(slots.ravel())
        norm = float(np.sqrt(max(float(rows[:, -1].sum()), 1e-12)))
        weights = (self._toward(rows[:, :-1], label) / norm).reshape(slots.shape)
        words = [
            "".join(map(chr, tokens.points[s:e])) for s, e in zip(tokens.starts[lo:hi], tokens.ends[lo:hi], strict=True)
        ]
        totals: dict[str, float] = {}
        for token, family in np.argwhere(slots > 0).tolist():
            name = _ngram_name(words, token, FAMILIES[family])
            totals[name] = totals.get(name, 0.0) + float(weights[token, family])
        return [Reason("words", name, weight) for name, weight in totals.items()]

    def _shape_reasons(self, levels: NDArray[np.int32], label: int) -> list[Reason]:
        weights = self._toward(self.model.shapes[SHAPE_OFFSETS[:-1] + levels], label)
        return [Reason("shape", f"its {name}", float(weight)) for name, weight in zip(SHAPES, weights, strict=True)]

    def _neighbour_reasons(self, vectors: Floats, index: int, label: int) -> list[Reason]:
        reach = self.model.network.reach
        start = max(0, index - reach)
        around = vectors[start : index + reach + 1]
        here = index - start
        neighbours = [here + step for step in (-2, -1, 1, 2) if 0 <= here + step < len(around)]
        pages = np.repeat(around[None], len(neighbours) + 1, axis=0)
        for copy, neighbour in enumerate(neighbours, 1):
            pages[copy, neighbour] = 0
        sizes = np.full(len(pages), len(around), dtype=np.int64)
        scores = self.model.calibrated(pages.reshape(-1, vectors.shape[1]), sizes)[here :: len(around), label]
        odds = np.log(np.maximum(scores, 1e-6) / np.maximum(1 - scores, 1e-6))
        return [
            Reason("neighbour", _neighbour_name(neighbour - here), float(odds[0] - odds[copy]))
            for copy, neighbour in enumerate(neighbours, 1)
        ]


def _ngram_name(words: list[str], token: int, family: str) -> str:
    word = words[token]
    following = words[token + 1] if token + 1 < len(words) else "(end)"
    return {
        "word": f"“{word}”",
        "pair": f"“{word} {following}”",
        "starts": f"“{word[:3]}…”",
        "stem": f"“{word[:5]}…”",
        "ends": f"“…{word[-3:]}”",
        "opens": f"opens with “{word}”",
    }[family]


def _neighbour_name(step: int) -> str:
    side = "before" if step < 0 else "after"
    return f"the paragraph {side}" if abs(step) == 1 else f"the paragraph {abs(step)} {side}"


@cache
def _bundled() -> Detector:
    return Detector(Model.load(BUNDLED))
