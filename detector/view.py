"""Labelled pages for people: in colour in the terminal, and as one self-contained HTML file."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from detector.explain import Explanation
from detector.labels import Label
from detector.page import Page

COLOURS = {
    Label.EDITORIAL: "green",
    Label.PROMO: "magenta",
    Label.RELATED_LINKS: "cyan",
    Label.BOILERPLATE: "bright_black",
}
_CSS_COLOURS = {
    Label.EDITORIAL: ("#1a7f37", "transparent"),
    Label.PROMO: ("#a3195b", "#fdeaf3"),
    Label.RELATED_LINKS: ("#0b5a75", "#e7f5fa"),
    Label.BOILERPLATE: ("#57606a", "#f0f1f3"),
}

_VISIBLE = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: 0x2421,
    **dict.fromkeys([*range(0x80, 0xA0), 0xFFFE, 0xFFFF], 0xFFFD),
}
"""Pictures of control characters, with which a page could command the terminal; XML cannot hold them either."""


def page_table(page: Page, explanations: Sequence[Explanation] | None = None) -> RenderableType:
    """A labelled page as a table: label, confidence, text, and why, if ``explanations`` are given."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0), expand=True)
    table.add_column(width=13, no_wrap=True)
    table.add_column(width=4, justify="right")
    table.add_column(ratio=1, overflow="fold")
    for i, paragraph in enumerate(page.paragraphs):
        assert paragraph.label is not None
        assert paragraph.confidence is not None
        if i and page.blanks[i]:
            table.add_row()
        colour = COLOURS[paragraph.label]
        shown = " " * int(page.indents[i]) + _visible(paragraph.text)
        text = Text(shown, style="" if colour == "green" else colour)
        if explanations:
            text.append(f"\n↳ {_visible(explanations[i].sentence())}", style="italic yellow")
        table.add_row(Text(paragraph.label.value, style=colour), f"{paragraph.confidence:.0%}", text)
    title = Text(_visible(page.id or ""), style="bold underline")
    return Group(title, Padding(table, (0, 0, 1, 0)))


def _visible(text: str) -> str:
    return "\n".join(text.splitlines()).translate(_VISIBLE)


def print_page(console: Console, page: Page, explanations: Sequence[Explanation] | None = None) -> None:
    """Print a labelled page to a terminal."""
    console.print(page_table(page, explanations))


def page_svg(page: Page, width: int = 110) -> str:
    """A labelled page as an SVG picture of a terminal ``width`` columns wide."""
    console = Console(record=True, file=io.StringIO(), width=width, highlight=False, force_terminal=True)
    print_page(console, page)
    picture = console.export_svg(title=f"detector view {_visible(page.id or '')}", theme=SVG_EXPORT_THEME)
    # Fonts would be fetched from another site by whoever looks at the picture.
    return re.sub(r"@font-face\s*\{[^}]*\}", "", picture)


def page_html(page: Page, explanations: Sequence[Explanation]) -> str:
    """A labelled page as one HTML document that needs no other file; reasons show on hover and on focus."""
    rules = "".join(
        f".{label.name.lower().replace('_', '-')}{{border-color:{line};background:{ground}}}"
        f".{label.name.lower().replace('_', '-')} b{{color:{line}}}"
        for label, (line, ground) in _CSS_COLOURS.items()
    )
    rows = "".join(_html_row(page, i, explanation) for i, explanation in enumerate(explanations))
    title = html.escape(page.id or "page")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}{rules}</style><h1>{title}</h1><main>{rows}</main></html>\n"
    )


def _html_row(page: Page, i: int, explanation: Explanation) -> str:
    paragraph = page.paragraphs[i]
    space = " gap" if i and page.blanks[i] else ""
    kind = explanation.label.name.lower().replace("_", "-")
    return (
        f'<div class="p {kind}{space}" tabindex="0"><b>{explanation.label.value} {explanation.confidence:.0%}</b>'
        f'<p dir="auto">{html.escape(paragraph.text)}</p><small>{html.escape(explanation.sentence())}</small></div>'
    )


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:1rem auto;padding:0 1rem;color:#1f2328}"
    "h1{font-size:1.1rem;overflow-wrap:anywhere}"
    ".p{border-left:4px solid;padding:.15rem .6rem;margin:.15rem 0}.gap{margin-top:1rem}"
    ".p b{font-size:.75rem}.p p{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}"
    ".p small{display:none;color:#57606a}.p:hover small,.p:focus small{display:block}"
)
