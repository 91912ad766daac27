"""Many inputs, one stream of labelled pages; what cannot be read goes into the error lane with its reason."""

from __future__ import annotations

import glob
import os
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from detector.detector import Detector
from detector.formats import RecordError
from detector.formats.jsonl import Fields, dump, parse
from detector.formats.text import decode, looks_like_html
from detector.html import parse_html
from detector.labels import LABELS
from detector.page import Page
from detector.segment import segment

STANDARD_INPUT = "-"
TEXT_SUFFIXES = (".txt", ".text", ".md")
HTML_SUFFIXES = (".html", ".htm", ".xhtml")
RECORD_SUFFIXES = (".jsonl", ".ndjson")
SUFFIXES = TEXT_SUFFIXES + HTML_SUFFIXES + RECORD_SUFFIXES
"""Those of the files that are read in a folder, in either case."""


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
        return dump({"file": self.file, "record": self.record, "reason": self.reason})


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


def expand(paths: Iterable[str], warn: Callable[[str], None]) -> Iterator[str | Failure]:
    """Files named by ``paths``: each a file, a folder (its files of known suffixes, in order of name), a glob, or
    ``-`` for standard input. What names nothing comes out as a :class:`Failure`; ``warn`` is told how many of a
    folder's files are left out, hidden ones aside.
    """
    for path in paths:
        if path == STANDARD_INPUT:
            yield path
        elif os.path.isdir(path):
            reason = f"a folder without {', '.join(SUFFIXES)} files; name files or a glob"
            yield from _inside(path, warn) or (Failure(path, None, reason),)
        elif os.path.exists(path):
            yield path
        else:
            matches = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else []
            files = [match for match in matches if not os.path.isdir(match)]
            yield from files or (Failure(path, None, "no such file or folder; check the name"),)


def _inside(folder: str, warn: Callable[[str], None]) -> list[str]:
    files = sorted(str(path) for path in Path(folder).rglob("*") if path.is_file() and not path.name.startswith("."))
    known = [path for path in files if path.lower().endswith(SUFFIXES)]
    if known and (skipped := len(files) - len(known)):
        warn(f"{folder}: {skipped:,} file{'s' * (skipped > 1)} skipped, not named {', '.join(SUFFIXES)}")
    return known


def at_most_one_page(paths: Sequence[str], input_format: str) -> bool:
    """Whether ``paths`` name one page at most: not a folder, a glob or JSON Lines, which hold any number."""
    if len(paths) != 1:
        return False
    is_glob = glob.has_magic(paths[0]) and not os.path.exists(paths[0])
    return not is_glob and not os.path.isdir(paths[0]) and _format(paths[0], input_format) != "jsonl"


def _format(path: str, input_format: str) -> str:
    """``text``, ``html``, ``jsonl``, or ``auto`` where the file's first bytes tell text from HTML."""
    if input_format != "auto":
        return input_format
    name = path.lower()
    return "jsonl" if name.endswith(RECORD_SUFFIXES) else "html" if name.endswith(HTML_SUFFIXES) else "auto"


def read(
    paths: Iterable[str],
    input_format: str,
    names: Fields,
    fail: Callable[[Failure], None],
    warn: Callable[[str], None],
    parse_page: Callable[[bytes], Page] = parse_html,
) -> Iterator[Page]:
    """Pages of all files, segmented; what cannot be read is told to ``fail`` and costs nothing else, what was mended
    or skipped is told to ``warn``. ``parse_page`` reads HTML files.

    ``input_format`` is ``text``, ``html``, ``jsonl``, or ``auto``: by the file's suffix and first bytes.
    """
    for path in expand(paths, warn):
        if isinstance(path, Failure):
            fail(path)
            continue
        file_format = _format(path, input_format)
        try:
            if file_format == "jsonl":
                yield from _records(path, names, fail)
            else:
                yield from _whole(path, file_format, warn, parse_page)
        except RecordError as error:
            fail(Failure(path, None, str(error)))
        except OSError as error:
            fail(Failure(path, None, f"cannot be read ({error.strerror or error})"))


def _whole(
    path: str, file_format: str, warn: Callable[[str], None], parse_page: Callable[[bytes], Page]
) -> Iterator[Page]:
    with _opened(path) as file:
        data = file.read()
    if file_format == "html" or (file_format == "auto" and looks_like_html(data)):
        page = parse_page(data)
    else:
        page = segment(decode(data, lambda message: warn(f"{path}: {message}")))
    yield page.with_record(path, None, {})


def _records(path: str, names: Fields, fail: Callable[[Failure], None]) -> Iterator[Page]:
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            try:
                if line.strip():
                    yield parse(line, names, f"{path}:{number}")
            except RecordError as error:
                fail(Failure(path, number, str(error)))


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    if path == STANDARD_INPUT:
        yield sys.stdin.buffer
    else:
        with open(path, "rb") as file:
            yield file


def label(detector: Detector, pages: Iterable[Page], tally: Tally, *, site_memory: bool = False) -> Iterator[Page]:
    """Labelled pages, in order, counted as they pass."""
    for page in detector.label_stream(pages, site_memory=site_memory):
        tally.add(page)
        yield page


@contextmanager
def whole_file(path: Path) -> Iterator[IO[str]]:
    """A text file that appears under its name when it is whole, or not at all; a pipe or a device is written as is.

    Lone surrogates, which no UTF-8 file can hold, are escaped.
    """
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file
        return
    target = path.resolve()
    # A name of its own: neither another run's nor a file that someone keeps.
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        with _created(partial, path) as file:
            yield file
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _created(partial: Path, path: Path) -> IO[str]:
    try:
        return partial.open("x", encoding="utf-8", errors="backslashreplace", newline="")
    except OSError as error:
        # What is reported is the name that was asked for.
        error.filename = str(path)
        raise
