"""A paragraph's context: what its neighbours, its group and its page say of it, as rows for the page stage.

The paragraph stage gives each paragraph 20 logits: for itself and, from its own words alone, for the two
paragraphs before and after it, four labels each. Here they become one row a paragraph: its own evidence, what
its neighbours say of it, windows and running means of both, its group, its place among the long paragraphs.
All pages of a batch are computed at once; a margin of zeros between pages keeps them apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

OFFSETS = (-2, -1, 0, 1, 2)
"""For which neighbours the words of a paragraph are read as evidence; 0 is the paragraph itself."""
NEAR = 5
"""Paragraphs on each side whose evidence enters one by one; wider windows enter as means."""
WINDOWS = (3, 8, 20, 60)
LONG = 120
"""Characters from which a paragraph counts as running text."""

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """Where the paragraphs of a batch stand: arrays of one entry a paragraph, or a page where it says so."""

    sizes: Ints  # of each page
    page: Ints
    first: Ints  # the first paragraph of its page
    position: Ints  # on its page
    rows: Ints  # its row among rows with margins
    count: int  # rows with margins

    @classmethod
    def of(cls, sizes: Ints) -> Grid:
        page = np.repeat(np.arange(len(sizes)), sizes)
        first = np.repeat(np.cumsum(sizes) - sizes, sizes)
        every = np.arange(len(page))
        margin = max(NEAR, *OFFSETS)
        return cls(sizes, page, first, every - first, every + margin * (page + 1), len(page) + margin * (len(sizes) + 1))

    def with_margins(self, values: Floats) -> Floats:
        spaced = np.zeros((self.count, values.shape[1]), dtype=np.float32)
        spaced[self.rows] = values
        return spaced

    @property
    def size(self) -> Ints:
        return self.sizes[self.page]


def context(logits: Floats, numbers: Floats, blanks: NDArray[np.int32], sizes: Ints) -> Floats:
    """Rows (n, features) for the page stage.

    ``logits`` (n, 20) is the paragraph stage's output, ``numbers`` (n, 8) the shape measures, ``blanks`` (n)
    the blank lines before each paragraph, ``sizes`` the number of paragraphs of each page.
    """
    grid = Grid.of(sizes)
    votes = _votes(logits, grid)
    total = sum(votes[1:], votes[0])
    evidence = np.hstack([softmax(votes[0]), softmax(total)])
    return np.hstack([
        *votes,
        total,
        *_neighbours(evidence, grid, range(1, NEAR + 1)),
        *_means(evidence, grid),
        _groups(evidence, numbers, blanks, grid),
        numbers,
        *_neighbours(numbers, grid, range(1, 4)),
        _page_means(numbers, grid),
        _running_text(numbers, grid),
        _blank_lines(blanks, grid),
    ]).astype(np.float32)


def revision(scores: Floats, sizes: Ints) -> Floats:
    """Extra rows for a second pass: the first pass's ``scores`` (n, 4) near and around each paragraph."""
    grid = Grid.of(sizes)
    return np.hstack([scores, *_neighbours(scores, grid, range(1, NEAR + 1)), *_means(scores, grid)]).astype(np.float32)


def softmax(logits: Floats) -> Floats:
    """Probabilities of each row."""
    exps = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exps / exps.sum(axis=1, keepdims=True), dtype=np.float32)


def _votes(logits: Floats, grid: Grid) -> list[Floats]:
    """What the paragraph's own words, then each neighbour's, say of the paragraph: centred logits."""
    spaced = grid.with_margins(logits)
    votes = []
    for offset in sorted(OFFSETS, key=abs):
        column = 4 * OFFSETS.index(offset)
        vote = spaced[grid.rows - offset, column : column + 4]
        votes.append(vote - vote.mean(axis=1, keepdims=True))
    return votes


def _neighbours(values: Floats, grid: Grid, distances: range) -> list[Floats]:
    spaced = grid.with_margins(values)
    return [spaced[grid.rows + side * distance] for distance in distances for side in (-1, 1)]


def _means(values: Floats, grid: Grid) -> list[Floats]:
    """Means over the windows before and after, and over the page."""
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
    here = np.arange(len(values))
    end = grid.first + grid.size

    def mean(lo: Ints, hi: Ints) -> Floats:
        return ((sums[hi] - sums[lo]) / np.maximum(hi - lo, 1)[:, None]).astype(np.float32)

    before = [mean(np.maximum(here - width, grid.first), here) for width in WINDOWS]
    after = [mean(here + 1, np.maximum(np.minimum(here + 1 + width, end), here + 1)) for width in WINDOWS]
    return [*before, *after, mean(grid.first, end)]


def _groups(evidence: Floats, numbers: Floats, blanks: NDArray[np.int32], grid: Grid) -> Floats:
    """The group between blank lines: its mean evidence and shape, its first line's, its neighbours', its size."""
    opens = (blanks > 0) | (grid.position == 0)
    group = np.cumsum(opens) - 1
    starts = np.flatnonzero(opens)
    lengths = np.diff(np.append(starts, len(opens)))
    page = grid.page[starts]
    mean = np.add.reduceat(evidence, starts, axis=0) / lengths[:, None]
    shape = np.add.reduceat(numbers, starts, axis=0) / lengths[:, None]
    same = np.append(False, page[1:] == page[:-1])
    before = np.roll(mean, 1, axis=0) * same[:, None]
    after = np.roll(mean, -1, axis=0) * np.roll(same, -1)[:, None]
    length, index = lengths[group], np.arange(len(opens)) - starts[group]
    place = np.column_stack([
        np.log(length),
        np.log1p(index),
        length == 1,
        index == 0,
        index == length - 1,
        length / grid.size,
    ])
    return np.hstack([mean[group], evidence[starts[group]], before[group], after[group], shape[group], place])


def _page_means(numbers: Floats, grid: Grid) -> Floats:
    filled = grid.sizes > 0
    starts = (np.cumsum(grid.sizes) - grid.sizes)[filled]
    means = np.zeros((len(grid.sizes), numbers.shape[1]), dtype=np.float32)
    means[filled] = np.add.reduceat(numbers, starts, axis=0) / grid.sizes[filled, None]
    return means[grid.page]


def _running_text(numbers: Floats, grid: Grid) -> Floats:
    """Place on the page, and among its long paragraphs."""
    length = np.expm1(numbers[:, 0])
    is_long = length > LONG
    mass = np.where(is_long, length, 0)
    sums = np.concatenate(([0.0], np.cumsum(mass, dtype=np.float64)))
    here = np.arange(len(length))
    end = grid.first + grid.size
    before, after = sums[here] - sums[grid.first], sums[end] - sums[here + 1]
    whole = np.maximum(sums[end] - sums[grid.first], 1)
    far = 99
    last = np.maximum.accumulate(np.where(is_long, here, -1))
    coming = np.minimum.accumulate(np.where(is_long, here, len(here))[::-1])[::-1]
    since = np.where(last >= grid.first, np.minimum(here - last, far), far)
    until = np.where(coming < end, np.minimum(coming - here, far), far)
    return np.column_stack([
        before / whole,
        after / whole,
        np.log1p(before),
        np.log1p(after),
        np.log1p(since),
        np.log1p(until),
        since == far,
        until == far,
        np.log1p(grid.position),
        np.log1p(grid.size - 1 - grid.position),
        np.log(grid.size),
        grid.position / grid.size,
    ])


def _blank_lines(blanks: NDArray[np.int32], grid: Grid) -> Floats:
    few = np.minimum(blanks, 2).astype(np.float32)[:, None]
    return np.hstack([few, *_neighbours(few, grid, range(1, 4))])
