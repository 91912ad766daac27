"""One detector a process, whatever the engine runs in it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from detector.detector import Detector


@cache
def shared_detector(model: str | Path | None) -> Detector:
    """The detector of this model folder (``None``: the bundled one), loaded once in this process.

    Adapters carry the folder's name to the workers, never the weights.
    """
    return Detector.load(model)
