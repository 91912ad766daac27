"""HTML to Markdown: the walk that makes the page's paragraphs, with an ear for what their markup means.

Each paragraph has its own piece of Markdown, so that what is kept of a page can be written with its headings, lists,
quotes, code, tables and links. Labelling alone walks without this.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import groupby
from urllib.parse import urljoin, urlsplit

import numpy as np
from numpy.typing import NDArray
from selectolax.lexbor import LexborNode

from detector.html import BREAK, CELL, ROLES, Walk, parse
from detector.page import Page

_MARKED = 1 << 16
"""The role of a tag that means something in Markdown."""
_STRONG, _EMPHASIS, _CODE = frozenset({"strong", "b"}), frozenset({"em", "i"}), frozenset({"code", "kbd", "samp", "tt"})
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_LISTS = frozenset({"ul", "ol", "menu", "dir"})
_DEEPEST = 32
"""Quotes and items that are nested deeper stand at this level."""
_SCHEMES = frozenset({"", "http", "https", "ftp", "mailto", "tel"})

_META = re.compile(r"[\\`*\[\]<~]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)")
"""Signs that mean something within a line; ``_`` does not between letters, nor ``&`` unless an entity follows."""
_LINE_META = re.compile(r"[-+](?=\s|$)|#{1,6}(?=\s|$)|[>|]|:?--|:-|=+\s*$|(?<=\d)[.)](?=\s|$)")
_NUMBER = re.compile(r"\d{1,9}(?=[.)](?:\s|$))")
_UNSAFE_IN_URL = re.compile(r"[\x00-\x20\x7f()<>\\\[\]|`]")
_PIPE = re.compile(r"(?<!\\)\|")
_BACKTICKS = re.compile(r"`+")
_LANGUAGE = re.compile(r"(?:^|\s)lang(?:uage)?-([\w+#.-]+)")


@dataclass(frozen=True, eq=False)
class _Container:
    """A quote, or an item of a list with its mark (``-``, ``2.``)."""

    mark: str

    @property
    def is_item(self) -> bool:
        """Whether it is no quote."""
        return self.mark != ">"

    @property
    def again(self) -> str:
        """What stands before its second line."""
        return " " * (len(self.mark) + 1) if self.is_item else "> "


@dataclass(frozen=True)
class Block:
    """One paragraph as Markdown: ``text`` on one line, in its containers, the outermost first."""

    text: str
    containers: tuple[_Container, ...]
    broken: bool = False
    """Whether only a line break parts it from the paragraph before."""
    code: _Pre | None = None
    """The preformatted text of which it is a line, with ``skipped`` empty lines before it."""
    skipped: int = 0
    table: _Table | None = None
    """The table of which it is a row of ``cells``."""
    cells: tuple[str, ...] = ()


@dataclass(eq=False)
class _Pre:
    language: str = ""


@dataclass(eq=False)
class _Table:
    headed: bool = False
    """Whether it has header cells."""


@dataclass(frozen=True, eq=False)
class MarkdownPage(Page):
    """A page that also knows each of its paragraphs as Markdown."""

    blocks: tuple[Block, ...] = ()

    def keep_markdown_where(self, mask: NDArray[np.bool_]) -> str:
        """Like :meth:`keep_where`, as Markdown."""
        return "".join(_written(self.blocks, np.flatnonzero(mask).tolist()))


def parse_markdown(html: str | bytes, url: str | None = None, charset: str | None = None) -> MarkdownPage:
    """The page that :func:`detector.html.parse_html` gives, with its Markdown; links are resolved against ``url``."""
    root = parse(html, charset)
    walk = _MarkdownWalk(_base(root, url))
    walk.run(root)
    page = walk.page(url)
    return MarkdownPage(**{field.name: getattr(page, field.name) for field in fields(page)}, blocks=tuple(walk.blocks))


def _base(root: LexborNode | None, url: str | None) -> str:
    base = root.css_first("base[href]") if root is not None else None
    return _resolved(url or "", (base.attributes["href"] or "") if base is not None else "")


def _resolved(base: str, href: str) -> str:
    """The URL of a link, safe within Markdown; empty if it is none that can be followed."""
    try:
        url = urljoin(base, href.strip())
        if urlsplit(url).scheme not in _SCHEMES:
            return ""
    except ValueError:
        return ""
    return _UNSAFE_IN_URL.sub(lambda sign: f"%{ord(sign[0]):02X}", url)


@dataclass(frozen=True)
class _Style:
    """How a run of text is set; ``gap`` stands between the cells of a row."""

    href: str = ""
    strong: bool = False
    emphasis: bool = False
    code: bool = False
    gap: bool = False


_PLAIN, _GAP = _Style(), _Style(gap=True)


class _MarkdownWalk(Walk):
    """The walk, noting what each line is made of and where it stands."""

    roles = ROLES | {tag: ROLES.get(tag, 0) | _MARKED for tag in _STRONG | _EMPHASIS | _CODE}
    told = ~0

    def __init__(self, base: str) -> None:
        super().__init__()
        self.blocks: list[Block] = []
        self._base = base
        self._runs: list[tuple[str, _Style]] = []
        self._style = _PLAIN
        self._styles: list[_Style] = []
        self._containers: list[_Container] = []
        self._counts: list[int | None] = []
        self._headings: list[int] = []
        self._tables: list[_Table] = []
        self._pre: _Pre | None = None
        self._skipped = 0
        self._broken = False

    def open(self, node: LexborNode, tag: str, roles: int, inside: int) -> None:
        """An element with ``roles`` begins in the element ``inside``."""
        super().open(node, tag, roles, inside)
        self._broken = bool(roles & BREAK) or (self._broken and bool(roles & (_MARKED | CELL)))
        if roles & _MARKED or tag == "a":
            self._open_style(node, tag)
        elif tag in _LISTS:
            self._counts.append(_first_number(node) if tag == "ol" else None)
        elif tag == "li":
            self._containers.append(_Container(self._next_mark()))
        elif tag == "blockquote":
            self._containers.append(_Container(">"))
        elif tag in _HEADINGS:
            self._headings.append(_HEADINGS[tag])
        else:
            self._open_code_or_table(node, tag)

    def _open_style(self, node: LexborNode, tag: str) -> None:
        style = self._style
        self._styles.append(style)
        if self._pre is not None and tag in _CODE:
            self._pre.language = self._pre.language or _language(node)
        self._style = _Style(
            _resolved(self._base, node.attributes.get("href") or "") if "href" in node.attributes else style.href,
            style.strong or tag in _STRONG,
            style.emphasis or tag in _EMPHASIS,
            style.code or tag in _CODE,
        )

    def _open_code_or_table(self, node: LexborNode, tag: str) -> None:
        if tag == "pre":
            self._pre = _Pre(_language(node))
            self._skipped = 0
        elif tag == "table":
            self._tables.append(_Table())
        elif tag == "th" and self._tables:
            self._tables[-1].headed = True

    def _next_mark(self) -> str:
        number = self._counts[-1] if self._counts else None
        if number is None:
            return "-"
        self._counts[-1] = number + 1
        return f"{number}."

    def close(self, tag: str, roles: int, inside: int) -> None:
        """An element with ``roles`` ends, itself in the element ``inside``."""
        super().close(tag, roles, inside)
        self._broken = self._broken and bool(roles & (_MARKED | CELL | BREAK))
        if roles & _MARKED or tag == "a":
            self._style = self._styles.pop()
        elif tag in _LISTS:
            self._counts.pop()
        elif tag in ("li", "blockquote"):
            self._containers.pop()
        elif tag in _HEADINGS:
            self._headings.pop()
        elif tag == "pre":
            self._pre = None
        elif tag == "table":
            self._tables.pop()

    def add(self, text: str, chars: int, inside: int) -> None:
        """Text of the line under way, ``chars`` of it no spaces."""
        super().add(text, chars, inside)
        self._runs.append((text, _GAP if text == "\t\t" and chars == len(text) else self._style))

    def end(self) -> None:
        """Where a block begins or ends, the line before it ends."""
        known = len(self.blocks)
        had_runs = bool(self._runs)
        super().end()
        self._runs.clear()
        self._skipped += had_runs and len(self.blocks) == known

    def emit(self, line: str) -> None:
        """A line is whole: it is the next paragraph."""
        super().emit(line)
        containers = tuple(self._containers[:_DEEPEST])
        if self._pre is not None:
            raw = "".join(text for text, _ in self._runs).rstrip()
            self.blocks.append(Block(raw, containers, code=self._pre, skipped=self._skipped))
        else:
            cells = tuple(_inline(cell) for cell in _cells(self._runs))
            text = " ".join(cell for cell in cells if cell)
            if self._headings:
                text = "#" * self._headings[-1] + " " + re.sub(r"#+$", r"\\\g<0>", text)
            else:
                text = _escaped_start(text)
            table = self._tables[-1] if self._tables and len(cells) > 1 else None
            self.blocks.append(Block(text, containers, self._broken, table=table, cells=cells))
        self._skipped = 0
        self._broken = False


def _first_number(node: LexborNode) -> int:
    start = node.attributes.get("start") or ""
    return int(start) if start.isdecimal() and len(start) < 9 else 1


def _language(node: LexborNode) -> str:
    found = _LANGUAGE.search(node.attributes.get("class") or "")
    return found[1] if found else ""


def _cells(runs: list[tuple[str, _Style]]) -> Iterator[list[tuple[str, _Style]]]:
    """The runs of each cell; a line outside of tables is one cell."""
    runs = runs[:-1] if runs[-1][1] is _GAP else runs
    for is_gap, group in groupby([*runs, ("", _GAP)], lambda run: run[1] is _GAP):
        if is_gap:
            yield from ([] for _ in range(sum(1 for _ in group) - 1))
        else:
            yield list(group)


def _inline(runs: list[tuple[str, _Style]]) -> str:
    """A line or a cell: its links, and in those what is strong, emphasized, code."""
    written: list[str] = []
    joined = [(style, "".join(text for text, _ in group)) for style, group in groupby(runs, lambda run: run[1])]
    for href, group in groupby(joined, lambda run: run[0].href):
        linked = list(group)
        inner = _styled(linked)
        text = inner.strip()
        if not href or not text:
            written.append(inner)
            continue
        before, _, after = inner.partition(text)
        if not before and written and written[-1].endswith("!"):
            written[-1] = written[-1][:-1] + "\\!"
        written.append(f"{before}[{text}]({href}){after}")
    return "".join(written).strip()


def _styled(runs: list[tuple[_Style, str]]) -> str:
    written = ""
    for number, (style, run) in enumerate(runs):
        text = run.strip()
        if not text:
            written += run
            continue
        before, _, after = run.partition(text)
        following = after[:1] or (runs[number + 1][1][:1] if number + 1 < len(runs) else "")
        written += before
        marks = "**" * style.strong + "*" * style.emphasis
        if marks and not _may_stand(written[-1:], text, following):
            marks = ""
        written += marks + (_code_span(text) if style.code else _escaped(text)) + marks + after
    return written


def _may_stand(before: str, text: str, after: str) -> bool:
    """Whether asterisks around ``text`` would be read as emphasis: not between a sign inside and a letter outside."""
    if before == "*":
        return False
    return all(
        inner.isalnum() or not outer or outer.isspace() or outer in string.punctuation
        for inner, outer in ((text[0], before), (text[-1], after))
    )


def _code_span(text: str) -> str:
    fence = "`" * (1 + max(map(len, _BACKTICKS.findall(text)), default=0))
    pad = " " * (text[0] == "`" or text[-1] == "`")
    return f"{fence}{pad}{text}{pad}{fence}"


def _escaped(text: str) -> str:
    return _META.sub(r"\\\g<0>", text)


def _escaped_start(line: str) -> str:
    """A line that does not begin like a heading, an item, a quote or a rule."""
    number = _NUMBER.match(line)
    at = number.end() if number else 0
    return f"{line[:at]}\\{line[at:]}" if _LINE_META.match(line, at) else line


def _written(blocks: tuple[Block, ...], kept: list[int]) -> Iterator[str]:
    """The Markdown of the blocks that are kept."""
    begun: set[_Container] = set()
    before: Block | None = None
    last = -1
    for _, group in groupby(kept, lambda i: blocks[i].code or blocks[i].table or i):
        numbers = list(group)
        first = blocks[numbers[0]]
        lines = _lines([blocks[number] for number in numbers])
        is_broken = first.broken and last == numbers[0] - 1 and before is not None and _is_paragraph(before, first)
        if before is not None:
            yield "\\\n" if is_broken else _between(before, first)
        for number, line in enumerate(lines):
            yield "\n" * (number > 0) + (_prefix(first.containers, begun) + line).rstrip()
        before, last = blocks[numbers[-1]], numbers[-1]


def _prefix(containers: tuple[_Container, ...], begun: set[_Container]) -> str:
    """What stands before a line in ``containers``: an item's mark, but before its first line alone."""
    prefix = "".join(it.again if it in begun else f"{it.mark} " for it in containers)
    begun.update(containers)
    return prefix


def _is_paragraph(before: Block, first: Block) -> bool:
    """Whether both are plain lines in the same place, of which the second may go on the first."""
    plain = all(not (it.code or it.table or it.text.startswith("#")) for it in (before, first))
    return plain and before.containers == first.containers


def _between(before: Block, first: Block) -> str:
    """What parts two blocks: a blank line inside the containers of both, but none before an item of the same list or
    of a list inside the item before it.
    """
    pairs = zip(first.containers, before.containers, strict=False)
    shared = [it for it, other in pairs if it is other]
    opened, closed = first.containers[len(shared) :], before.containers[len(shared) :]
    if opened and opened[0].is_item:
        # A list inside a paragraph's item must begin with 1, or it would be read as more of the paragraph.
        inside = not closed and bool(shared) and shared[-1].is_item and opened[0].mark in ("-", "1.")
        if inside or (closed and closed[0].is_item):
            return "\n"
    return "\n" + "".join(it.again for it in shared).rstrip() + "\n"


def _lines(blocks: list[Block]) -> list[str]:
    """The lines of a paragraph, of preformatted text or of a table."""
    first = blocks[0]
    if first.code is not None:
        code: list[str] = []
        for number, block in enumerate(blocks):
            code.extend([""] * block.skipped if number else [])
            code.append(block.text)
        fence = "`" * max(3, 1 + max((len(run) for line in code for run in _BACKTICKS.findall(line)), default=0))
        return [fence + first.code.language, *code, fence]
    if first.table is not None and len(blocks) > 1:
        return _table(blocks, headed=first.table.headed)
    return [block.text for block in blocks]


def _table(rows: list[Block], headed: bool) -> list[str]:
    width = max(len(row.cells) for row in rows)
    cells = [[*(_PIPE.sub(r"\|", cell) for cell in row.cells), *[""] * (width - len(row.cells))] for row in rows]
    if not headed:
        cells.insert(0, [""] * width)
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return [lines[0], f"|{' --- |' * width}", *lines[1:]]
