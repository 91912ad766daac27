"""Labelled pages, from a corpus folder or from the project's own ``data/``."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.labels import CODES
from detector.page import Page

DATA = Path(__file__).parent.parent / "data"


class CorpusError(ValueError):
    """Labelled data that cannot be used; the message names the file, the record and what to do."""


@dataclass(frozen=True, slots=True)
class Document:
    """A labelled page, widget or passage.

    ``labels`` holds one letter (E, P, R, B) for each non-blank line of ``text``, lines ended by a newline.
    ``group`` is what a hold-out must not split: the page's host, the page's publication, the widget itself.
    ``form`` is ``whole-page`` or ``article-zone``; ``place`` where publishers put a widget.
    """

    id: str
    lang: str
    group: str
    text: str
    labels: str
    kind: str = ""
    form: str = "whole-page"
    page_type: str = ""
    place: str = ""

    def part_of(self, parts: int) -> int:
        """Which of ``parts`` it belongs to, by its group: what shares a host or publication stays together."""
        return int(hashlib.md5(self.group.encode()).hexdigest(), 16) % parts

    def lines(self) -> list[tuple[int, int]]:
        """Spans of the non-blank lines, in code points."""
        spans, start = [], 0
        for line in self.text.split("\n"):
            if line.strip():
                spans.append((start, start + len(line)))
            start += len(line) + 1
        return spans

    def targets(self) -> NDArray[np.int64]:
        """The label of each line as a column number of :class:`detector.Label`."""
        return np.array([CODES.index(code) for code in self.labels], dtype=np.int64)

    def line_of(self, page: Page) -> NDArray[np.int64]:
        """For each paragraph of the segmented text, the line that it begins in."""
        starts = np.array([start for start, _ in self.lines()], dtype=np.int64)
        return np.searchsorted(starts, page.starts, side="right") - 1

    def paragraph_of(self, page: Page) -> NDArray[np.int64]:
        """For each line, the paragraph of the segmented text that holds its end."""
        ends = np.array([start + len(self.text[start:end].rstrip()) for start, end in self.lines()], dtype=np.int64)
        return np.searchsorted(page.starts, ends - 1, side="right") - 1


def read_pages(path: Path) -> list[Document]:
    """The labelled pages of one JSON Lines file of a corpus (``.gz`` or plain)."""
    return [_page(record, f"{path}, record {number}") for number, record in read_records(path)]


def read_own_pages(folder: Path = DATA / "pages") -> list[Document]:
    """The original pages written for the project: ``ID.txt`` beside ``gold.jsonl``."""
    documents = []
    for number, record in read_records(folder / "gold.jsonl"):
        where = f"{folder / 'gold.jsonl'}, record {number}"
        text = (folder / f"{record['id']}.txt").read_text(encoding="utf-8")
        own = {key: record[key] for key in ("id", "lang", "labels", "kind", "form", "page_type")}
        documents.append(_checked(Document(group=record["publication"], text=text, **own), where))
    return documents


def read_bank(folder: Path) -> list[Document]:
    """The widgets or passages of a folder of JSON Lines files."""
    documents = []
    for path in sorted(folder.glob("*.jsonl")):
        for number, record in read_records(path):
            document = Document(
                id=record["id"],
                lang=record["lang"],
                group=record.get("publication", record["id"]),
                text=record["text"],
                labels=record["labels"],
                kind=record["kind"],
                form="article-zone",
                place=record.get("place", ""),
            )
            documents.append(_checked(document, f"{path}, record {number}"))
    return documents


def article_zone(document: Document) -> Document | None:
    """The article's part of a page, from its first to its last editorial line; ``None`` if there is none."""
    first, last = document.labels.find("E"), document.labels.rfind("E")
    if first < 0:
        return None
    spans = document.lines()
    text = document.text[spans[first][0] : spans[last][1]]
    return replace(document, text=text, labels=document.labels[first : last + 1], form="article-zone")


def corpus_hash(documents: Iterable[Document]) -> str:
    """SHA-256 over ids, texts and labels, in order: which data a model or a score is of."""
    digest = hashlib.sha256()
    for document in documents:
        digest.update("\0".join((document.id, document.text, document.labels, "")).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def read_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Records of a JSON Lines file (``.gz`` or plain) with their line numbers, from 1."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, json.loads(line)
    except (OSError, EOFError, ValueError) as error:
        raise CorpusError(f"{path}: cannot be read ({error}); see data/README.md for the layout") from error


def _page(record: dict[str, Any], where: str) -> Document:
    try:
        document = Document(
            id=record["id"],
            lang=record.get("lang") or "",
            group=record["host"],
            text=record["text"],
            labels=record["labels"],
            page_type=record.get("page_type") or "",
        )
    except KeyError as error:
        raise CorpusError(f"{where}: no field {error}; see data/README.md for the layout") from None
    return _checked(document, where)


def _checked(document: Document, where: str) -> Document:
    lines = len(document.lines())
    if lines != len(document.labels) or set(document.labels) - set(CODES):
        raise CorpusError(
            f"{where} ({document.id}): {lines} non-blank lines but labels {document.labels[:20]!r}… of length"
            f" {len(document.labels)}; give one of {', '.join(CODES)} for each non-blank line"
        )
    return document
