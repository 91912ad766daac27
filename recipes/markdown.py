"""Markdown from a reader tool: pass the words without the marks, get the Markdown of what is kept.

Link targets, emphasis and ``#`` are no words and would be read as such. What comes back are lines of the input: links
and headings survive.
"""

from collections.abc import Iterator
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

from detector import Detector, Label

detector = Detector.load()
parser = MarkdownIt("commonmark").enable("table")


class Block(NamedTuple):
    """Lines ``[start, end)`` of the Markdown that are one paragraph, and its words."""

    start: int
    end: int
    words: str


def blocks(markdown: str) -> Iterator[Block]:
    """The paragraphs, headings, list items, table cells and code of a page, in order, without their marks."""
    for token in parser.parse(markdown):
        words = " ".join(_words(token).split())
        if token.map and words:
            yield Block(token.map[0], token.map[1], words)


def _words(token: Token) -> str:
    if token.type == "inline":
        return "".join(
            part.content if part.content else " " * part.type.endswith("break") for part in token.children or ()
        )
    return token.content if token.type in ("fence", "code_block") else ""


def labelled(markdown: str) -> list[tuple[Block, Label]]:
    """The page's blocks, each with its label."""
    found = list(blocks(markdown))
    page = detector.label("\n\n".join(block.words for block in found))
    return list(zip(found, page.labels, strict=True))


def clean(markdown: str) -> str:
    """The Markdown of the blocks that are editorial."""
    lines = markdown.split("\n")
    out, end = "", 0
    for block, label in labelled(markdown):
        if label == "editorial" and block.end > end:
            out += ("\n" if block.start == end else "\n\n") * bool(out) + "\n".join(lines[block.start : block.end])
            end = block.end
    return out
