"""The classifier as a scikit-learn pipeline: what training fits, and what the exported model is held against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.pipeline import Pipeline

from detector.features import (
    HASH_BITS,
    NO_BUCKET,
    SHAPE_OFFSETS,
    Bags,
    Features,
)
from detector.labels import LABELS
from detector.model import norms, rarity, slots_of
from detector.network import Floats, Ints, softmax
from detector.page import Page
from training.compose import Composer, Piece
from training.network import Batch, NetworkSettings, Parameters, learn, network_of, start, vectors
from training.prior import Prior

_HASHED_AT_ONCE = 200  # pages
PAGES_A_STEP = 16
SHAPE_LEVELS = int(SHAPE_OFFSETS[-1])


@dataclass(frozen=True)
class Rows:
    """Many pages as read: n-gram ``counts`` and ``markup`` counts (n, 2**bits), and the other ``features``, in which
    the n-grams' and markup's own bags are left empty.
    """

    counts: sp.csr_matrix
    markup: sp.csr_matrix
    features: Features

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """The rows of several runs of pages, one after another."""
        features = [part.features for part in parts]
        arrays = ("levels", "numbers", "content", "lengths", "blanks", "markup_numbers", "sizes")
        together = {name: np.concatenate([getattr(part, name) for part in features]) for name in arrays}
        words = Bags.joined([part.words for part in features])
        return cls(
            sp.vstack([part.counts for part in parts], format="csr"),
            sp.vstack([part.markup for part in parts], format="csr"),
            Features(ngrams=_NO_BAGS, markup=_NO_BAGS, words=words, **together),
        )


@dataclass(frozen=True)
class Inputs:
    """What the network reads: TF-IDF rows, of words and of words with markup, one above the other: ``tfidf``
    (2 n, k); the ``rarity`` of each word in ``features.words``; the rest as in :class:`Rows`.
    """

    tfidf: sp.csr_matrix
    rarity: Floats
    features: Features

    def drawn(self, pages: Sequence[Piece]) -> Inputs:
        """The rows of pages that were composed of these rows, with the blank lines and the markup that they have."""
        lines = np.concatenate([page.lines for page in pages])
        sizes = np.array([len(page) for page in pages], dtype=np.int64)
        with_markup = np.repeat([page.markup for page in pages], sizes)
        index, first = self.features.words.index(lines)
        known = self.features
        features = replace(
            known,
            words=Bags(known.words.buckets[index], first),
            levels=known.levels[lines],
            numbers=known.numbers[lines],
            content=known.content[lines],
            lengths=known.lengths[lines],
            blanks=np.concatenate([page.blanks for page in pages]),
            markup_numbers=known.markup_numbers[lines] * with_markup[:, None].astype(np.float32),
            sizes=sizes,
        )
        read = lines + with_markup * len(known.lengths)
        return Inputs(self.tfidf[read], self.rarity[index], features)

    def words(self) -> sp.csr_matrix:
        """TF-IDF rows (n, k) of drawn pages, or of pages as they are: with the markup that they have."""
        n = len(self.features.lengths)
        return self.tfidf if self.tfidf.shape[0] == n else self.tfidf[n:]

    def levels(self) -> NDArray[np.int32]:
        """Levels (n, features) as columns of the table of all levels."""
        return self.features.all_levels() + SHAPE_OFFSETS[:-1].astype(np.int32)

    def numbers(self) -> Floats:
        """Numbers (n, 27) of the shape, of the page, of the place on it, and of the markup."""
        return self.features.all_numbers(self.rarity)


class PageFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Pages to :class:`Rows`, by the very code that prediction runs."""

    def fit(self, pages: Sequence[Page], y: object = None) -> PageFeatures:
        """Nothing is learned."""
        return self

    def transform(self, pages: Sequence[Page]) -> Rows:
        """Hash and measure ``pages``."""
        runs = [pages[i : i + _HASHED_AT_ONCE] for i in range(0, len(pages), _HASHED_AT_ONCE)]
        return Rows.joined([self._read(run) for run in runs])

    def _read(self, pages: Sequence[Page]) -> Rows:
        features = Features.of(pages)
        counts, markup = _counts(features.ngrams), _counts(features.markup)
        return Rows(counts, markup, replace(features, ngrams=_NO_BAGS, markup=_NO_BAGS))


_NO_BAGS = Bags(np.zeros(0, dtype=np.int32), np.zeros(1, dtype=np.int64))


def _counts(bags: Bags) -> sp.csr_matrix:
    """How often each bucket is in each paragraph's bag."""
    a_token = bags.buckets.shape[1] if bags.buckets.ndim == 2 else 1
    table = (np.ones(bags.buckets.size, dtype=np.float32), bags.buckets.ravel(), bags.first * a_token)
    counts = sp.csr_matrix(table, shape=(len(bags.first) - 1, 1 << HASH_BITS))
    counts.sum_duplicates()
    return counts


class HashedTfidf(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """TF-IDF over hash buckets, for the buckets that occur on enough sites of one language.

    What occurs on few sites is a name, not a word that tells one kind of paragraph from another: an n-gram needs
    ``least_groups`` groups (hosts, publications) of its language, and ``group_share`` of them, so that a language
    with many hosts keeps general words and one with few keeps any. N-grams of the ``prior`` are known as well, but
    nothing more is learned of those that are not kept. A row is divided by the root of the sum of the squared idf of
    the n-grams that are kept, once for each time that they occur.
    """

    def __init__(
        self, prior: Prior, least_groups: float = 3, group_share: float = 0.02, least_markup_groups: int = 8
    ) -> None:
        self.prior = prior
        self.least_groups = least_groups
        self.group_share = group_share
        self.least_markup_groups = least_markup_groups

    def fit(self, rows: Rows, groups: Ints, languages: Ints) -> HashedTfidf:
        """Learn buckets and idf from ``rows``; ``groups`` and ``languages`` have a number a row."""
        kept = np.zeros(rows.counts.shape[1], dtype=bool)
        for language in np.unique(languages):
            members = np.flatnonzero(languages == language)
            count, spread = _spread(rows.counts[members], groups[members])
            kept |= spread >= self.least_groups + self.group_share * count
        # Markup is written in one language, by few authors: what a site shares with some others is a habit.
        kept |= _spread(rows.markup, groups)[1] >= self.least_markup_groups
        kept[NO_BUCKET] = False
        known = kept.copy()
        known[self.prior.buckets] = True
        self.buckets_ = np.flatnonzero(known).astype(np.int32)
        self.learned_ = kept[self.buckets_]
        self.prior_ = np.zeros((len(self.buckets_), self.prior.vectors.shape[1]), dtype=np.float32)
        self.prior_[slots_of(self.buckets_)[self.prior.buckets] - 1] = self.prior.vectors
        frequency = np.bincount(rows.counts.indices, minlength=len(kept))
        frequency += np.bincount(rows.markup.indices, minlength=len(kept))
        idf = (np.log((1 + len(groups)) / (1 + frequency[self.buckets_])) + 1).astype(np.float32)
        # A word that training never met is no rarer than the rarest that it learned.
        self.idf_ = np.minimum(idf, idf[self.learned_].max(initial=1))
        return self

    def transform(self, rows: Rows) -> Inputs:
        """TF-IDF rows: of the words, and below them of words and markup, each of norm 1."""
        words, markup = self._weighed(rows.counts), self._weighed(rows.markup)
        rare = rarity(self.idf_)[slots_of(self.buckets_)[rows.features.words.buckets]]
        both = sp.vstack([words, words + markup], format="csr", dtype=np.float32)
        return Inputs(sp.csr_matrix(both), rare, rows.features)

    def _weighed(self, counts: sp.csr_matrix) -> sp.csr_matrix:
        counts = counts[:, self.buckets_]
        lengths = norms(np.asarray(counts @ (self.idf_ * self.learned_) ** 2, dtype=np.float32))
        return sp.diags_array(1 / lengths) @ counts @ sp.diags_array(self.idf_)


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

    def fit(
        self, inputs: Inputs, tfidf: HashedTfidf, composer: Composer, report: Callable[[int, float], None]
    ) -> PageNetwork:
        """Learn from the pages that ``composer`` draws out of the rows of ``inputs``, which ``tfidf`` made."""
        rng = np.random.default_rng(self.seed)
        self.classes_ = np.arange(len(LABELS))
        numbers = inputs.numbers()
        self.mean_ = numbers.mean(axis=0)
        self.deviation_ = numbers.std(axis=0) + np.float32(1e-6)
        sizes = (*tfidf.prior_.shape, SHAPE_LEVELS, numbers.shape[1], len(LABELS))
        epochs = (self._batches(inputs, tfidf, composer) for _ in range(self.epochs))
        self.parameters_: Parameters = learn(
            _only_learned(start(*sizes, self.settings, rng), tfidf), epochs, self.epochs, self.settings, rng, report
        )
        self.parameters_["words"] += tfidf.prior_ @ self.parameters_.pop("prior")
        self.word_scale_ = _quantise(self.parameters_["words"])
        return self

    def _batches(self, inputs: Inputs, tfidf: HashedTfidf, composer: Composer) -> list[Callable[[], Batch]]:
        """An epoch's batches, each put together when it is called for."""
        drawn = composer.epoch()
        parts = [drawn[i : i + PAGES_A_STEP] for i in range(0, len(drawn), PAGES_A_STEP)]
        return [partial(self._batch, inputs, tfidf, part) for part in parts]

    def _batch(self, inputs: Inputs, tfidf: HashedTfidf, drawn: Sequence[tuple[Piece, float]]) -> Batch:
        part = inputs.drawn([page for page, _ in drawn])
        sizes = part.features.sizes
        targets = np.concatenate([page.targets for page, _ in drawn])
        weights = np.repeat(np.array([weight for _, weight in drawn], dtype=np.float32), sizes)
        weights *= targets >= 0
        numbers = self._standardised(part.numbers())
        return Batch(
            part.tfidf,
            tfidf.prior_,
            tfidf.learned_,
            part.levels(),
            numbers,
            sizes,
            np.maximum(targets, 0),
            weights,
        )

    def _standardised(self, numbers: Floats) -> Floats:
        return np.asarray((numbers - self.mean_) / self.deviation_, dtype=np.float32)

    def decision_function(self, inputs: Inputs) -> Floats:
        """Logits (n, 4), not yet calibrated."""
        numbers = self._standardised(inputs.numbers())
        rows = vectors(self.parameters_, inputs.words(), inputs.levels(), numbers)
        return network_of(self.parameters_, self.settings.dilations).logits(rows, inputs.features.sizes)

    def predict_proba(self, inputs: Inputs) -> Floats:
        """Probabilities (n, 4), not yet calibrated."""
        return softmax(self.decision_function(inputs))


def _only_learned(parameters: Parameters, tfidf: HashedTfidf) -> Parameters:
    """A word of which nothing is learned is its prior alone."""
    parameters["words"][~tfidf.learned_] = 0
    return parameters


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
