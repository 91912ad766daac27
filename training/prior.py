"""What words mean before training: fixed vectors for a wide vocabulary, from a sentence encoder for many languages.

The corpus holds too few pages to learn that *subscribe* and *abonnieren* are one thing, or that a *gazette* is a kind
of *newspaper*. A pretrained encoder knows. ``data/vectors/`` holds its vectors for words and pairs of words, reduced to
their main directions and hashed like the model's own n-grams. Training learns one matrix that maps them into the
model's vectors, and adds the product to these at the end, so that prediction costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.network import Floats
from training.corpus import DATA

STRENGTH = 2.0
"""Mean deviation of the vectors' numbers; with 1 the prior weighs too little beside what is learned."""
PRIOR_FILE = DATA / "vectors" / "prior.npz"


@dataclass(frozen=True)
class Prior:
    """Hash ``buckets`` (n), ascending, and the ``vectors`` (n, d) of the words and pairs that fall into them."""

    buckets: NDArray[np.int32]
    vectors: Floats

    @classmethod
    def load(cls, path: Path = PRIOR_FILE) -> Prior:
        """Read the file that ``python -m training vectors`` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            vectors = arrays["vectors"].astype(np.float32) * (arrays["scale"] * np.float32(STRENGTH))
            return cls(np.cumsum(arrays["buckets"], dtype=np.int32), vectors)
