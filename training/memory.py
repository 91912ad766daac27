"""What site memory is worth: on real hosts with several pages, and on sites made of one page's furniture and articles
of others.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from detector.detector import Detector
from detector.html import parse_html
from detector.memory import SiteMemory
from detector.network import Floats
from detector.page import Page
from detector.segment import segment
from training.corpus import CorpusError, Document, read_html, read_own_pages, read_pages
from training.evaluate import evaluate, html_line_scores, line_scores
from training.suites import held_out

WAYS = ("each page alone", "one pass", "two passes")
_ARTICLES = 12
"""Articles that a made site has at most."""
_FEWEST = 4
_AGAIN = 4
"""Articles in which a paragraph is quoted."""
_SHORTEST = 5
"""Editorial lines that an article has at least."""


def several(documents: Sequence[Document]) -> list[Document]:
    """The pages whose host has others among ``documents``."""
    hosts = Counter(document.group for document in documents)
    return [document for document in documents if hosts[document.group] > 1]


def made_sites(documents: Sequence[Document]) -> list[Document]:
    """For each held-out page of ``data/pages`` a site: what is not editorial on it, around editorial lines of held-out
    pages and of ``documents`` in its language. Languages with few articles are left out.
    """
    own = [page for page in read_own_pages() if held_out(page)]
    articles = defaultdict(list)
    for document in (*documents, *own):
        if document.labels.count("E") >= _SHORTEST:
            articles[document.lang].append(document)
    return [
        page
        for frame in own
        if set(frame.labels) > {"E"} and len(articles[frame.lang]) >= _FEWEST
        for page in _site(frame, articles[frame.lang])
    ]


def under_two_addresses(documents: Sequence[Document]) -> list[Document]:
    """Each page, and again under another address of its host."""
    return [page for document in documents for page in (document, replace(document, url=f"{document.url}/print"))]


def quoted(documents: Sequence[Document]) -> list[Document]:
    """Each page, with the longest editorial lines of the four before it on its site after its own first one: background
    that is told in five articles. What may be lost by site memory is lost here.
    """
    pages = []
    for number, document in enumerate(documents):
        before = [page for page in documents[max(number - _AGAIN, 0) : number] if _frame(page) == _frame(document)]
        for other in before:
            lines = zip(other.texts(), other.labels, strict=True)
            document = _with_line(document, max((text for text, label in lines if label == "E"), key=len))
        pages.append(document)
    return pages


def _frame(document: Document) -> str:
    return document.id.partition("+")[0]


def _with_line(document: Document, line: str) -> Document:
    first = document.labels.index("E")
    end = document.lines()[first][1]
    text = f"{document.text[:end]}\n\n{line}{document.text[end:]}"
    return replace(document, text=text, labels=document.labels[:first] + "E" + document.labels[first:])


def _site(frame: Document, articles: Sequence[Document]) -> Iterator[Document]:
    others = [article for article in articles if article.group != frame.group]
    for article in others[:_ARTICLES]:
        yield replace(_grafted(frame, article), url=f"https://{frame.id}.example/{article.id}")


def _grafted(frame: Document, article: Document) -> Document:
    """``frame`` with the editorial lines of ``article`` instead of its own, shared out among their runs by length."""
    lines = [line for line, label in zip(article.texts(), article.labels, strict=True) if label == "E"]
    runs = [(label, sum(1 for _ in run)) for label, run in groupby(frame.labels)]
    total, done, texts, labels = frame.labels.count("E"), 0, frame.texts(), ""
    blocks: list[str] = []
    at = 0
    for label, count in runs:
        if label == "E":
            part = lines[done * len(lines) // total : (done + count) * len(lines) // total]
            done += count
        else:
            part = texts[at : at + count]
        at += count
        blocks.append(("\n\n" if label == "E" else "\n").join(part))
        labels += label * len(part)
    return replace(frame, id=f"{frame.id}+{article.id}", text="\n\n".join(blocks), labels=labels)


def measure(detector: Detector, documents: Sequence[Document], html: Path | None = None) -> dict[str, dict[str, Any]]:
    """The figures of :func:`training.evaluate.evaluate` for each of :data:`WAYS`; of the HTML in a corpus folder, if
    one is named.
    """
    pages = [_page(document, html) for document in documents]
    ways: tuple[bool | SiteMemory, ...] = (False, True, detector.learn_sites(pages))
    results = {}
    for name, way in zip(WAYS, ways, strict=True):
        labelled = detector.label_stream(pages, site_memory=way)
        join = html_line_scores if html else line_scores
        scores: list[Floats] = [join(document, page) for document, page in zip(documents, labelled, strict=True)]
        results[name] = evaluate(documents, lambda _, scores=scores: scores)  # type: ignore[misc]
    return results


def _page(document: Document, html: Path | None) -> Page:
    if html is None:
        return segment(document.text).with_record(document.id, document.url, {})
    data = read_html(html, document)
    if data is None:
        raise CorpusError(f"{html}: no HTML of page {document.id}; see data/README.md for the layout")
    return parse_html(data, document.url)


def table(name: str, results: dict[str, dict[str, Any]]) -> str:
    """The result of :func:`measure` for a terminal."""
    first = results[WAYS[0]]
    lines = [
        f"{name}: {first['pages']:,} pages, {first['lines']:,} lines",
        f"  {'':<18}{'lines right':>12}{'macro F1':>10}{'promo F1':>10}{'kept':>8}{'junk':>8}",
    ]
    for way, result in results.items():
        figures = (
            f"{result['lines_right']:>12.4f}{result['macro_f1']:>10.4f}{result['labels']['promo']['f1']:>10.4f}"
            f"{result['editorial_characters_kept']:>8.4f}{result['junk_share_of_output']:>8.4f}"
        )
        lines.append(f"  {way:<18}{figures}")
    return "\n".join(lines)


def sets(corpus: Path) -> Iterator[tuple[str, list[Document], Path | None]]:
    """What is measured: a name, pages, and the folder of their HTML if that is read."""
    dev = read_pages(corpus / "dev.jsonl.gz")
    shared = several(dev)
    made = made_sites(dev)
    yield "dev, hosts with several pages, as plain text", shared, None
    yield "dev, hosts with several pages, from HTML", shared, corpus
    yield "made sites: one page's furniture around others' articles", made, None
    yield "the same, each page under two addresses", under_two_addresses(made), None
    yield "the same, a paragraph of each article told again in four more", quoted(made), None
