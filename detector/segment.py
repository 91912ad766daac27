"""Plain text to ``Page``: a non-blank line is a paragraph; the wrapped lines of one paragraph are joined."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detector.page import Page

# Everything that str.splitlines() and str.isspace() know lies at or below U+3000.
_TABLE_SIZE = 0x3001
_SPACE, _BREAK = 1, 2
_KINDS = np.array([_SPACE * chr(c).isspace() for c in range(_TABLE_SIZE)] + [0], dtype=np.uint8)
"""Of each code point whether it is white space or ends a line; the last entry stands for all beyond the table."""
_KINDS[[0x0A, 0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0x85, 0x2028, 0x2029]] = _BREAK
_CR, _LF = 0x0D, 0x0A

UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x2E80, 0x2FDF),
    (0x3040, 0x30FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
)
"""Unicode ranges of scripts written without spaces: Thai to Burmese, Khmer, ideographs and radicals, kana."""
_BREAKS_ANYWHERE = np.zeros(_TABLE_SIZE + 1, dtype=bool)
for _lo, _hi in UNSPACED:
    _BREAKS_ANYWHERE[_lo : _hi + 1] = True
# What lies beyond the table is taken for ideographs: of the scripts there, they fill most pages.
_BREAKS_ANYWHERE[-1] = True

# Mail wraps at 72 to 78 columns, Gutenberg at 70 to 75, man pages at 80, some mailers at 100.
_WRAP_WIDTHS = range(45, 101)
_MIN_WRAPPED_PAIRS = 4
_MIN_WRAPPED_SHARE = 0.65
# Lines of one length that each end a sentence are a list; wrapping cuts sentences where it falls.
_MOST_CLOSED = 0.5
_FULL_STOPS = np.array([ord(sign) for sign in ".!?:;…。！？；：۔।"], dtype=np.uint32)
# A wrapped text has few lines longer than its width (a long URL, a table row); they do not define it.
_OVERLONG_SHARE = 0.02


def code_points(text: str) -> NDArray[np.uint32]:
    """The code points of ``text``; lone surrogates, which broken JSON escapes leave behind, are kept."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def segment(text: str) -> Page:
    """Split ``text`` into paragraphs.

    The spans are ordered and disjoint and cover every character that is not white space. Lines end where
    ``str.splitlines`` ends them. Text wrapped at a fixed width is recognised by its lines: in wrapped text the
    next line's first word would not have fitted on the line before.
    """
    signs = code_points(text)
    kinds = _KINDS.take(signs, mode="clip")
    line_starts, line_ends = _lines(signs, kinds)
    word_starts, word_ends = _words(kinds > 0)
    first = np.searchsorted(word_starts, line_starts)
    last = np.searchsorted(word_starts, line_ends)
    filled = np.flatnonzero(last > first)
    starts = word_starts[first[filled]]
    ends = word_ends[last[filled] - 1]
    indents = (starts - line_starts[filled]).astype(np.int32)
    blanks = (np.diff(filled, prepend=-1) - 1).astype(np.int32)
    # A script without spaces breaks at any character: its first word is one.
    first_word = np.where(_BREAKS_ANYWHERE.take(signs[starts], mode="clip"), 1, word_ends[first[filled]] - starts)
    joined = _wrapped(indents, ends - starts, blanks, first_word, signs[ends - 1])
    head = ~joined
    tail = np.ones(len(head), dtype=bool)
    tail[:-1] = head[1:]
    return Page(text, starts[head], ends[tail], indents[head], blanks[head])


def _lines(signs: NDArray[np.uint32], kinds: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends of all lines, blank ones too; a CR before a LF is white space, not an end."""
    breaks = np.flatnonzero(kinds == _BREAK)
    is_pair = (signs[breaks[:-1]] == _CR) & (signs[breaks[1:]] == _LF) & (np.diff(breaks) == 1)
    if is_pair.any():
        breaks = breaks[np.append(~is_pair, True)]
    bounds = np.empty(len(breaks) + 2, dtype=np.int64)
    bounds[0], bounds[1:-1], bounds[-1] = -1, breaks, len(signs)
    return bounds[:-1] + 1, bounds[1:]


def _words(space: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and ends of the runs of characters that are not white space."""
    within = np.ones(len(space) + 2, dtype=bool)
    within[1:-1] = space
    edges = np.flatnonzero(within[1:] != within[:-1])
    return edges[0::2], edges[1::2]


def _wrapped(
    indents: NDArray[np.int32],
    lengths: NDArray[np.int64],
    blanks: NDArray[np.int32],
    first_word: NDArray[np.int64],
    last_sign: NDArray[np.uint32],
) -> NDArray[np.bool_]:
    """For each filled line, whether it continues the paragraph of the line before it."""
    none = np.zeros(len(lengths), dtype=bool)
    if len(lengths) <= _MIN_WRAPPED_PAIRS:
        return none
    widths = indents + lengths
    width = int(np.sort(widths)[-1 - int(_OVERLONG_SHARE * len(widths))])
    if width not in _WRAP_WIDTHS:
        return none
    together = blanks[1:] == 0
    overflow = together & (widths[:-1] + 1 + first_word[1:] > width)
    if overflow.sum() < max(_MIN_WRAPPED_PAIRS, _MIN_WRAPPED_SHARE * together.sum()):
        return none
    if np.isin(last_sign[:-1][overflow], _FULL_STOPS).mean() > _MOST_CLOSED:
        return none
    return np.append(False, overflow & (indents[1:] <= indents[:-1]))
