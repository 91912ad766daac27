"""HTML to ``Page``: one parse (selectolax's lexbor), one walk over the nodes, no recursion.

The rendering is a reader's: a block is a paragraph, blank lines stand around headings and paragraphs, nested lists
are indented, cells of a table row share a line. Text that only scripts and styles hold is left out.
"""

from __future__ import annotations

import re

import numpy as np
from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, LexborNode

from detector.elements import Elements, kind
from detector.encodings import decode_html, encode_html
from detector.links import site_of
from detector.page import Page
from detector.taming import tame

__all__ = ["Walk", "decode_html", "parse_html"]

UNSEEN, BLOCK, SPACED, LIST, PRE, LINK, CELL, BREAK, HELD = (1 << bit for bit in range(9))
"""What a tag does to the text: its inside is not seen; it ends the line; blank lines stand around it; it indents;
its line breaks stay; it is a link; it is a cell of a table; it is ``br``;
what holds it is told of it."""
_BREAKING, _COUNTED = BLOCK | BREAK, LIST | PRE | LINK


def _roles() -> dict[str, int]:
    """The roles of the tags that have any; of nodes that are no elements, ``UNSEEN``."""
    named = {
        # Elements whose text no reader sees, or sees only as the field of a form.
        UNSEEN: "head script style template iframe object embed svg canvas audio video area textarea select "
        "datalist input -comment -doctype -document",
        BLOCK: "address article aside blockquote body button caption center dd details dialog dir div dl dt fieldset "
        "figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr html label legend li main menu nav "
        "ol option p pre section summary table tbody tfoot thead tr ul",
        SPACED: "p h1 h2 h3 h4 h5 h6 pre blockquote figure",
        LIST: "ul ol menu dir",
        PRE: "pre",
        LINK: "a",
        CELL: "td th",
        BREAK: "br",
        HELD: "input textarea select iframe img button",
    }
    roles: dict[str, int] = {"": UNSEEN}
    for role, tags in named.items():
        for tag in tags.split():
            roles[tag] = roles.get(tag, 0) | role
    return roles


ROLES = _roles()
_CELL_GAP = "\t\t"
_INDENT = 2
_BLANKS = re.compile(r"[ \t\n\r\f](?:(?<! )|(?=[ \t\n\r\f]))[ \t\n\r\f]*")
"""Runs of white space, but for the single space that they become."""


def parse_html(html: str | bytes, url: str | None = None, charset: str | None = None) -> Page:
    """The page that a reader of ``html`` sees, as text with its layout.

    ``charset`` is the HTTP header's, if there is one. What is no HTML gives a page with what text there is.
    """
    walk = Walk()
    walk.run(parse(html, charset))
    return walk.page(url)


def parse(html: str | bytes, charset: str | None = None) -> LexborNode | None:
    """The root of the parsed document; ``None`` if there is nothing in it."""
    data = html.encode("utf-8", "replace") if isinstance(html, str) else encode_html(html, charset)
    # With events, a list to select from takes time that is quadratic in its options.
    silent = LexborDocumentOptions.WO_EVENTS
    return None if not data or data.isspace() else LexborHTMLParser(tame(data), options=silent).root


_DECLARED_SITE = (("link[rel=canonical]", "href"), ("meta[property='og:url']", "content"), ("base[href]", "href"))


def _declared_site(root: LexborNode | None) -> str:
    """The site that the page says it is of; empty if it does not say."""
    if root is None:
        return ""
    for selector, attribute in _DECLARED_SITE:
        node = root.css_first(selector)
        if node is not None and (site := site_of(node.attributes.get(attribute))):
            return site
    return ""


class Walk:
    """A walk over the nodes in document order, and the lines that a reader sees: blocks end them, lists indent them,
    cells of a row share one.
    """

    roles = ROLES
    told = SPACED | HELD | CELL | _COUNTED
    """Elements with one of these roles are opened and closed; others at most end the line."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._indents: list[int] = []
        self._spaced: list[bool] = []
        self._owners: list[int] = []
        self._linked: list[float] = []
        self._elements = Elements()
        self._root: LexborNode | None = None
        # The line that is under way.
        self._pieces: list[str] = []
        self._owner = -1
        self._chars = self._link_chars = 0
        self._gap = False
        # What is open.
        self._lists = self._preformatted = self._links = 0

    def run(self, root: LexborNode | None) -> None:
        """Visit every node that is seen; the open elements are a list, so depth costs no stack."""
        self._root = root
        elements, pieces, told, roles_of = self._elements, self._pieces, self.told, self.roles.get
        parents, kinds, known = elements.parents, elements.kinds, elements.known
        opened: list[tuple[LexborNode, str, int]] = []
        node, inside = root, -1
        while node is not None:
            tag = node.tag or ""
            if tag == "-text":
                # Most texts are white space between blocks.
                if pieces or self._preformatted or not node.is_empty_text_node:
                    self._read(node.text_content or "", inside)
                following = node.next
            elif (roles := roles_of(tag, 0)) & UNSEEN:
                self._skip(node, tag, roles, inside)
                following = node.next
            else:
                if roles & told:
                    self.open(node, tag, roles, inside)
                elif roles & _BREAKING and pieces:
                    self.end()
                parents.append(inside)
                inside = len(kinds)
                attributes = node.attributes
                kinds.append(known[kind(tag, attributes) if attributes else (tag,)])
                opened.append((node, tag, roles))
                following = node.first_child
            while following is None and opened:
                node, tag, roles = opened.pop()
                inside = parents[inside]
                if roles & told:
                    self.close(tag, roles, inside)
                elif roles & BLOCK and pieces:
                    self.end()
                following = node.next if opened else None
            node = following
        self.end()

    def _skip(self, node: LexborNode, tag: str, roles: int, inside: int) -> None:
        """An element that is not seen stands in the element ``inside``."""
        if roles & HELD:
            self._elements.hold(inside, tag, node.attributes.get("type"))

    def open(self, node: LexborNode, tag: str, roles: int, inside: int) -> None:
        """An element with ``roles`` begins in the element ``inside``."""
        if roles & HELD:
            self._elements.hold(inside, tag, None)
        if roles & _BREAKING:
            if self._pieces:
                self.end()
            if roles & SPACED:
                self._gap = True
        if roles & _COUNTED:
            self._count(roles, 1)

    def close(self, tag: str, roles: int, inside: int) -> None:
        """An element with ``roles`` ends, itself in the element ``inside``."""
        if roles & _COUNTED:
            self._count(roles, -1)
        if roles & BLOCK:
            if self._pieces:
                self.end()
            if roles & SPACED:
                self._gap = True
        elif roles & CELL:
            self.add(_CELL_GAP, len(_CELL_GAP), inside)

    def _count(self, roles: int, step: int) -> None:
        if roles & LIST:
            self._lists += step
        elif roles & PRE:
            self._preformatted += step
        else:
            self._links += step

    def _read(self, text: str, inside: int) -> None:
        """Text of a node in the element ``inside``, white space as it is in the file."""
        if self._preformatted:
            for number, line in enumerate(text.split("\n")):
                if number:
                    self.end()
                self.add(line, len(line) - line.count(" "), inside)
        else:
            text = _BLANKS.sub(" ", text)
            self.add(text, len(text) - text.count(" "), inside)

    def add(self, text: str, chars: int, inside: int) -> None:
        """Text of the line under way, ``chars`` of it no spaces."""
        if chars:
            if not self._chars:
                self._owner = inside
            self._chars += chars
            if self._links:
                self._link_chars += chars
        self._pieces.append(text)

    def end(self) -> None:
        """Where a block begins or ends, the line before it ends."""
        if not self._pieces:
            return
        if self._chars and (line := "".join(self._pieces).strip()):
            self.emit(line)
        self._pieces.clear()
        self._chars = self._link_chars = 0

    def emit(self, line: str) -> None:
        """A line is whole: it is the next paragraph."""
        self.lines.append(line)
        self._indents.append(_INDENT * self._lists)
        self._spaced.append(self._gap)
        self._owners.append(self._owner)
        self._linked.append(self._link_chars / self._chars)
        self._gap = False

    def page(self, url: str | None) -> Page:
        """The page of the lines, found under ``url``."""
        site = site_of(url) or _declared_site(self._root)
        gaps = ["\n\n" if spaced else "\n" for spaced in self._spaced]
        gaps[:1] = [""] * bool(gaps)
        lines = zip(gaps, self._indents, self.lines, strict=True)
        text = "".join([gap + " " * indent + line for gap, indent, line in lines])
        indents = np.array(self._indents, dtype=np.int32)
        gap_lengths = np.array(list(map(len, gaps)), dtype=np.int32)
        lengths = np.array(list(map(len, self.lines)), dtype=np.int64)
        ends = np.cumsum(lengths + indents + gap_lengths)
        blanks = (gap_lengths == 2).astype(np.int32)
        markup = self._elements.markup(np.array(self._owners, dtype=np.int32), np.array(self._linked), site)
        return Page(text, ends - lengths, ends, indents, blanks, markup=markup, url=url)
