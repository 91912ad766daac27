"""HTML to ``Page``: one parse (selectolax's lexbor), one walk over the nodes, no recursion.

The rendering is a reader's: a block is a paragraph, blank lines stand around headings and paragraphs, nested lists
are indented, cells of a table row share a line. Text that only scripts and styles hold is left out.
"""

from __future__ import annotations

import codecs
import math
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from selectolax.lexbor import LexborHTMLParser, LexborNode

from detector.features import HASH_BITS
from detector.page import Markup, Page

_UNSEEN = frozenset({
    "head", "script", "style", "template", "noscript", "iframe", "object", "embed", "svg", "canvas", "audio",
    "video", "area", "textarea", "select", "datalist", "input",
})  # fmt: skip
"""Elements whose text no reader sees, or sees only as the field of a form."""
_SPACED = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "blockquote", "figure"})
_BLOCKS = _SPACED | frozenset({
    "address", "article", "aside", "body", "button", "caption", "center", "dd", "details", "dialog", "dir", "div", "dl",
    "dt", "fieldset", "figcaption", "footer", "form", "frameset", "header", "hgroup", "hr", "html", "label", "legend",
    "li", "main", "menu", "nav", "ol", "option", "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul",
})  # fmt: skip
_LISTS = frozenset({"ul", "ol", "menu", "dir"})
_CELLS = frozenset({"td", "th"})
_CELL_GAP = "\t\t"
_INDENT = 2

_BLANKS = re.compile(r"[ \t\n\r\f]+")
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_DECLARED = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_HEAD_BYTES = 4096
"""Where browsers look for a declared encoding is the first 1,024 bytes; real pages put it later."""


def parse_html(html: str | bytes, url: str | None = None, charset: str | None = None) -> Page:
    """The page that a reader of ``html`` sees, as text with its layout.

    ``charset`` is the HTTP header's, if there is one. What is no HTML gives a page with what text there is.
    """
    text = html if isinstance(html, str) else decode_html(html, charset)
    root = LexborHTMLParser(text.encode("utf-8", "replace")).root if text.strip() else None
    return _walk(root).with_record(None, url, {})


def decode_html(data: bytes, charset: str | None = None) -> str:
    """Text of an HTML file: by its byte order mark, the HTTP charset, UTF-8 if it is that, the charset that it
    declares, or the one that its bytes look like; bytes that do not fit become U+FFFD.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    if charset and _known(charset):
        return data.decode(charset, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    declared = _DECLARED.search(data[:_HEAD_BYTES])
    name = declared[1].decode("ascii") if declared else ""
    if _known(name) and codecs.lookup(name).name != "utf-8":
        return data.decode(name, "replace")
    import chardet

    found = chardet.detect(data)["encoding"]
    return data.decode(found if found and _known(found) else "utf-8", "replace")


def _known(charset: str) -> bool:
    try:
        return bool(codecs.lookup(charset)._is_text_encoding)
    except (LookupError, ValueError):
        return False


_FAR = 12
"""Ancestors that speak for a paragraph: those farther up are the page's, not the widget's."""
_DISTANCES = (0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3)
"""How distances from the paragraph are told apart: itself, near, in its widget, far."""
_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_MOST_CLASSES = 8
_MOST_CACHED = 1_000


@dataclass(frozen=True)
class _Element:
    """An open element: its key among its siblings, and what it says of the text inside it."""

    key: tuple[int | None, str, str]
    says: _Says
    hidden: bool


@dataclass(frozen=True)
class _Says:
    """Hash buckets of an element's tag, classes, id and role at each distance, and its name for people."""

    buckets: tuple[tuple[int, ...], ...]
    name: str


@lru_cache(maxsize=1 << 16)
def _says(tag: str, classes: str, id: str, role: str) -> _Says:
    tokens = {f"<{tag}"}
    names = classes.split()[:_MOST_CLASSES]
    for name in [*names, *([id] if id else [])]:
        tokens.add(f".{name.lower()}")
        tokens.update(f".{part.lower()}" for part in _PARTS.findall(name))
    if role:
        tokens.add(f"role={role}")
    buckets = tuple(tuple(sorted(_bucket(f"{distance} {token}") for token in tokens)) for distance in range(4))
    return _Says(buckets, tag + (f".{names[0]}" if names else f"#{id}" if id else ""))


def _bucket(token: str) -> int:
    return zlib.crc32(token.encode("utf-8", "replace")) % ((1 << HASH_BITS) - 1) + 1


class _Lines:
    """Lines as they come out of the walk: text, indent, whether a blank line stands before each, and their place."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.indents: list[int] = []
        self.spaced: list[bool] = []
        self.places: list[list[_Element]] = []
        self.linked: list[float] = []
        self._pieces: list[str] = []
        self._place: list[_Element] = []
        self._chars = self._link_chars = 0
        self._gap = False

    def add(self, text: str, open_elements: list[_Element], in_link: bool) -> None:
        """Text inside the elements that are open."""
        chars = len(text) - text.count(" ")
        if chars and not self._chars:
            self._place = open_elements[-_FAR:]
        self._chars += chars
        self._link_chars += chars * in_link
        self._pieces.append(text)

    def end(self, indent: int) -> None:
        """Where a block begins or ends, the line before it ends."""
        if self._chars and (line := "".join(self._pieces).strip()):
            self.texts.append(line)
            self.indents.append(indent)
            self.spaced.append(self._gap)
            self.places.append(self._place)
            self.linked.append(self._link_chars / self._chars)
            self._gap = False
        self._pieces.clear()
        self._chars = self._link_chars = 0

    def gap(self) -> None:
        """A blank line, before whatever comes next."""
        self._gap = True

    def page(self, siblings: Counter[tuple[int | None, str, str]]) -> Page:
        """The page of these lines; ``siblings`` counts elements of one shape under one parent."""
        gaps = ["\n\n" if spaced else "\n" for spaced in self.spaced]
        if gaps:
            gaps[0] = ""
        indents = np.array(self.indents, dtype=np.int64)
        lines = zip(gaps, self.indents, self.texts, strict=True)
        text = "".join(gap + " " * indent + line for gap, indent, line in lines)
        lengths = np.array([len(line) for line in self.texts], dtype=np.int64)
        ends = np.cumsum(lengths + indents + np.array([len(gap) for gap in gaps], dtype=np.int64))
        blanks = np.array([len(gap) == 2 for gap in gaps], dtype=np.int32)
        return Page(text, ends - lengths, ends, indents.astype(np.int32), blanks, markup=self._markup(siblings))

    def _markup(self, siblings: Counter[tuple[int | None, str, str]]) -> Markup:
        buckets: list[int] = []
        first = [0]
        numbers = np.zeros((len(self.texts), 4), dtype=np.float32)
        for row, place, density in zip(numbers, self.places, self.linked, strict=True):
            for element, distance in zip(reversed(place), _DISTANCES, strict=False):
                buckets.extend(element.says.buckets[distance])
            first.append(len(buckets))
            alike = max((siblings[element.key] for element in place[-5:]), default=1)
            row[:] = density, math.log1p(len(place)), math.log(alike), any(element.hidden for element in place)
        places = tuple(" > ".join(element.says.name for element in place[-3:]) for place in self.places)
        return Markup(np.array(buckets, dtype=np.int32), np.array(first, dtype=np.int64), numbers, places)


class _Renderer:
    """What opens and closes while the nodes pass: blocks end lines, lists indent, cells share a line."""

    def __init__(self) -> None:
        self.lines = _Lines()
        self._lists = self._preformatted = self._links = 0

    def text(self, text: str, open_elements: list[_Element]) -> None:
        if not self._preformatted:
            self.lines.add(_BLANKS.sub(" ", text), open_elements, self._links > 0)
            return
        first, *rest = text.split("\n")
        self.lines.add(first, open_elements, self._links > 0)
        for line in rest:
            self.lines.end(_INDENT * self._lists)
            self.lines.add(line, open_elements, self._links > 0)

    def open(self, tag: str) -> None:
        if tag == "br" or tag in _BLOCKS:
            self._end(tag)
        self._count(tag, 1)

    def close(self, tag: str, open_elements: list[_Element]) -> None:
        self._count(tag, -1)
        if tag in _CELLS:
            self.lines.add(_CELL_GAP, open_elements, False)
        elif tag in _BLOCKS:
            self._end(tag)

    def _end(self, tag: str) -> None:
        self.lines.end(_INDENT * self._lists)
        if tag in _SPACED:
            self.lines.gap()

    def _count(self, tag: str, step: int) -> None:
        if tag in _LISTS:
            self._lists = max(0, self._lists + step)
        elif tag == "pre":
            self._preformatted += step
        elif tag == "a":
            self._links += step


def _walk(root: LexborNode | None) -> Page:
    """Visit every node once, in document order; the open elements are a list, so depth costs no stack."""
    renderer = _Renderer()
    siblings: Counter[tuple[int | None, str, str]] = Counter()
    keys: list[int] = []
    elements: list[_Element] = []
    unseen = None
    for node in root.traverse(include_text=True) if root is not None else ():
        parent = node.parent
        above = parent.mem_id if parent is not None else None
        while keys and keys[-1] != above:
            key, closed = keys.pop(), elements.pop()
            if unseen is None:
                renderer.close(closed.key[1], elements)
            elif key == unseen:
                unseen = None
        tag = node.tag or ""
        if tag == "-text":
            if unseen is None:
                renderer.text(node.text_content or "", elements)
        elif node.is_element_node:
            element = _element(node, tag, above)
            keys.append(node.mem_id)
            elements.append(element)
            siblings[element.key] += 1
            if unseen is None and tag in _UNSEEN:
                unseen = node.mem_id
            elif unseen is None:
                renderer.open(tag)
    renderer.lines.end(0)
    return renderer.lines.page(siblings)


def _element(node: LexborNode, tag: str, above: int | None) -> _Element:
    attributes = node.attributes
    if not attributes:
        return _Element((above, tag, ""), _says(tag, "", "", ""), False)
    classes = attributes.get("class") or ""
    hidden = (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or bool(_HIDDEN_STYLE.search(attributes.get("style") or ""))
    )
    names = (tag, classes, attributes.get("id") or "", attributes.get("role") or "")
    # Long names would fill the memory, and seldom come twice.
    says = _says(*names) if sum(map(len, names)) <= _MOST_CACHED else _says.__wrapped__(*names)
    return _Element((above, tag, classes), says, hidden)
