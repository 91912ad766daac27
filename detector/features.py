"""Pages to features: hashed TF-IDF rows, one-hot shape columns, numbers for the page stage. The hot path.

Nothing here loops over words. A batch of pages is one array of code points; words are runs of one character
class, found by comparing neighbours; the hash of any run of characters is a difference of prefix sums of the
polynomial ``sum(c[i] * B**i) mod 2**64``, divided by ``B**start`` (Karp and Rabin 1987), so words, their
prefixes and suffixes and pairs of words all cost a few array operations for the whole batch.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.page import Page
from detector.segment import code_points

# Character classes: what makes a token. Runs of letters and of digits are tokens; an ideograph, a kana, a Thai
# letter (scripts without spaces) and any other sign are tokens of their own.
_BLANK, _LETTER, _DIGIT, _SIGN, _IDEOGRAPH = range(5)
_CLASS_LIMIT = 0xFFFF  # the last entry stands for everything beyond the basic plane
"""Unicode ranges written without spaces: Thai to Burmese, Khmer, kana, ideographs and their radicals."""
_UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x2E80, 0x2FDF),
    (0x3040, 0x30FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
)
_HANGUL = (0xAC00, 0xD7A3)


def _tables() -> tuple[NDArray[np.uint8], NDArray[np.uint32], NDArray[np.uint8]]:
    """Class, case-folded code point and upper-case mark of each code point of the basic plane."""
    classes = np.full(_CLASS_LIMIT + 1, _SIGN, dtype=np.uint8)
    folded = np.arange(_CLASS_LIMIT + 1, dtype=np.uint32)
    upper = np.zeros(_CLASS_LIMIT + 1, dtype=np.uint8)
    for lo, hi in ((0, 0x33FF), (0xA000, 0xABFF), (0xF900, _CLASS_LIMIT - 1)):
        for c in range(lo, hi + 1):
            char = chr(c)
            category = unicodedata.category(char)
            if category[0] in "LM":
                classes[c] = _LETTER
                lower = char.lower()
                if len(lower) == 1 and lower != char:
                    folded[c], upper[c] = ord(lower), 1
            elif category[0] == "N":
                classes[c], folded[c] = _DIGIT, ord("0")
            elif char.isspace() or category in ("Cc", "Cf"):
                classes[c] = _BLANK
    for lo, hi in _UNSPACED:
        classes[lo : hi + 1] = _IDEOGRAPH
    classes[_HANGUL[0] : _HANGUL[1] + 1] = _LETTER
    full = slice(0xFF21, 0xFF5B)  # full-width Latin letters
    folded[full] = np.char.lower([chr(c - 0xFEE0) for c in range(0xFF21, 0xFF5B)]).view(np.uint32)
    folded[0x2019] = ord("'")
    folded[0x00A0] = ord(" ")
    return classes, folded, upper


_CLASS, _FOLD, _UPPER = _tables()

_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so it has an inverse modulo 2**64
_BASE_INVERSE = np.uint64(pow(int(_BASE), -1, 2**64))
_MIX = np.uint64(0xD6E8FEB86659FD93)
_SALTS = np.array([0x8CB92BA72F3D8DD7, 0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x589965CC75374CC3], dtype=np.uint64)

MAX_CHARS = 2000
"""Characters of a paragraph that are read: a longer one says what it is by then, and a line may have 10 MB."""


def _powers(base: np.uint64, count: int) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        return np.concatenate(([np.uint64(1)], np.full(count, base))).cumprod(dtype=np.uint64)


class _Powers:
    """Powers of the base and of its inverse, grown to the longest batch met so far."""

    def __init__(self) -> None:
        self.up = self.down = _powers(_BASE, 0)

    def reach(self, count: int) -> None:
        if len(self.up) <= count:
            self.up, self.down = _powers(_BASE, count), _powers(_BASE_INVERSE, count)


_POWERS = _Powers()


@dataclass(frozen=True)
class Tokens:
    """The tokens of a batch: spans in ``points``, and the first token of each paragraph."""

    points: NDArray[np.uint32]
    classes: NDArray[np.uint8]
    par_starts: NDArray[np.int64]
    par_ends: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    first: NDArray[np.int64]  # of each paragraph, with one more entry for the end
    prefix_sums: NDArray[np.uint64]

    def hashes(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Hashes of these runs of characters; the same run has the same hash wherever it stands."""
        sums = self.prefix_sums
        return (sums[ends] - sums[starts]) * _POWERS.down[starts]


def tokenize(pages: Sequence[Page]) -> Tokens:
    """Find the tokens of all paragraphs of ``pages``, in order."""
    pieces = [
        page.text[start : min(end, start + MAX_CHARS)]
        for page in pages
        for start, end in zip(page.starts.tolist(), page.ends.tolist(), strict=True)
    ]
    lengths = np.fromiter(map(len, pieces), dtype=np.int64, count=len(pieces))
    par_ends = np.cumsum(lengths + 1) - 1
    par_starts = par_ends - lengths
    points = np.minimum(code_points("\n".join(pieces) + "\n"), _CLASS_LIMIT)
    classes = _CLASS[points]
    filled = classes != _BLANK
    single = classes >= _SIGN
    change = np.empty(len(points) + 1, dtype=bool)
    change[0] = change[-1] = True
    np.not_equal(classes[1:], classes[:-1], out=change[1:-1])
    starts = np.flatnonzero(filled & (change[:-1] | single))
    ends = np.flatnonzero(filled & (change[1:] | single)) + 1
    first = np.searchsorted(starts, np.append(par_starts, len(points)))
    _POWERS.reach(len(points) + 1)
    sums = np.zeros(len(points) + 1, dtype=np.uint64)
    np.cumsum(_FOLD[points] * _POWERS.up[: len(points)], out=sums[1:])
    return Tokens(points, classes, par_starts, par_ends, starts, ends, first, sums)


HASH_BITS = 21
"""Width of the hashed n-gram space; the model keeps the buckets that it learned something of."""
NO_BUCKET = 0
"""The bucket of n-grams that are not there (the prefix of a short word); it has no weight."""

FAMILIES = ("word", "pair", "starts", "stem", "ends", "opens")
"""N-grams of a token: itself, with the next one (the end of the paragraph counts as one), its first three, first
five and last three letters, and itself once more if it opens the paragraph."""
_STARTS, _STEM, _ENDS = 3, 5, 3


def ngram_buckets(tokens: Tokens) -> NDArray[np.int32]:
    """Hash buckets of the n-grams of each token: an array (tokens, families) of ``HASH_BITS``-bit numbers."""
    starts, ends = tokens.starts, tokens.ends
    lengths = ends - starts
    letters = tokens.classes[starts] == _LETTER
    filled = np.diff(tokens.first) > 0
    opening, closing = tokens.first[:-1][filled], tokens.first[1:][filled] - 1
    word = tokens.hashes(starts, ends)
    following = np.append(word[1:], _SALTS[0])[: len(word)]
    following[closing] = _SALTS[0]
    buckets = np.full((len(starts), len(FAMILIES)), NO_BUCKET, dtype=np.int32)
    buckets[:, 0] = _bucket(word)
    buckets[:, 1] = _bucket(word * _SALTS[1] + following)
    longer = np.flatnonzero(letters & (lengths > _STARTS))
    buckets[longer, 2] = _bucket(tokens.hashes(starts[longer], starts[longer] + _STARTS) + _SALTS[0])
    buckets[longer, 4] = _bucket(tokens.hashes(ends[longer] - _ENDS, ends[longer]) + _SALTS[2])
    longest = np.flatnonzero(letters & (lengths > _STEM))
    buckets[longest, 3] = _bucket(tokens.hashes(starts[longest], starts[longest] + _STEM) + _SALTS[1])
    buckets[opening, 5] = _bucket(word[opening] + _SALTS[3])
    return buckets


def _bucket(hashed: NDArray[np.uint64]) -> NDArray[np.int32]:
    mixed = (hashed ^ (hashed >> np.uint64(32))) * _MIX
    return (mixed >> np.uint64(64 - HASH_BITS)).astype(np.int32)


SHAPES: dict[str, int] = {
    "length": 12,
    "tokens": 10,
    "digits": 6,
    "signs": 6,
    "capitals": 6,
    "capitalised words": 6,
    "unspaced script": 3,
    "first character": 6,
    "last character": 12,
    "indent": 6,
    "blank lines before": 3,
    "blank lines after": 3,
    "repeats on the page": 4,
}
"""Shape of a paragraph, beside its words: the name of each feature and the number of its levels."""
SHAPE_OFFSETS = np.cumsum([0, *SHAPES.values()])
"""Where each feature's levels begin in a table of all levels, and their number at the end."""
SHAPE_NUMBERS = 8
"""Columns of :attr:`Shape.numbers`."""
_SHARE_LEVELS = np.array([1e-6, 0.05, 0.15, 0.35, 0.7])
_REPEAT_LEVELS = np.array([2, 3, 5])
_LAST_SIGNS = '.?!:,;)…"”»。|>›→'
_LAST_LEVEL = np.full(_CLASS_LIMIT + 1, 4, dtype=np.int32)
_LAST_LEVEL[[ord(c) for c in _LAST_SIGNS]] = [5, 6, 6, 7, 8, 8, 9, 5, 10, 10, 10, 5, 11, 11, 11, 11]


@dataclass(frozen=True)
class Shape:
    """What is known of each paragraph beside its words: ``levels`` (n, features) as in :data:`SHAPES`, and the
    same measures as ``numbers`` (n, 8): log length, log tokens, shares of digits, signs and capitals among the
    characters and of capitalised words, log indent, log repeats.
    """

    levels: NDArray[np.int32]
    numbers: NDArray[np.float32]


def shape(tokens: Tokens, pages: Sequence[Page]) -> Shape:
    """Shape of all paragraphs of the batch, in order."""
    length = np.concatenate([page.ends - page.starts for page in pages]).astype(np.float32)
    read = np.maximum(tokens.par_ends - tokens.par_starts, 1)
    indent = np.concatenate([page.indents for page in pages])
    before, after = blank_levels([page.blanks for page in pages])
    repeats = np.concatenate([_repeats(part) for part in _by_page(_content_hash(tokens), pages)])
    classes, upper = tokens.classes, _UPPER[tokens.points]
    count = np.diff(tokens.first)
    digits, signs = (_share(classes == c, tokens) / read for c in (_DIGIT, _SIGN))
    unspaced = _share(classes == _IDEOGRAPH, tokens) / read
    capitals = _share(upper > 0, tokens) / read
    titled = np.add.reduceat(np.append(upper[tokens.starts], 0), np.minimum(tokens.first[:-1], len(tokens.starts)))
    titled = np.where(count > 0, titled, 0) / np.maximum(count, 1)
    head = tokens.points[tokens.par_starts]
    last = tokens.points[np.maximum(tokens.par_ends - 1, tokens.par_starts)]
    levels = np.column_stack(
        [
            np.minimum(np.log2(length + 1), 11),
            np.minimum(1.5 * np.log2(count + 1), 9),
            np.searchsorted(_SHARE_LEVELS, digits),
            np.searchsorted(_SHARE_LEVELS, signs),
            np.searchsorted(_SHARE_LEVELS, capitals),
            np.searchsorted(_SHARE_LEVELS, titled),
            np.searchsorted((0.02, 0.4), unspaced),
            _CLASS[head] + (_UPPER[head] > 0) * 4 * (_CLASS[head] == _LETTER),
            np.where(_CLASS[last] == _SIGN, _LAST_LEVEL[last], np.minimum(_CLASS[last], 3)),
            np.searchsorted((1, 3, 5, 7, 9), indent, side="right"),
            before,
            after,
            np.searchsorted(_REPEAT_LEVELS, repeats, side="right"),
        ]
    ).astype(np.int32)
    numbers = np.column_stack(
        [np.log1p(length), np.log1p(count), digits, signs, capitals, titled, np.log1p(indent), np.log(repeats)]
    ).astype(np.float32)
    return Shape(levels, numbers)


def blank_levels(blanks: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Levels of the blank lines before and after each paragraph, from those ``before`` each one of every page."""
    before = np.concatenate(blanks)
    after = np.concatenate([np.append(page[1:], np.int32(1))[: len(page)] for page in blanks])
    return np.minimum(before, 2), np.minimum(after, 2)


def _share(mask: NDArray[np.bool_], tokens: Tokens) -> NDArray[np.int64]:
    sums = np.concatenate(([0], np.cumsum(mask, dtype=np.int64)))
    return sums[tokens.par_ends] - sums[tokens.par_starts]


@dataclass(frozen=True)
class Words:
    """The words of a batch, signs and numbers left out: their ``buckets``, and the ``first`` of each paragraph, with
    one more entry for the end.
    """

    buckets: NDArray[np.int32]
    first: NDArray[np.int64]

    @classmethod
    def of(cls, tokens: Tokens, buckets: NDArray[np.int32]) -> Words:
        """The words among ``tokens``, whose n-gram ``buckets`` are known."""
        kinds = tokens.classes[tokens.starts]
        is_word = (kinds == _LETTER) | (kinds == _IDEOGRAPH)
        before = np.concatenate(([0], np.cumsum(is_word)))
        return cls(buckets[is_word, FAMILIES.index("word")], before[tokens.first])

    def take(self, paragraphs: NDArray[np.int64]) -> Words:
        """The words of these paragraphs, in this order."""
        counts = np.diff(self.first)[paragraphs]
        first = np.concatenate(([0], np.cumsum(counts)))
        index = np.arange(first[-1]) + np.repeat(self.first[paragraphs] - first[:-1], counts)
        return Words(self.buckets[index], first)


COHESION = 5
"""Columns of :func:`cohesion`."""
COMMON_IDF = 3.0
"""Words of a lower idf (in one paragraph of seven or more) say nothing of what a page is about."""
_BODY_CHARS = 120


def cohesion(
    words: Words, rarity: NDArray[np.float32], lengths: NDArray[np.int64], sizes: NDArray[np.int64]
) -> NDArray[np.float32]:
    """How far each paragraph speaks of what its page speaks of: (n, 5).

    A letter to the reader shares few rare words with the article around it, in any language. ``rarity`` weighs each
    word (its idf above :data:`COMMON_IDF`), ``lengths`` are the paragraphs' characters, ``sizes`` the pages' numbers
    of paragraphs. Columns: the share of a paragraph's rare words that occur elsewhere on the page, in its running
    text, in its running text three times or more; log of their weight; whether any occurs in running text.
    """
    n = len(lengths)
    line = np.repeat(np.arange(n), np.diff(words.first))
    page = np.repeat(np.arange(len(sizes)), sizes)
    body = (lengths > _BODY_CHARS)[line]
    key = (page[line] << HASH_BITS) + words.buckets
    order = np.argsort(key, kind="stable")
    ranked = key[order]
    opens = np.flatnonzero(np.diff(ranked, prepend=-1))
    lasts = np.diff(np.append(opens, len(ranked)))
    elsewhere, in_body = np.empty(len(key), dtype=np.int64), np.empty(len(key), dtype=np.int64)
    elsewhere[order] = np.repeat(lasts, lasts) - 1
    if len(key):
        in_body[order] = np.repeat(np.add.reduceat(body[order].astype(np.int64), opens), lasts)
    in_body -= body

    def weight(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.bincount(line, rarity * mask, n).astype(np.float64)

    total = np.bincount(line, rarity, n)
    some = np.maximum(total, 1)
    spoken = weight(in_body > 0)
    columns = [weight(elsewhere > 0) / some, spoken / some, weight(in_body > 2) / some, np.log1p(total) / 3, spoken > 0]
    return np.column_stack(columns).astype(np.float32)


@dataclass(frozen=True)
class Features:
    """All that is read of a batch of pages: ``buckets`` (tokens, families) of n-grams, the ``tokens``, the
    ``shape``, the ``words``, the ``lengths`` of paragraphs (characters) and the ``sizes`` of pages (paragraphs).
    """

    tokens: Tokens
    buckets: NDArray[np.int32]
    shape: Shape
    words: Words
    lengths: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, pages: Sequence[Page]) -> Features:
        """Read ``pages``."""
        tokens = tokenize(pages)
        buckets = ngram_buckets(tokens)
        lengths = np.concatenate([page.ends - page.starts for page in pages])
        sizes = np.array([len(page) for page in pages], dtype=np.int64)
        return cls(tokens, buckets, shape(tokens, pages), Words.of(tokens, buckets), lengths, sizes)


def _content_hash(tokens: Tokens) -> NDArray[np.uint64]:
    return tokens.hashes(tokens.par_starts, tokens.par_ends)


def _by_page(values: NDArray[np.uint64], pages: Sequence[Page]) -> list[NDArray[np.uint64]]:
    return np.split(values, np.cumsum([len(page) for page in pages])[:-1])


def _repeats(hashed: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How often each paragraph's text occurs on its page."""
    _, inverse, counts = np.unique(hashed, return_inverse=True, return_counts=True)
    return counts[inverse]
