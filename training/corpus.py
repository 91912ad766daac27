"""Labelled pages, from a corpus folder or from the project's own ``data/``."""

from __future__ import annotations

import gzip
import hashlib
import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from detector.html import parse_html
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
    form: str = ""
    page_type: str = ""
    place: str = ""
    url: str = ""

    def part_of(self, parts: int, purpose: str) -> int:
        """Which of ``parts`` it belongs to, by its group: what shares a host or publication stays together.

        Divisions for one purpose are independent of those for another.
        """
        return int(hashlib.md5(f"{purpose} {self.group}".encode()).hexdigest(), 16) % parts

    def lines(self) -> list[tuple[int, int]]:
        """Spans of the non-blank lines, in code points."""
        spans, start = [], 0
        for line in self.text.split("\n"):
            if line.strip():
                spans.append((start, start + len(line)))
            start += len(line) + 1
        return spans

    def texts(self) -> list[str]:
        """The non-blank lines."""
        return [self.text[start:end] for start, end in self.lines()]

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


def read_training_pages(folder: Path) -> list[Document]:
    """The pages to train on in a corpus folder: ``train.jsonl.gz``, and those of its other files, never labelled
    there, whose labels lie in ``data/labels/extra.jsonl.gz``.
    """
    pages = read_pages(folder / "train.jsonl.gz")
    labels = {record["id"]: record for _, record in read_records(DATA / "labels" / "extra.jsonl.gz")}
    for name in ("extra.jsonl.gz", "unlabelled.jsonl.gz", "weak.jsonl.gz"):
        if (folder / name).is_file():
            for number, record in read_records(folder / name):
                if found := labels.pop(record["id"], None):
                    pages.append(_page(record | found, f"{folder / name}, record {number}"))
    return pages


@dataclass(frozen=True)
class Rendering:
    """A labelled page as its HTML shows it: ``targets`` are -1 where a paragraph was not among the lines read."""

    page: Page
    targets: NDArray[np.int64]

    @classmethod
    def of(cls, document: Document, html: bytes) -> Rendering:
        """Render ``html`` and align its paragraphs with the labelled lines, in order."""
        page = parse_html(html, document.url or None)
        line_of = align([paragraph.text for paragraph in page.paragraphs], document.texts())
        targets = np.where(line_of >= 0, np.append(document.targets(), -1)[line_of], -1)
        between = np.flatnonzero(line_of < 0)
        before, after = _next_known(targets, 1), _next_known(targets[::-1], 1)[::-1]
        targets[between] = np.where(before == after, before, -1)[between]
        return cls(page, targets)


def _next_known(targets: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """For each entry the last one up to it that is not -1; -1 where there is none."""
    known = np.maximum.accumulate(np.where(targets >= 0, np.arange(len(targets)), -1))
    return np.where(known >= 0, targets[np.maximum(known, 0)], -1)


def align(rendered: Sequence[str], labelled: Sequence[str]) -> NDArray[np.int64]:
    """For each rendered paragraph the number of the labelled line that it is, -1 if it is none of them.

    Both are in document order. Lines that occur once on either side are found first, as many as stand in one order
    (patience diff): where one side lacks a whole menu, nothing near tells where it goes on. Between two of them,
    whichever side finds its like within :data:`_LOOK_AHEAD` goes on.
    """
    ours, theirs = [" ".join(text.split()) for text in rendered], [" ".join(text.split()) for text in labelled]
    line_of = np.full(len(ours), -1, dtype=np.int64)
    i = j = 0
    for at, line in [*_landmarks(ours, theirs), (len(ours), len(theirs))]:
        between = _align_near(ours[i:at], theirs[j:line])
        line_of[i:at] = np.where(between >= 0, between + j, -1)
        line_of[at : at + 1] = line
        i, j = at + 1, line + 1
    return line_of


def _landmarks(ours: Sequence[str], theirs: Sequence[str]) -> list[tuple[int, int]]:
    """Where the lines that either side has once stand in both: the longest run that ascends on both sides."""
    here, there = _once(ours), _once(theirs)
    pairs = [(at, there[text]) for text, at in here.items() if text in there]
    ends: list[int] = []  # of the runs of each length, the one whose last line comes first
    last: list[int] = []
    before: list[int] = []
    for number, (_, line) in enumerate(pairs):
        length = bisect_left(ends, line)
        before.append(last[length - 1] if length else -1)
        ends[length : length + 1], last[length : length + 1] = [line], [number]
    run: list[tuple[int, int]] = []
    number = last[-1] if last else -1
    while number >= 0:
        run.append(pairs[number])
        number = before[number]
    return run[::-1]


def _once(texts: Sequence[str]) -> dict[str, int]:
    counts = Counter(texts)
    return {text: number for number, text in enumerate(texts) if counts[text] == 1}


def _align_near(ours: Sequence[str], theirs: Sequence[str]) -> NDArray[np.int64]:
    line_of = np.full(len(ours), -1, dtype=np.int64)
    i = j = 0
    while i < len(ours) and j < len(theirs):
        if ours[i] == theirs[j]:
            line_of[i] = j
            i, j = i + 1, j + 1
            continue
        skip_ours = _distance(theirs[j], ours, i)
        skip_theirs = _distance(ours[i], theirs, j)
        if min(skip_ours, skip_theirs) >= _LOOK_AHEAD:
            i, j = i + 1, j + 1
        elif skip_ours <= skip_theirs:
            i += skip_ours
        else:
            j += skip_theirs
    return line_of


_LOOK_AHEAD = 60


def _distance(text: str, among: Sequence[str], start: int) -> int:
    for step, other in enumerate(among[start : start + _LOOK_AHEAD]):
        if other == text:
            return step
    return _LOOK_AHEAD


def render_all(documents: Sequence[Document], folder: Path | None) -> dict[str, Rendering]:
    """By id, the pages whose HTML lies in ``folder``, rendered and aligned on all cores."""
    if folder is None:
        return {}
    found = Parallel(n_jobs=-1)(delayed(_render)(document, folder) for document in documents)
    return {document.id: page for document, page in zip(documents, found, strict=True) if page is not None}


def _render(document: Document, folder: Path) -> Rendering | None:
    html = read_html(folder, document)
    return None if html is None else Rendering.of(document, html)


def read_html(folder: Path, document: Document) -> bytes | None:
    """The HTML of a page, ``html/ID.html.gz`` or ``ID.html``, if it is there."""
    packed, plain = folder / "html" / f"{document.id}.html.gz", folder / f"{document.id}.html"
    if packed.is_file():
        return gzip.decompress(packed.read_bytes())
    return plain.read_bytes() if plain.is_file() else None


def read_own_pages(folder: Path = DATA / "pages") -> list[Document]:
    """The original pages written for the project: ``ID.txt`` beside ``gold.jsonl``."""
    documents = []
    for number, record in read_records(folder / "gold.jsonl"):
        where = f"{folder / 'gold.jsonl'}, record {number}"
        path = folder / f"{record.get('id')}.txt"
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise CorpusError(f"{where}: its text {path} cannot be read ({error})") from None
        documents.append(_document(record | {"text": text}, where, group="publication"))
    return documents


def read_bank(folder: Path) -> list[Document]:
    """The widgets or passages of a folder of JSON Lines files."""
    return [
        _document(record, f"{path}, record {number}", group="publication" if "publication" in record else "id")
        for path in sorted(folder.glob("*.jsonl"))
        for number, record in read_records(path)
    ]


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
                    yield number, _record(line, f"{path}, record {number}")
    except CorpusError:
        raise
    except (OSError, EOFError, ValueError) as error:
        raise CorpusError(f"{path}: cannot be read ({error}); see data/README.md for the layout") from error


def _record(line: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise CorpusError(f"{where}: not JSON ({error}); one object a line is wanted") from None
    if not isinstance(record, dict):
        raise CorpusError(f"{where}: a JSON {type(record).__name__}; one object a line is wanted")
    return record


def _page(record: dict[str, Any], where: str) -> Document:
    return _document(record, where, group="host")


def _document(record: dict[str, Any], where: str, group: str) -> Document:
    """A checked document; ``group`` names the field that a hold-out must not split."""
    wanted = {"id": "id", "text": "text", "labels": "labels", "group": group}
    values: dict[str, str] = {}
    for name, key in wanted.items():
        if not isinstance(record.get(key), str):
            raise CorpusError(f"{where}: no text in field {key!r}; see data/README.md for the layout")
        values[name] = record[key]
    others = {name: record.get(name) or "" for name in ("lang", "kind", "form", "page_type", "place", "url")}
    document = Document(**values, **others)
    lines = len(document.lines())
    if lines != len(document.labels) or set(document.labels) - set(CODES):
        raise CorpusError(
            f"{where} ({document.id}): {lines} non-blank lines but labels {document.labels[:20]!r}… of length"
            f" {len(document.labels)}; give one of {', '.join(CODES)} for each non-blank line"
        )
    return document
