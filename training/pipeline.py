"""The two stages as scikit-learn estimators: what training fits, and what the export is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from detector.context import OFFSETS, Floats, context, revision, softmax
from detector.features import FAMILIES, HASH_BITS, SHAPES, ngram_buckets, shape, tokenize
from detector.page import Page
from training.logistic import MultiHeadLogisticRegression

_BATCH = 200  # pages hashed at once
SHAPE_SCALE = 0.3
"""Weight of a one-hot shape level beside a TF-IDF row of norm 1; 0.1 and 1 did no better on held-out hosts."""


@dataclass(frozen=True)
class Rows:
    """Raw features of many pages: n-gram ``counts`` (n, 2**bits), shape ``levels`` and ``numbers``, and layout."""

    counts: sp.csr_matrix
    levels: NDArray[np.int32]
    numbers: Floats
    blanks: NDArray[np.int32]
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, pages: Sequence[Page]) -> Rows:
        """Hash and measure ``pages`` with the very code that prediction runs."""
        counts, levels, numbers = [], [], []
        for start in range(0, len(pages), _BATCH):
            batch = pages[start : start + _BATCH]
            tokens = tokenize(batch)
            buckets = ngram_buckets(tokens)
            form = shape(tokens, batch)
            ones = np.ones(buckets.size, dtype=np.float32)
            table = (ones, buckets.ravel(), tokens.first * len(FAMILIES))
            part = sp.csr_matrix(table, shape=(len(tokens.first) - 1, 1 << HASH_BITS))
            part.sum_duplicates()
            counts.append(part)
            levels.append(form.levels)
            numbers.append(form.numbers)
        blanks = np.concatenate([page.blanks for page in pages])
        sizes = np.array([len(page) for page in pages], dtype=np.int64)
        return cls(sp.vstack(counts, format="csr"), np.vstack(levels), np.vstack(numbers), blanks, sizes)

    @property
    def page(self) -> NDArray[np.int64]:
        """For each row, the number of its page."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)


class HashedTfidf(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """TF-IDF over hash buckets, with the shape levels as one-hot columns beside it.

    Keeps the buckets that occur in at least ``min_groups`` groups (hosts), so that no name of one site gets a
    weight. A row is divided by the root of the sum of its n-grams' squared idf.
    """

    def __init__(self, min_groups: int = 3) -> None:
        self.min_groups = min_groups

    def fit(self, rows: Rows, groups: NDArray[np.int64]) -> HashedTfidf:
        """Learn buckets and idf from ``rows``; ``groups`` has a number a row."""
        owner = sp.csr_matrix(
            (np.ones(len(groups), dtype=np.float32), (groups, np.arange(len(groups)))),
            shape=(int(groups.max()) + 1, len(groups)),
        )
        spread = np.bincount((owner @ rows.counts).indices, minlength=rows.counts.shape[1])
        spread[0] = 0
        self.buckets_ = np.flatnonzero(spread >= self.min_groups).astype(np.int32)
        document_frequency = np.bincount(rows.counts.indices, minlength=rows.counts.shape[1])[self.buckets_]
        self.idf_ = (np.log((1 + len(groups)) / (1 + document_frequency)) + 1).astype(np.float32)
        return self

    def transform(self, rows: Rows) -> sp.csr_matrix:
        """Rows (n, buckets + shape levels)."""
        counts = rows.counts[:, self.buckets_]
        norms = np.sqrt(np.maximum(counts @ self.idf_**2, 1e-12))
        tfidf = sp.diags_array(1 / norms) @ counts @ sp.diags_array(self.idf_)
        columns = rows.levels + np.cumsum([0, *SHAPES.values()])[:-1].astype(np.int32)
        n, features = columns.shape
        scale = np.full(columns.size, SHAPE_SCALE, dtype=np.float32)
        onehot = sp.csr_matrix((scale, columns.ravel(), np.arange(n + 1) * features), shape=(n, sum(SHAPES.values())))
        return sp.hstack([tfidf, onehot], format="csr", dtype=np.float32)


def neighbour_targets(targets: NDArray[np.int64], page: NDArray[np.int64]) -> NDArray[np.int64]:
    """The labels (n, offsets) of each paragraph's neighbours; -1 beyond the page's ends."""
    n = len(targets)
    heads = []
    for offset in OFFSETS:
        index = np.clip(np.arange(n) + offset, 0, max(n - 1, 0))
        inside = (np.arange(n) + offset == index) & (page[index] == page)
        heads.append(np.where(inside, targets[index], -1))
    return np.column_stack(heads)


def paragraph_stage(C: float, max_iter: int) -> MultiHeadLogisticRegression:
    """The estimator of the paragraph stage, behind :class:`HashedTfidf`."""
    return MultiHeadLogisticRegression(C=C, max_iter=max_iter)


def quantise(heads: MultiHeadLogisticRegression, ngrams: int) -> Floats:
    """Round the n-gram weights in place to 8 bits a weight; returns the scale of each output.

    Done before the page stage is fitted, so that the exported model is the trained one, to the bit.
    """
    table = heads.coef_[:ngrams]
    scale = np.maximum(np.abs(table).max(axis=0) / 127, 1e-9).astype(np.float32)
    heads.coef_[:ngrams] = np.rint(table / scale) * scale
    return scale


def network(seed: int, hidden: int, alpha: float, epochs: int) -> Pipeline:
    """One network of the page stage."""
    mlp = MLPClassifier(
        (hidden,), alpha=alpha, batch_size=512, learning_rate_init=2e-3, max_iter=epochs, tol=0.0, random_state=seed
    )
    return Pipeline([("scale", StandardScaler()), ("mlp", mlp)])


def pipeline_logits(networks: Sequence[Pipeline], rows: Floats) -> Floats:
    """The mean of the networks' centred log probabilities (n, 4)."""
    logits = [np.log(np.maximum(net.predict_proba(rows), 1e-9)) for net in networks]
    return np.mean([part - part.mean(axis=1, keepdims=True) for part in logits], axis=0).astype(np.float32)


@dataclass(frozen=True)
class TrainedPipeline:
    """Both stages as fitted by scikit-learn: kept beside the exported model for those who want to study it."""

    tfidf: HashedTfidf
    heads: MultiHeadLogisticRegression
    first: tuple[Pipeline, ...]
    second: tuple[Pipeline, ...]
    temperature: Floats
    prior: Floats

    def predict_proba(self, pages: Sequence[Page]) -> Floats:
        """Probabilities (paragraphs of all pages, 4)."""
        rows = Rows.of(pages)
        logits = self.heads.decision_function(self.tfidf.transform(rows))
        features = context(logits, rows.numbers, rows.blanks, rows.sizes)
        result = pipeline_logits(self.first, features)
        if self.second:
            result = pipeline_logits(self.second, np.hstack([features, revision(softmax(result), rows.sizes)]))
        return softmax(result / self.temperature + self.prior)
