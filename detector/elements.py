"""What an HTML page's elements say of the paragraphs inside them: ``Markup``, gathered while the elements open."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import chain, compress
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from detector.features import HASH_BITS
from detector.links import link_tokens
from detector.page import Markup

_DISTANCES = np.array((0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3))
"""How distances from the paragraph are told apart: itself, near, in its widget, far. Ancestors that are farther up
than these speak for the page, not for the paragraph."""
_ALIKE = 5
"""Of so many of its nearest ancestors the siblings of one shape are counted."""
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_PARTS, _LOWER_PARTS = re.compile(_WORDS.pattern.encode()), re.compile(rb"[a-z]+|[0-9]+")
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_MOST_CLASSES = 8
_NAMED = 3
"""So many of its nearest ancestors name a paragraph's place for people."""
_ROWS = 1 << 12
"""Paragraphs whose buckets are gathered at once: the indices take more memory than the buckets."""
WORDED = frozenset({
    "aria-label", "data-action", "data-area", "data-block", "data-component", "data-element",
    "data-ga-category", "data-link-name", "data-module", "data-name", "data-testid", "data-track", "data-type",
    "data-widget", "href", "itemprop", "itemtype", "name", "property", "rel", "target", "title", "type",
})  # fmt: skip
"""Attributes whose words are read with their names."""
TELLING = WORDED | {"id", "role", "style", "hidden", "aria-hidden"}
"""Attributes that are read beside ``class``."""
Named = tuple[tuple[str, str | None], ...]
Kind = (
    tuple[str]
    | tuple[str, str | None]
    | tuple[str, str | None, str | None, str | None, bool, Named]
    | tuple[str, str | None, str | None, str | None, bool, Named, frozenset[str]]
)
"""An element's tag, classes, id, role, whether it is hidden, other attributes, and what fields it holds; only the first
ones where it has no others."""
_ABSENT = ("", None, None, None, False, ())
"""A kind of six, of nothing: what a shorter one leaves out."""
_HOLDERS, _NEAR = 5, 2
"""So many ancestors are told of a field, within its form; so many of an image or a button, which are everywhere."""
_EVERYWHERE = frozenset({"img", "button"})
_LONGEST_VALUE, _MOST_WORDS = 60, 6
_LONGEST_NAME = 256
"""Names that are longer are data, not names; one of 50 MB would be told of every paragraph in it."""


_REMEMBERED = 1 << 14
_CRC_BITS = 32
_CRC = (1 << _CRC_BITS) - 1
_DOT = crc32(b".")


def _crc_shifts(longest: int) -> NDArray[np.int64]:
    """By what a token's CRC-32 changes when its distance and a space stand before it: CRCs are linear, so that depends
    on the token's length (to ``longest``) alone.
    """
    zeros = [bytes(length) for length in range(longest + 1)]
    before = [crc32(b"%d " % distance) for distance in range(4)]
    return np.array([[crc32(zero, state) ^ crc32(zero) for zero in zeros] for state in before])


_CRC_SHIFTS = _crc_shifts(4 * (len("role=") + _LONGEST_NAME))


class _Memo(dict[str, Any]):
    """What ``read`` makes of a string, kept until there are too many of them.

    Most names are those of one page: to order them by their last use, as ``lru_cache`` does, costs more than it saves.
    """

    def __init__(self, read: Callable[[str], Any]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, name: str) -> Any:  # noqa: ANN401  whatever ``read`` gives
        if len(self) >= _REMEMBERED:
            self.clear()
        self[name] = made = self._read(name)
        return made


class _Numbers(dict["Kind", int]):
    """Kinds, numbered as they come."""

    def __init__(self) -> None:
        self.kinds: list[Kind] = []

    def __missing__(self, kind: Kind) -> int:
        self[kind] = number = len(self)
        self.kinds.append(kind)
        return number


class Elements:
    """Elements in the order in which they open: the number of each one's parent (-1: none) and of its kind."""

    def __init__(self) -> None:
        self.parents: list[int] = []
        self.kinds: list[int] = []
        self.known = _Numbers()

    def hold(self, inside: int, tag: str, type: str | None) -> None:
        """A field, an image or a button (``tag``, of a ``type``) stands in the element ``inside``: it and its nearest
        ancestors hold one.
        """
        field = f"has={tag} {(type or 'text').lower()[:_LONGEST_VALUE]}" if tag == "input" else f"has={tag}"
        for _ in range(_NEAR if tag in _EVERYWHERE else _HOLDERS):
            if inside < 0:
                return
            kind = self.known.kinds[self.kinds[inside]]
            fields = kind[6] | {field} if len(kind) == 7 else frozenset((field,))
            self.kinds[inside] = self.known[(*kind[:6], *_ABSENT[len(kind) :], fields)]
            if kind[0] == "form":
                return
            inside = self.parents[inside]

    def markup(self, owners: NDArray[np.int32], linked: NDArray[np.float64], site: str) -> Markup:
        """What is said of paragraphs inside the elements ``owners`` of a page of ``site``; ``linked`` is the share of
        each that is links.
        """
        # One element more, above the outermost: the parent -1 is the last.
        parents = np.array([*self.parents, -1], dtype=np.int32)
        kinds = np.array([*self.kinds, len(self.known)], dtype=np.int32)
        chains = _chains(parents, owners)
        chain_kinds = kinds[chains]
        used = np.zeros(len(self.known) + 1, dtype=bool)
        used[chain_kinds] = used[-1] = True
        known = list(compress(self.known, used.tolist()))
        says = [*[_says_of(kind, site) for kind in known], _NOTHING]
        says_of = (np.cumsum(used, dtype=np.int32) - 1)[chain_kinds]
        buckets, first = _bags(says, says_of)
        hidden = np.array([*[len(kind) > 4 and kind[4] for kind in known], False])[says_of].any(axis=1)
        depths = (chains >= 0).sum(axis=1)
        alike = self._alike(parents, kinds, chains[:, :_ALIKE]).max(axis=1)
        numbers = np.column_stack([linked, np.log1p(depths), np.log(alike), hidden]).astype(np.float32)
        return Markup(buckets, first, numbers, says_of[:, :_NAMED], tuple(it.name for it in says))

    def _alike(
        self, parents: NDArray[np.int32], kinds: NDArray[np.int32], elements: NDArray[np.int32]
    ) -> NDArray[np.int64]:
        """How many elements of the tag and classes of each of ``elements`` its parent holds; 1 for what is above the
        outermost.
        """
        numbers: dict[tuple[str, str], int] = {}
        shapes = [numbers.setdefault(_shape(kind), len(numbers)) for kind in self.known]
        shapes.append(len(numbers))
        keys = parents.astype(np.int64) * len(shapes) + np.array(shapes)[kinds]
        sought = keys[elements]
        keys.sort()
        return np.asarray(np.searchsorted(keys, sought, side="right") - np.searchsorted(keys, sought))


def _shape(kind: Kind) -> tuple[str, str]:
    """Tag and classes: what siblings have in common."""
    return kind[0], kind[1] or "" if len(kind) > 1 else ""


def kind(tag: str, attributes: dict[str, str | None]) -> Kind:
    """The kind of an element that has attributes."""
    get = attributes.get
    if TELLING.isdisjoint(attributes):
        return tag, get("class")
    hidden = (
        "hidden" in attributes
        or get("aria-hidden") == "true"
        or ("style" in attributes and _HIDDEN_STYLE.search(get("style") or "") is not None)
    )
    named = tuple([item for item in attributes.items() if item[0] in WORDED])
    return tag, get("class"), get("id"), get("role"), hidden, named


def _chains(parents: NDArray[np.int32], owners: NDArray[np.int32]) -> NDArray[np.int32]:
    """For each paragraph its element and that one's ancestors (n, 12), the nearest first; -1 where there is none."""
    chains = np.empty((len(owners), len(_DISTANCES)), dtype=np.int32)
    ancestors = owners
    for column in chains.T:
        column[:] = ancestors
        ancestors = parents[ancestors]
    return chains


def _bags(says: list[_Says], says_of: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The buckets of what is said of each paragraph, one after another, and where each one's begin."""
    tokens = np.array([len(it.tokens) for it in says])
    buckets_at = _buckets(np.array(list(chain.from_iterable(it.tokens for it in says)), dtype=np.int64), tokens)
    starts = np.append(0, np.cumsum(tokens))[:-1]
    sizes = tokens[says_of]
    first = np.append(0, np.cumsum(sizes.sum(axis=1)))
    buckets = np.empty(first[-1], dtype=np.int32)
    for begin in range(0, len(sizes), _ROWS):
        rows = slice(begin, begin + _ROWS)
        runs = sizes[rows].ravel()
        ends = np.cumsum(runs)
        shifts = (starts[says_of[rows]] + _DISTANCES * buckets_at.shape[1]).ravel() - (ends - runs)
        at = np.repeat(shifts, runs)
        at += np.arange(len(at))
        buckets[first[begin] : first[begin] + len(at)] = buckets_at.ravel().take(at)
    return buckets, first


def _buckets(tokens: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int32]:
    """The hash bucket of each token at each distance (4, tokens), sorted within each run of ``sizes`` tokens."""
    at_distance = (tokens & _CRC) ^ _CRC_SHIFTS[:, tokens >> _CRC_BITS]
    keys = np.repeat(np.arange(len(sizes)) << HASH_BITS, sizes) + at_distance % ((1 << HASH_BITS) - 1) + 1
    if len(sizes) <= 1 << (_CRC_BITS - HASH_BITS):
        keys = keys.astype(np.uint32)  # which are sorted in half the time
    keys.sort(axis=1)
    return np.asarray(keys & ((1 << HASH_BITS) - 1), dtype=np.int32)


class _Says(NamedTuple):
    """What an element says of the text inside it: hashes of its tag, classes, id and role; its name for people."""

    tokens: tuple[int, ...]
    name: str


_NOTHING = _Says((), "")


def _says_of(kind: Kind, site: str) -> _Says:
    says = _says(*kind[:4])
    if len(kind) < 6:
        return says
    tokens = says.tokens
    for name, value in kind[5]:
        if name != "href":
            tokens += _worded_tokens(name, value[:_LONGEST_VALUE]) if value else ()
        elif kind[0] == "a":
            tokens += _link_tokens(value or "", site)
    if len(kind) == 7:
        tokens += tuple([_TOKEN[field] for field in sorted(kind[6])])
    return _Says(tokens, says.name)


@lru_cache(maxsize=_REMEMBERED)
def _link_tokens(target: str, site: str) -> tuple[int, ...]:
    return tuple([_TOKEN[token] for token in link_tokens(target, site)])


@lru_cache(maxsize=_REMEMBERED)
def _worded_tokens(name: str, value: str) -> tuple[int, ...]:
    return tuple({_TOKEN[f"{name}={word.lower()}"] for word in _WORDS.findall(value)[:_MOST_WORDS]})


def _says(tag: str, classes: str | None = None, id: str | None = None, role: str | None = None) -> _Says:
    names = [name[:_LONGEST_NAME] for name in classes.split(maxsplit=_MOST_CLASSES)[:_MOST_CLASSES]] if classes else []
    name = f"{tag}.{names[0]}" if names else f"{tag}#{id[:_LONGEST_NAME]}" if id else tag
    if id:
        names.append(id[:_LONGEST_NAME])
    tokens = {_TOKEN[f"<{tag[:_LONGEST_NAME]}"]}.union(*[_TOKENS[name] for name in names])
    if role:
        tokens.add(_TOKEN[f"role={role[:_LONGEST_NAME]}"])
    return _Says(tuple(tokens), name)


def _tokens(name: str) -> list[int]:
    """A class or an id, and the parts of which it is made."""
    data, lower = name.encode("utf-8", "replace"), name.lower().encode("utf-8", "replace")
    parts = _LOWER_PARTS.findall(data) if data == lower else map(bytes.lower, _PARTS.findall(data))
    return [len(part) + 1 << _CRC_BITS | crc32(part, _DOT) for part in (lower, *parts)]


def _token(token: str) -> int:
    """CRC-32 of a token, above it its length in bytes: with these its hash at any distance can be told."""
    data = token.encode("utf-8", "replace")
    return len(data) << _CRC_BITS | crc32(data)


_TOKENS, _TOKEN = _Memo(_tokens), _Memo(_token)
