"""Limits on what an HTML parser is given: in nested elements and in attributes its time is quadratic."""

from __future__ import annotations

import re
from collections import Counter

from detector.elements import TELLING

_SOME_TAGS, _MANY_TAGS = 3_000, 20_000
_MANY_BYTES = 1 << 21
_LONG_TAG = 1 << 13
_MANY_ATTRIBUTES = 1_000
_MANY_QUOTED = 4
"""A page with fewer tags, fewer bytes and no tag that is so long and has so many attributes is parsed as it is."""
_DEEPEST = 1_000
"""Browsers nest 512 elements at most; what is deeper stands beside them."""
_MOST_ATTRIBUTES = 64
_MOST_NAMES = 2_000
"""Of tags: HTML, SVG and MathML together have some 250."""
_READ = frozenset(name.encode() for name in TELLING | {"class", "href", "charset", "start", "checked", "content"})

# As the HTML standard reads them, each piece possessive: nothing is read twice.
_TAG = re.compile(rb"<(/?)([a-zA-Z][^\s/>]*+)")
_ATTRIBUTE = re.compile(rb"""[\s/]*+([^\s/>][^\s/>=]*+)(?:\s*+=\s*+(?:"[^"]*+"?|'[^']*+'?|[^\s>"'][^\s>]*+)?)?""")
_TAG_END = re.compile(rb"[\s/]*+>?")
_QUOTED = re.compile(rb"""=\s*+(?:"[^"]*+"?|'[^']*+'?)""")
_RAW = (b"script", b"style", b"textarea", b"title", b"iframe", b"noembed", b"noframes", b"xmp")
_RAW_END = {name: re.compile(rb"</" + name + rb"(?=[\s/>])", re.IGNORECASE) for name in _RAW}
_FLAT = frozenset(
    b"area base br col embed hr img input link meta param source track wbr p li dt dd tr td th option".split()
)
"""Elements that are empty, or whose end is mostly left out: those do not nest by themselves."""

_STYLING = frozenset(b"b big code em font i nobr s small strike strong tt u".split())
_MOST_UNCLOSED = 100
"""Styling elements that are not closed are opened anew in every block that follows."""


def tame(data: bytes) -> bytes:
    """``data`` as it is; where it is huge or strange, without the attributes that nobody reads and with the tags of
    elements beyond 1,000 levels left out, their text kept.
    """
    tags = data.count(b"<")
    huge = tags > _MANY_TAGS or len(data) > _MANY_BYTES
    styled = tags > _SOME_TAGS and data.count(b"<font") > _MOST_UNCLOSED
    return _Tamer(data).run() if huge or styled or _has_crowded_tag(data) else data


def _has_crowded_tag(data: bytes) -> bool:
    """Whether some tag has very many attributes: it must be long, so only those with a ``>`` far off are looked at."""
    begin, quoted = 0, 0
    while 0 <= begin < len(data) - _LONG_TAG:
        ends = data.find(b">", begin, begin + _LONG_TAG)
        if ends >= 0:
            # In an attribute's value, it ends no tag: where many may be such, look again without values, once.
            quoted = quoted + 1 if quoted >= 0 and _may_be_quoted(data, ends) else min(quoted, 0)
            begin += _LONG_TAG
            if quoted == _MANY_QUOTED:
                data, begin, quoted = _QUOTED.sub(b"=", data), 0, -1
            continue
        opens = data.rfind(b"<", 0, begin + _LONG_TAG)
        tag = _TAG.match(data, opens) if opens >= 0 else None
        if tag and _attributes_reach(data, tag.end(), _MANY_ATTRIBUTES):
            return True
        begin = data.find(b">", begin + _LONG_TAG)
    return False


def _may_be_quoted(data: bytes, position: int) -> bool:
    """Whether what is at ``position`` may be in an attribute's value: the last quote before it comes after a ``=``."""
    for quote in (b'"', b"'"):
        at = data.rfind(quote, 0, position)
        before = data[at - 1 : at] if at > 0 else b""
        if before == b"=" or (before.isspace() and data[max(0, at - _LONG_TAG) : at].rstrip().endswith(b"=")):
            return True
    return False


def _attributes_reach(data: bytes, position: int, number: int) -> bool:
    """Whether the tag at ``position`` has so many attributes."""
    for _ in range(number):
        attribute = _ATTRIBUTE.match(data, position)
        if attribute is None:
            return False
        position = attribute.end()
    return True


class _Tamer:
    """One pass over the tags of a page."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pieces: list[bytes] = []
        self.opened: list[bytes] = []
        self.names: Counter[bytes] = Counter()
        self.unclosed = 0

    def run(self) -> bytes:
        """The page with its tags within limits."""
        position = 0
        while (opens := self.data.find(b"<", position)) >= 0:
            self.pieces.append(self.data[position:opens])
            position = self._markup(opens)
        self.pieces.append(self.data[position:])
        return b"".join(self.pieces)

    def _markup(self, opens: int) -> int:
        """Copy what begins with the ``<`` at ``opens``, and say where it ends."""
        tag = _TAG.match(self.data, opens)
        if tag is None:
            end = self._comment_end(opens)
            self.pieces.append(self.data[opens:end])
            return end
        kept, end = self._attributes(tag.end())
        name = tag[2].lower()
        if self._is_styled(name, bool(tag[1])) and self._is_within(name, bool(tag[1])):
            self.pieces.extend([tag[0], *kept, b">"])
        if tag[1] or name not in _RAW_END:
            return end
        closes = _RAW_END[name].search(self.data, end)
        self.pieces.append(self.data[end : closes.start() if closes else len(self.data)])
        return closes.start() if closes else len(self.data)

    def _comment_end(self, opens: int) -> int:
        if not self.data.startswith(b"<!--", opens):
            return opens + 1
        end = self.data.find(b"-->", opens + 2)
        return len(self.data) if end < 0 else end + 3

    def _attributes(self, position: int) -> tuple[list[bytes], int]:
        """The attributes at ``position`` that are read, and where their tag ends."""
        kept: list[bytes] = []
        while attribute := _ATTRIBUTE.match(self.data, position):
            position = attribute.end()
            if len(kept) < _MOST_ATTRIBUTES and attribute[1].lower() in _READ:
                kept.append(b" " + attribute[0].lstrip(b" \t\n\r\f/"))
        end = _TAG_END.match(self.data, position)
        return kept, end.end() if end else position

    def _is_styled(self, name: bytes, closing: bool) -> bool:
        """Whether the tag stays: not if it adds to many styling elements that were never closed."""
        if name in _STYLING:
            self.unclosed = max(0, self.unclosed + (-1 if closing else 1))
        return name not in _STYLING or self.unclosed <= _MOST_UNCLOSED

    def _is_within(self, name: bytes, closing: bool) -> bool:
        """Whether the tag stays: not if its element is too deep, nor if it ends one that was."""
        if name in _FLAT:
            return True
        if name not in self.names and len(self.names) >= _MOST_NAMES:
            return False
        if not closing:
            self.opened.append(name)
            self.names[name] += 1
            return len(self.opened) <= _DEEPEST
        if not self.names[name]:
            return len(self.opened) < _DEEPEST
        while self.opened[-1] != name:
            self.names[self.opened.pop()] -= 1
        stays = len(self.opened) <= _DEEPEST
        self.names[self.opened.pop()] -= 1
        return stays
