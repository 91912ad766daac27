"""Many inputs, one stream of labelled pages; what cannot be read goes into the error lane with its reason."""

from __future__ import annotations

import glob
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from detector.detector import Detector
from detector.formats import RecordError
from detector.formats.jsonl import Fields, parse
from detector.formats.text import decode
from detector.labels import LABELS
from detector.page import Page
from detector.segment import segment

STANDARD_INPUT = "-"
TEXT_SUFFIXES = (".txt", ".text", ".md")
RECORD_SUFFIXES = (".jsonl", ".ndjson")


@dataclass(frozen=True)
class Failure:
    """Something that could not be labelled: the file, the number of the record in it (from 1), the reason."""

    file: str
    record: int | None
    reason: str

    def __str__(self) -> str:
        where = self.file if self.record is None else f"{self.file}, record {self.record}"
        return f"{where}: {self.reason}"

    def as_json(self) -> str:
        """One line of the error lane."""
        return json.dumps({"file": self.file, "record": self.record, "reason": self.reason}, ensure_ascii=False) + "\n"


@dataclass
class Tally:
    """What went in and what came out; ``pages`` is ``labelled`` plus ``failed``."""

    labelled: int = 0
    failed: int = 0
    characters: int = 0
    paragraphs: Counter[str] = field(default_factory=Counter)

    @property
    def pages(self) -> int:
        """All that was read or tried."""
        return self.labelled + self.failed

    def add(self, page: Page) -> None:
        """Count a labelled page."""
        self.labelled += 1
        self.characters += len(page.text)
        self.paragraphs.update(label.value for label in page.labels)

    def __str__(self) -> str:
        shares = ", ".join(f"{self.paragraphs[label.value]:,} {label.value}" for label in LABELS)
        total = sum(self.paragraphs.values())
        return (
            f"{self.pages:,} pages: {self.labelled:,} labelled, {self.failed:,} failed; {total:,} paragraphs: {shares}"
        )


def expand(paths: Iterable[str]) -> Iterator[str | Failure]:
    """Files named by ``paths``: each a file, a folder (its text and JSON Lines files, in order of name), a glob, or
    ``-`` for standard input. What names nothing comes out as a :class:`Failure`.
    """
    for path in paths:
        if path == STANDARD_INPUT or os.path.isfile(path):
            yield path
        elif os.path.isdir(path):
            inside = sorted(str(p) for p in Path(path).rglob("*") if p.suffix in TEXT_SUFFIXES + RECORD_SUFFIXES)
            suffixes = ", ".join(TEXT_SUFFIXES + RECORD_SUFFIXES)
            failure = Failure(path, None, f"a folder without {suffixes} files; name files or a glob")
            yield from inside or (failure,)
        elif os.path.exists(path):
            yield path
        else:
            matches = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else []
            yield from matches or (Failure(path, None, "no such file or folder; check the name"),)


def read(paths: Iterable[str], input_format: str, names: Fields, fail: Callable[[Failure], None]) -> Iterator[Page]:
    """Pages of all files, segmented; what cannot be read is told to ``fail`` and costs nothing else.

    ``input_format`` is ``text``, ``jsonl``, or ``auto``: by the file's suffix.
    """
    for path in expand(paths):
        if isinstance(path, Failure):
            fail(path)
            continue
        records = input_format == "jsonl" or (input_format == "auto" and path.endswith(RECORD_SUFFIXES))
        try:
            yield from _records(path, names, fail) if records else _whole(path)
        except RecordError as error:
            fail(Failure(path, None, str(error)))
        except OSError as error:
            fail(Failure(path, None, f"cannot be read ({error.strerror or error})"))


def _whole(path: str) -> Iterator[Page]:
    with _opened(path) as file:
        text = decode(file.read())
    yield segment(text).with_record(path, None, {})


def _records(path: str, names: Fields, fail: Callable[[Failure], None]) -> Iterator[Page]:
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            try:
                if line.strip():
                    record = parse(decode(line), names)
                    page = segment(record.text)
                    yield page.with_record(record.id or f"{path}:{number}", record.url, record.fields)
            except RecordError as error:
                fail(Failure(path, number, str(error)))


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    if path == STANDARD_INPUT:
        yield sys.stdin.buffer
    else:
        with open(path, "rb") as file:
            yield file


def label(detector: Detector, pages: Iterable[Page], tally: Tally) -> Iterator[Page]:
    """Labelled pages, in order, counted as they pass."""
    for page in detector.label_stream(pages):
        tally.add(page)
        yield page


@contextmanager
def whole_file(path: Path) -> Iterator[IO[str]]:
    """A text file that appears under its name when it is whole, or not at all."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            yield file
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
