"""Named sets of labelled pages to measure on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from training.corpus import CorpusError, Document, article_zone, read_own_pages, read_pages

ABOUT = "about-"
"""Kinds of own pages that are articles about fundraising, newsletters, advertising, prices, media: hard negatives."""


@dataclass(frozen=True)
class Suite:
    """A set to measure on: what it is, in a line, and how to read it, given the corpus folder (if there is one)."""

    name: str
    what: str
    part: str
    """``dev`` or ``pages``: what a model must not have been trained on."""
    read: Callable[[Path | None], list[Document]]
    html: bool = False
    """Whether the pages are labelled from their HTML."""


def _dev(corpus: Path | None) -> list[Document]:
    if corpus is None:
        raise CorpusError("this suite needs the corpus: name its folder with --corpus")
    return read_pages(corpus / "dev.jsonl.gz")


def _zone(corpus: Path | None) -> list[Document]:
    return [zone for zone in map(article_zone, _dev(corpus)) if zone is not None]


OWN_PARTS = 4
"""One part in this many of the publications of ``data/pages`` is held out to measure on."""


def held_out(page: Document) -> bool:
    """Whether a page of ``data/pages`` is one to measure on."""
    return page.part_of(OWN_PARTS, "evaluation") == 0


def _own(keep: Callable[[Document], bool]) -> Callable[[Path | None], list[Document]]:
    return lambda corpus: [page for page in read_own_pages() if held_out(page) and keep(page)]


def _is_about(document: Document) -> bool:
    return document.kind.startswith(ABOUT)


SUITES = {
    suite.name: suite
    for suite in (
        Suite("dev", "whole pages of hosts never seen, as plain text", "dev", _dev),
        Suite("html", "the same pages from their HTML", "dev", _dev, html=True),
        Suite("zone", "the same pages, only the article's part", "dev", _zone),
        Suite(
            "appeals",
            "article-zone pages of data/pages with appeals in prose, boxes and teasers",
            "pages",
            _own(lambda page: page.form == "article-zone" and not _is_about(page)),
        ),
        Suite("about", "articles about fundraising, newsletters, prices, advertising", "pages", _own(_is_about)),
        Suite("whole", "whole-page dumps of data/pages", "pages", _own(lambda page: page.form == "whole-page")),
    )
}
