"""Pages to features: hashed n-grams, levels of the shape, numbers. The hot path.

Nothing here loops over words. A batch of pages is one array of code points; words are runs of one character
class, found by comparing neighbours; the hash of any run of characters is a difference of prefix sums of the
polynomial ``sum(c[i] * B**i) mod 2**64``, divided by ``B**start`` (Karp and Rabin 1987), so words, their
prefixes and suffixes and pairs of words all cost a few array operations for the whole batch.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.page import Page
from detector.segment import UNSPACED, code_points

# Character classes: what makes a token. Runs of letters and of digits are tokens; an ideograph, a kana, a Thai
# letter (scripts without spaces) and any other sign are tokens of their own.
_BLANK, _LETTER, _DIGIT, _SIGN, _IDEOGRAPH = range(5)
KINDS_OF_WORDS = (_LETTER, _IDEOGRAPH)
_CLASS_LIMIT = 0xFFFF  # the last entry stands for everything beyond the basic plane
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
    for lo, hi in UNSPACED:
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


RUN_CHARS = 1 << 20
"""Characters hashed at once: bounds the memory that one long page takes, and the table of powers below."""


def _powers(base: np.uint64) -> NDArray[np.uint64]:
    """Powers of ``base`` from 0. A running product waits for itself; here each stretch is the one before it, scaled."""
    powers = np.ones(RUN_CHARS + 1, dtype=np.uint64)
    known = 1
    while known < len(powers):
        end = min(2 * known, len(powers))
        np.multiply(powers[: end - known], np.uint64(pow(int(base), known, 2**64)), out=powers[known:end])
        known = end
    return powers


@cache
def _tables_of_powers() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Powers of the base and of its inverse, up to the longest run."""
    return _powers(_BASE), _powers(_BASE_INVERSE)


@dataclass(frozen=True)
class Tokens:
    """The tokens of a run of paragraphs: spans in ``points``, and the first token of each paragraph."""

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
        return (sums[ends] - sums[starts]) * _tables_of_powers()[1][starts]


def _look_up(table: NDArray[Any], points: NDArray[np.uint32]) -> NDArray[Any]:
    """The entries of code points; the last one is that of all beyond the basic plane."""
    return table.take(points, mode="clip")


def tokenize(paragraphs: Sequence[str]) -> Tokens:
    """Find the tokens of paragraphs that together have no more than :data:`RUN_CHARS` characters and ends."""
    lengths = np.fromiter(map(len, paragraphs), dtype=np.int64, count=len(paragraphs))
    par_ends = np.cumsum(lengths + 1) - 1
    par_starts = par_ends - lengths
    points = code_points("\n".join(paragraphs) + "\n")
    classes = _look_up(_CLASS, points)
    filled = classes != _BLANK
    single = classes >= _SIGN
    change = np.empty(len(points) + 1, dtype=bool)
    change[0] = change[-1] = True
    np.not_equal(classes[1:], classes[:-1], out=change[1:-1])
    starts = np.flatnonzero(filled & (change[:-1] | single))
    ends = np.flatnonzero(filled & (change[1:] | single)) + 1
    first = np.append(np.searchsorted(starts, par_starts), len(starts))
    sums = np.zeros(len(points) + 1, dtype=np.uint64)
    np.cumsum(_look_up(_FOLD, points) * _tables_of_powers()[0][: len(points)], out=sums[1:])
    return Tokens(points, classes, par_starts, par_ends, starts, ends, first, sums)


def read_paragraphs(page: Page) -> list[str]:
    """What is read of each paragraph of ``page``: its first :data:`MAX_CHARS` characters."""
    text, ends = page.text, np.minimum(page.ends, page.starts + MAX_CHARS)
    return [text[start:end] for start, end in zip(page.starts.tolist(), ends.tolist(), strict=True)]


def _runs(paragraphs: Sequence[str]) -> Iterator[Sequence[str]]:
    """``paragraphs`` in runs that can be hashed at once."""
    ends = np.cumsum(np.fromiter(map(len, paragraphs), dtype=np.int64, count=len(paragraphs)) + 1)
    begin = done = 0
    while len(paragraphs) - begin and ends[-1] - done > RUN_CHARS:
        end = int(np.searchsorted(ends, done + RUN_CHARS, side="right"))
        yield paragraphs[begin:end]
        begin, done = end, int(ends[end - 1])
    yield paragraphs[begin:]


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
    words, pairs, beginnings, stems, endings, opens = buckets.T
    words[:] = _bucket(word)
    pairs[:] = _bucket(word * _SALTS[1] + following)
    longer = np.flatnonzero(letters & (lengths > _STARTS))
    beginnings[longer] = _bucket(tokens.hashes(starts[longer], starts[longer] + _STARTS) + _SALTS[0])
    endings[longer] = _bucket(tokens.hashes(ends[longer] - _ENDS, ends[longer]) + _SALTS[2])
    longest = np.flatnonzero(letters & (lengths > _STEM))
    stems[longest] = _bucket(tokens.hashes(starts[longest], starts[longest] + _STEM) + _SALTS[1])
    opens[opening] = _bucket(word[opening] + _SALTS[3])
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
OWN_NUMBERS, PAGE_NUMBERS, PLACE_NUMBERS, MARKUP_NUMBERS = 7, 6, 9, 5
"""Columns of :attr:`Features.numbers`, of :meth:`Features.page_numbers`, of :meth:`Features.place_numbers`, of
:attr:`Features.markup_numbers`."""
NUMBERS = OWN_NUMBERS + PAGE_NUMBERS + PLACE_NUMBERS + MARKUP_NUMBERS
_SHARE_LEVELS = np.array([1e-6, 0.05, 0.15, 0.35, 0.7])
_REPEAT_LEVELS = np.array([2, 3, 5])
_LAST_SIGNS = '.?!:,;)…"”»。|>›→'
_LAST_LEVEL = np.full(_CLASS_LIMIT + 1, 4, dtype=np.int32)
_LAST_LEVEL[[ord(c) for c in _LAST_SIGNS]] = [5, 6, 6, 7, 8, 8, 9, 5, 10, 10, 10, 5, 11, 11, 11, 11]


def _own_shape(tokens: Tokens) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Shape of paragraphs by their characters alone: levels (n, 8) and numbers (n, 5).

    The numbers are log tokens, and the shares of digits, signs and capitals among the characters and of capitalised
    words among the tokens.
    """
    read = np.maximum(tokens.par_ends - tokens.par_starts, 1)
    upper = _look_up(_UPPER, tokens.points)
    lengths, kinds = tokens.ends - tokens.starts, tokens.classes[tokens.starts]
    count = np.diff(tokens.first)
    digits, signs, unspaced = (
        _totals(lengths * (kinds == kind), tokens.first) / read for kind in (_DIGIT, _SIGN, _IDEOGRAPH)
    )
    capitals = _totals(upper, np.append(tokens.par_starts, len(upper))) / read
    titled = _totals(upper[tokens.starts], tokens.first) / np.maximum(count, 1)
    head = np.minimum(tokens.points[tokens.par_starts], _CLASS_LIMIT)
    last = np.minimum(tokens.points[np.maximum(tokens.par_ends - 1, tokens.par_starts)], _CLASS_LIMIT)
    levels = [
        np.minimum(1.5 * np.log2(count + 1), 9),
        *(np.searchsorted(_SHARE_LEVELS, share) for share in (digits, signs, capitals, titled)),
        np.searchsorted((0.02, 0.4), unspaced),
        _CLASS[head] + (_UPPER[head] > 0) * 4 * (_CLASS[head] == _LETTER),
        np.where(_CLASS[last] == _SIGN, _LAST_LEVEL[last], np.minimum(_CLASS[last], 3)),
    ]
    numbers = [np.log1p(count), digits, signs, capitals, titled]
    return np.column_stack(levels).astype(np.int32), np.column_stack(numbers).astype(np.float32)


def _totals(values: NDArray[Any], first: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sums of the ``values`` from each of ``first`` to the next."""
    sums = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=sums[1:])
    return np.diff(sums[first])


@dataclass(frozen=True)
class Bags:
    """For each of n paragraphs some hash ``buckets``: those from ``first[i]`` to ``first[i + 1]``."""

    buckets: NDArray[np.int32]
    first: NDArray[np.int64]

    @classmethod
    def joined(cls, parts: Sequence[Bags]) -> Bags:
        """The bags of several runs of paragraphs, one after another."""
        counts = np.concatenate([np.zeros(1, dtype=np.int64), *(np.diff(part.first) for part in parts)])
        buckets = np.concatenate([np.zeros((0, *parts[0].buckets.shape[1:]), np.int32), *(p.buckets for p in parts)])
        return cls(buckets, np.cumsum(counts))

    def index(self, paragraphs: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the buckets of these paragraphs stand, in this order, and where each paragraph's begin then."""
        counts = np.diff(self.first)[paragraphs]
        first = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])
        return np.arange(first[-1]) + np.repeat(self.first[paragraphs] - first[:-1], counts), first

    def take(self, paragraphs: NDArray[np.int64]) -> Bags:
        """The bags of these paragraphs, in this order."""
        index, first = self.index(paragraphs)
        return Bags(self.buckets[index], first)


COMMON_IDF = 3.0
"""Words of a lower idf (in one paragraph of seven or more) say nothing of what a page is about."""
_BODY_CHARS = 120


@dataclass(frozen=True)
class Features:
    """All that is read of a batch of pages, a row a paragraph, before their pages are looked at as wholes.

    ``ngrams``: buckets (tokens, families) of the words' n-grams. ``words``: buckets of the words alone, signs and
    numbers left out. ``levels`` (n, 10) and ``numbers`` (n, 7) of the shape; ``content``: a hash of the text;
    ``lengths`` in characters; ``blanks``: the blank lines before each. ``markup``: buckets of what the HTML says of
    each paragraph's place, and ``markup_numbers`` (n, 5); empty and 0 for pages of plain text. ``sizes`` of the pages.
    """

    ngrams: Bags
    words: Bags
    levels: NDArray[np.int32]
    numbers: NDArray[np.float32]
    content: NDArray[np.uint64]
    lengths: NDArray[np.int64]
    blanks: NDArray[np.int32]
    markup: Bags
    markup_numbers: NDArray[np.float32]
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, pages: Sequence[Page]) -> Features:
        """Read ``pages``."""
        paragraphs = [paragraph for page in pages for paragraph in read_paragraphs(page)]
        ngrams, words, levels, numbers, content = zip(*map(_read, _runs(paragraphs)), strict=True)
        lengths = np.concatenate([page.ends - page.starts for page in pages])
        indents = np.concatenate([page.indents for page in pages])
        length = np.minimum(np.log2(lengths + 1), 11).astype(np.int32)
        indent = np.searchsorted((1, 3, 5, 7, 9), indents, side="right").astype(np.int32)
        logs = np.column_stack([np.log1p(lengths), np.log1p(indents)]).astype(np.float32)
        return cls(
            ngrams=Bags.joined(ngrams),
            words=Bags.joined(words),
            levels=np.column_stack([length, np.vstack(levels), indent]),
            numbers=np.hstack([logs, np.vstack(numbers)]),
            content=np.concatenate(content),
            lengths=lengths,
            blanks=np.concatenate([page.blanks for page in pages]),
            markup=Bags.joined([_markup(page) for page in pages]),
            markup_numbers=np.vstack([_markup_numbers(page) for page in pages]),
            sizes=np.array([len(page) for page in pages], dtype=np.int64),
        )

    @cached_property
    def repeats(self) -> NDArray[np.int64]:
        """How often each paragraph's text occurs on its page, itself included."""
        _, inverse, counts = np.unique(
            self.content + self.page.astype(np.uint64) * _MIX, return_inverse=True, return_counts=True
        )
        return np.asarray(counts[inverse], dtype=np.int64)

    @property
    def page(self) -> NDArray[np.int64]:
        """For each paragraph the number of its page."""
        return np.repeat(np.arange(len(self.sizes), dtype=np.int64), self.sizes)

    def all_levels(self) -> NDArray[np.int32]:
        """Levels (n, features) as in :data:`SHAPES`: the paragraph's own, and those of its place on its page."""
        return np.hstack([self.levels, self.page_levels()])

    def all_numbers(self, rarity: NDArray[np.float32]) -> NDArray[np.float32]:
        """Numbers (n, 27) of the shape, of what the page shares with it, of its place there, and of its markup."""
        return np.hstack([self.numbers, self.page_numbers(rarity), self.place_numbers(), self.markup_numbers])

    def place_numbers(self) -> NDArray[np.float32]:
        """Where each paragraph stands on its page and in its group, the paragraphs between two blank lines: (n, 9).

        Columns: the share of the page that lies before it; logs of how many paragraphs lie before it, after it, and on
        the page; logs of the size of its group and of its place in it; that place as a share; the mean log length of
        the paragraphs of its group, and of its page.
        """
        if not len(self.lengths):
            return np.zeros((0, PLACE_NUMBERS), dtype=np.float32)
        pages = self.sizes[self.sizes > 0]
        before, size = _places(pages)
        opens = np.flatnonzero((self.blanks > 0) | (before == 0))
        groups = np.diff(np.append(opens, len(self.lengths)))
        before_in_group, group = _places(groups)
        columns = [
            before / size,
            np.log1p(before),
            np.log1p(size - 1 - before),
            np.log(size),
            np.log(group),
            np.log1p(before_in_group),
            before_in_group / group,
            _means(np.log1p(self.lengths), groups),
            _means(np.log1p(self.lengths), pages),
        ]
        return np.column_stack(columns).astype(np.float32)

    def page_levels(self) -> NDArray[np.int32]:
        """Levels (n, 3) of what a paragraph's place on its page gives: blank lines before and after it, repeats."""
        last = np.cumsum(self.sizes[self.sizes > 0]) - 1
        after = np.append(self.blanks[1:], np.int32(1))[: len(self.blanks)]
        after[last] = 1
        repeated = np.searchsorted(_REPEAT_LEVELS, self.repeats, side="right")
        return np.column_stack([np.minimum(self.blanks, 2), np.minimum(after, 2), repeated]).astype(np.int32)

    def page_numbers(self, rarity: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log repeats, and how far each paragraph speaks of what its page speaks of: (n, 6).

        A letter to the reader shares few rare words with the article around it, in any language. ``rarity`` weighs
        each of :attr:`words` (its idf above :data:`COMMON_IDF`). Columns from the second: the share of a paragraph's
        rare words that occur elsewhere on the page, in its running text, in its running text three times or more;
        log of their weight; whether any occurs there.
        """
        n = len(self.lengths)
        line = np.repeat(np.arange(n), np.diff(self.words.first))
        body = (self.lengths > _BODY_CHARS)[line]
        elsewhere, in_body = _elsewhere(self.words, self.page[line], body)

        def weight(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
            return np.bincount(line, rarity * mask, n).astype(np.float64)

        total = np.bincount(line, rarity, n)
        some = np.maximum(total, 1)
        spoken = weight(in_body > 0)
        shares = [weight(elsewhere > 0) / some, spoken / some, weight(in_body > 2) / some]
        columns = [np.log(self.repeats), *shares, np.log1p(total) / 3, spoken > 0]
        return np.column_stack(columns).astype(np.float32)


def _places(sizes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each member of runs of these sizes how many stand before it in its run, and the run's size."""
    before = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return before, np.repeat(sizes, sizes)


def _means(values: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each member of runs of these sizes (none 0) the mean of its run's values."""
    return np.repeat(np.add.reduceat(values, np.cumsum(sizes) - sizes) / sizes, sizes)


def _read(paragraphs: Sequence[str]) -> tuple[Bags, Bags, NDArray[np.int32], NDArray[np.float32], NDArray[np.uint64]]:
    """N-grams, words, levels, numbers and content hashes of one run of paragraphs."""
    tokens = tokenize(paragraphs)
    buckets = ngram_buckets(tokens)
    kinds = tokens.classes[tokens.starts]
    is_word = (kinds == _LETTER) | (kinds == _IDEOGRAPH)
    before = np.concatenate(([0], np.cumsum(is_word, dtype=np.int64)))
    words = Bags(buckets[:, FAMILIES.index("word")][is_word], before[tokens.first])
    levels, numbers = _own_shape(tokens)
    return Bags(buckets, tokens.first), words, levels, numbers, tokens.hashes(tokens.par_starts, tokens.par_ends)


def _markup(page: Page) -> Bags:
    if page.markup is None:
        return Bags(np.zeros(0, dtype=np.int32), np.zeros(len(page) + 1, dtype=np.int64))
    return Bags(page.markup.buckets, page.markup.first)


def _markup_numbers(page: Page) -> NDArray[np.float32]:
    if page.markup is None:
        return np.zeros((len(page), MARKUP_NUMBERS), dtype=np.float32)
    return np.column_stack([np.ones(len(page), dtype=np.float32), page.markup.numbers])


def _sorted(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order of ``keys``, and they in this order. For keys that leave room for an index: sorting numbers is far
    faster than by them.
    """
    bits = len(keys).bit_length()
    if not len(keys) or int(keys.max()).bit_length() + bits > 63:
        order = np.argsort(keys, kind="stable")
        return order, keys[order]
    indexed = (keys << bits) | np.arange(len(keys))
    indexed.sort()
    return indexed & ((1 << bits) - 1), indexed >> bits


def _elsewhere(
    words: Bags, page: NDArray[np.int64], body: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often else each word occurs on its page, and in the running text of its page."""
    order, keys = _sorted((page << HASH_BITS) + words.buckets)
    opens = np.flatnonzero(np.diff(keys, prepend=-1))
    counts = np.diff(opens, append=len(keys))
    elsewhere, in_body = np.empty(len(keys), dtype=np.int64), np.empty(len(keys), dtype=np.int64)
    if len(keys):
        elsewhere[order] = np.repeat(counts - 1, counts)
        in_body[order] = np.repeat(np.add.reduceat(body[order], opens, dtype=np.int64), counts)
    return elsewhere, in_body - body
