"""How many labelled lines our rendering of the HTML has: those that it lacks cannot be learned from or measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from joblib import Parallel, delayed

from detector.html import parse_html
from training.corpus import Document, align, read_html


@dataclass(frozen=True)
class Alignment:
    """Labelled lines of a page, and how many of them are paragraphs of its rendered HTML."""

    id: str
    lines: int
    aligned: int


def alignments(documents: Sequence[Document], folder: Path) -> list[Alignment]:
    """Of every page whose HTML lies in a corpus folder, on all cores."""
    found = Parallel(n_jobs=-1)(delayed(_alignment)(document, folder) for document in documents)
    return [each for each in found if each is not None]


def _alignment(document: Document, folder: Path) -> Alignment | None:
    html = read_html(folder, document)
    if html is None:
        return None
    rendered = [paragraph.text for paragraph in parse_html(html).paragraphs]
    line_of = align(rendered, document.texts())
    return Alignment(document.id, len(document.labels), int((line_of >= 0).sum()))


WORST = 5
"""Pages that are named."""


def table(name: str, pages: int, found: Sequence[Alignment]) -> str:
    """The share of lines aligned, and the pages with most lines that are not."""
    lines, aligned = sum(each.lines for each in found), sum(each.aligned for each in found)
    share = f"{100 * aligned / lines:.3f} %" if lines else "-"
    shown = [f"{name}: {share} of {lines:,} labelled lines align; {len(found):,} of {pages:,} pages have HTML"]
    worst = sorted(found, key=lambda each: each.aligned - each.lines)[:WORST]
    shown += [
        f"  {each.id}: {each.lines - each.aligned:,} of {each.lines:,} do not"
        for each in worst
        if each.aligned < each.lines
    ]
    return "\n".join(shown)
