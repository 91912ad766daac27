"""Calibration of scores, and the thresholds behind ``clean``'s presets, from scores on pages not trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from detector.labels import LABELS, Label
from detector.network import Floats, softmax

BINS = 15
"""Bins of the expected calibration error, as in Guo et al. 2017."""
RECALL_KEPT, PRECISION_JUNK, PRECISION_KEPT = 0.999, 0.005, 0.9
_EDITORIAL = LABELS.index(Label.EDITORIAL)


@dataclass(frozen=True)
class Calibration:
    """``temperature`` (1) and ``prior`` (4): logits become ``softmax(logits / temperature + prior)``."""

    temperature: Floats
    prior: Floats

    def apply(self, logits: Floats) -> Floats:
        """Calibrated probabilities (n, 4)."""
        return softmax(logits / self.temperature + self.prior)


def calibrate(logits: Floats, targets: NDArray[np.int64]) -> Calibration:
    """Temperature scaling with a bias a class (Guo et al. 2017), by least negative log likelihood."""
    known = logits.astype(np.float64)

    def loss(parameters: NDArray[np.float64]) -> float:
        scaled = known / np.exp(parameters[0]) + np.append(parameters[1:], 0.0)
        scaled -= scaled.max(axis=1, keepdims=True)
        likelihood = scaled[np.arange(len(targets)), targets] - np.log(np.exp(scaled).sum(axis=1))
        return -float(likelihood.mean())

    found = scipy.optimize.minimize(loss, np.zeros(len(LABELS)), method="L-BFGS-B").x
    temperature = np.array([np.exp(found[0])], dtype=np.float32)
    return Calibration(temperature, np.append(found[1:], 0.0).astype(np.float32))


def expected_calibration_error(scores: Floats, targets: NDArray[np.int64]) -> float:
    """Mean distance, weighted by paragraphs, between confidence and accuracy over :data:`BINS` equal bins."""
    if not len(targets):
        return 0.0
    confidence = scores.max(axis=1)
    right = scores.argmax(axis=1) == targets
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, confidence, BINS) - np.bincount(bins, right, BINS)
    return float(np.abs(gaps).sum() / len(targets))


def preset_thresholds(scores: Floats, targets: NDArray[np.int64], chars: NDArray[np.int64]) -> dict[str, float]:
    """Thresholds on the editorial probability: ``recall`` keeps 99.9 % of the editorial characters; ``precision``
    leaves 0.5 % of junk among the characters kept, or what junk there is if that would lose more than a tenth of the
    editorial ones.
    """
    order = np.argsort(-scores[:, _EDITORIAL], kind="stable")
    ranked = scores[order, _EDITORIAL].astype(np.float64)
    editorial = (targets[order] == _EDITORIAL) * chars[order]
    kept = np.cumsum(editorial)
    junk = 1 - kept / np.maximum(np.cumsum(chars[order]), 1)
    recall = ranked[np.searchsorted(kept, RECALL_KEPT * kept[-1])]
    pure = np.flatnonzero(junk <= PRECISION_JUNK)
    precision = ranked[max(pure.max(initial=0), int(np.searchsorted(kept, PRECISION_KEPT * kept[-1])))]
    return {"recall": float(min(recall, 0.5)), "precision": float(max(precision, 0.5))}
