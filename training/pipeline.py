"""The classifier as a scikit-learn pipeline: what training fits, and what the exported model is held against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.pipeline import Pipeline

from detector.features import (
    FAMILIES,
    HASH_BITS,
    NO_BUCKET,
    SHAPE_OFFSETS,
    SHAPES,
    Features,
    Words,
    blank_levels,
    cohesion,
)
from detector.labels import LABELS
from detector.model import rarity
from detector.network import Floats, Ints, softmax
from detector.page import Page
from training.compose import Composer, Piece
from training.network import Batch, NetworkSettings, Parameters, learn, network_of, start, vectors

_HASHED_AT_ONCE = 200  # pages
PAGES_A_STEP = 16
SHAPE_LEVELS = int(SHAPE_OFFSETS[-1])


@dataclass(frozen=True)
class Rows:
    """Raw features of many pages: n-gram ``counts`` (n, 2**bits), ``levels`` (n, features; columns of the one-hot
    shape table), ``numbers`` (n, 8), the ``words``, the ``lengths`` of paragraphs and the ``sizes`` of pages.
    """

    counts: sp.csr_matrix
    levels: NDArray[np.int32]
    numbers: Floats
    words: Words
    lengths: Ints
    sizes: Ints


@dataclass(frozen=True)
class Inputs:
    """What the network reads: ``tfidf`` (n, k) in place of counts, and the ``rarity`` of each word in ``words``; the
    rest as in :class:`Rows`.
    """

    tfidf: sp.csr_matrix
    levels: NDArray[np.int32]
    numbers: Floats
    words: Words
    rarity: Floats
    lengths: Ints
    sizes: Ints

    def drawn(self, pages: Sequence[Piece]) -> Inputs:
        """The rows of pages that were composed of these rows, with the blank lines that they have there."""
        lines = np.concatenate([page.lines for page in pages])
        words = Words(np.arange(len(self.words.buckets), dtype=np.int32), self.words.first).take(lines)
        return Inputs(
            tfidf=self.tfidf[lines],
            levels=_with_blanks(self.levels[lines], [page.blanks for page in pages]),
            numbers=self.numbers[lines],
            words=Words(self.words.buckets[words.buckets], words.first),
            rarity=self.rarity[words.buckets],
            lengths=self.lengths[lines],
            sizes=np.array([len(page) for page in pages], dtype=np.int64),
        )

    def all_numbers(self) -> Floats:
        """Numbers of the shape and of cohesion (n, 13)."""
        return np.hstack([self.numbers, cohesion(self.words, self.rarity, self.lengths, self.sizes)])


class PageFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Pages to :class:`Rows`, by the very code that prediction runs."""

    def fit(self, pages: Sequence[Page], y: object = None) -> PageFeatures:
        """Nothing is learned."""
        return self

    def transform(self, pages: Sequence[Page]) -> Rows:
        """Hash and measure ``pages``."""
        counts = [sp.csr_matrix((0, 1 << HASH_BITS), dtype=np.float32)]
        read = [Features.of(pages[i : i + _HASHED_AT_ONCE]) for i in range(0, len(pages), _HASHED_AT_ONCE)]
        for part in read:
            ones = np.ones(part.buckets.size, dtype=np.float32)
            table = (ones, part.buckets.ravel(), part.tokens.first * len(FAMILIES))
            counts.append(sp.csr_matrix(table, shape=(len(part.lengths), 1 << HASH_BITS)))
            counts[-1].sum_duplicates()
        words = np.concatenate([np.zeros(1, dtype=np.int64), *(np.diff(part.words.first) for part in read)])
        return Rows(
            counts=sp.vstack(counts, format="csr"),
            levels=np.vstack([part.shape.levels for part in read]) + SHAPE_OFFSETS[:-1].astype(np.int32),
            numbers=np.vstack([part.shape.numbers for part in read]),
            words=Words(np.concatenate([part.words.buckets for part in read]), np.cumsum(words)),
            lengths=np.concatenate([part.lengths for part in read]),
            sizes=np.concatenate([part.sizes for part in read]),
        )


class HashedTfidf(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """TF-IDF over hash buckets, for the buckets that occur on enough sites of one language.

    What occurs on few sites is a name, not a word that tells one kind of paragraph from another: an n-gram needs
    ``least_groups`` groups (hosts, publications) of its language, and ``group_share`` of them, so that a language
    with many hosts keeps general words and one with few keeps any. A row is divided by the root of the sum of its
    n-grams' squared idf, once for each time that they occur.
    """

    def __init__(self, least_groups: float = 4, group_share: float = 0.02) -> None:
        self.least_groups = least_groups
        self.group_share = group_share

    def fit(self, rows: Rows, groups: Ints, languages: Ints) -> HashedTfidf:
        """Learn buckets and idf from ``rows``; ``groups`` and ``languages`` have a number a row."""
        kept = np.zeros(rows.counts.shape[1], dtype=bool)
        for language in np.unique(languages):
            members = np.flatnonzero(languages == language)
            count, spread = _spread(rows.counts[members], groups[members])
            kept |= spread >= self.least_groups + self.group_share * count
        kept[NO_BUCKET] = False
        self.buckets_ = np.flatnonzero(kept).astype(np.int32)
        frequency = np.bincount(rows.counts.indices, minlength=len(kept))[self.buckets_]
        self.idf_ = (np.log((1 + len(groups)) / (1 + frequency)) + 1).astype(np.float32)
        return self

    def transform(self, rows: Rows) -> Inputs:
        """TF-IDF rows (n, buckets)."""
        counts = rows.counts[:, self.buckets_]
        norms = np.sqrt(np.maximum(counts @ self.idf_**2, 1e-12)).astype(np.float32)
        tfidf = sp.diags_array(1 / norms) @ counts @ sp.diags_array(self.idf_)
        slots = np.zeros(rows.counts.shape[1], dtype=np.int32)
        slots[self.buckets_] = np.arange(1, len(self.buckets_) + 1)
        rare = rarity(self.idf_)[slots[rows.words.buckets]]
        tfidf = sp.csr_matrix(tfidf, dtype=np.float32)
        return Inputs(tfidf, rows.levels, rows.numbers, rows.words, rare, rows.lengths, rows.sizes)


def _spread(counts: sp.csr_matrix, groups: Ints) -> tuple[int, Ints]:
    """The number of groups, and on how many of them each bucket occurs."""
    names, owner = np.unique(groups, return_inverse=True)
    ones = np.ones(len(groups), dtype=np.float32)
    table = sp.csr_matrix((ones, (owner, np.arange(len(groups)))), shape=(len(names), len(groups)))
    return len(names), np.bincount((table @ counts).indices, minlength=counts.shape[1])


class PageNetwork(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Paragraph vectors and page network, learned together (:mod:`training.network`)."""

    def __init__(self, settings: NetworkSettings, epochs: int, seed: int) -> None:
        self.settings = settings
        self.epochs = epochs
        self.seed = seed

    def fit(self, inputs: Inputs, composer: Composer, report: Callable[[int, float], None]) -> PageNetwork:
        """Learn from the pages that ``composer`` draws out of the rows of ``inputs``."""
        rng = np.random.default_rng(self.seed)
        self.classes_ = np.arange(len(LABELS))
        numbers = inputs.all_numbers()
        self.mean_ = numbers.mean(axis=0)
        self.deviation_ = numbers.std(axis=0) + np.float32(1e-6)
        sizes = (inputs.tfidf.shape[1], SHAPE_LEVELS, numbers.shape[1], len(LABELS))
        epochs = (self._batches(inputs, composer) for _ in range(self.epochs))
        self.parameters_: Parameters = learn(
            start(*sizes, self.settings, rng), epochs, self.epochs, self.settings, rng, report
        )
        self.word_scale_ = _quantise(self.parameters_["words"])
        return self

    def _batches(self, inputs: Inputs, composer: Composer) -> list[Callable[[], Batch]]:
        """An epoch's batches, each put together when it is called for."""
        drawn = composer.epoch()
        return [partial(self._batch, inputs, drawn[i : i + PAGES_A_STEP]) for i in range(0, len(drawn), PAGES_A_STEP)]

    def _batch(self, inputs: Inputs, drawn: Sequence[tuple[Piece, float]]) -> Batch:
        part = inputs.drawn([page for page, _ in drawn])
        weights = np.array([weight for _, weight in drawn], dtype=np.float32)
        targets = np.concatenate([page.targets for page, _ in drawn])
        numbers = self._standardised(part.all_numbers())
        return Batch(part.tfidf, part.levels, numbers, part.sizes, targets, np.repeat(weights, part.sizes))

    def _standardised(self, numbers: Floats) -> Floats:
        return np.asarray((numbers - self.mean_) / self.deviation_, dtype=np.float32)

    def decision_function(self, inputs: Inputs) -> Floats:
        """Logits (n, 4), not yet calibrated."""
        rows = vectors(self.parameters_, inputs.tfidf, inputs.levels, self._standardised(inputs.all_numbers()))
        return network_of(self.parameters_, self.settings.dilations).logits(rows, inputs.sizes)

    def predict_proba(self, inputs: Inputs) -> Floats:
        """Probabilities (n, 4), not yet calibrated."""
        return softmax(self.decision_function(inputs))


def _with_blanks(levels: NDArray[np.int32], blanks: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    """``levels`` as they are when the pages' paragraphs have these blank lines before them."""
    levels = levels.copy()
    names = list(SHAPES)
    for name, column in zip(("blank lines before", "blank lines after"), blank_levels(blanks), strict=True):
        feature = names.index(name)
        levels[:, feature] = SHAPE_OFFSETS[feature] + column
    return levels


def _quantise(words: Floats) -> Floats:
    """Round the word vectors in place to 8 bits a number; returns the scale of each column.

    Done before anything is measured or calibrated, so that the exported model is the trained one, to the bit.
    """
    scale: Floats = np.maximum(np.abs(words).max(axis=0) / 127, 1e-9).astype(np.float32)
    np.multiply(np.rint(words / scale), scale, out=words)
    return scale


def pipeline(tfidf: HashedTfidf, network: PageNetwork) -> Pipeline:
    """The fitted steps as one estimator: ``predict_proba`` takes segmented pages."""
    return Pipeline([("features", PageFeatures()), ("tfidf", tfidf), ("network", network)])
