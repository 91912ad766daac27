"""A chunk of records to a chunk of output: all that a worker does. Nothing here reads or writes a file."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from detector.batch.chunks import Chunk, Position, Reading
from detector.batch.inputs import format_of
from detector.batch.tally import Failure, Tally, printable
from detector.detector import Detector
from detector.formats import Broken, Format, Note, Piece, Skipped, jsonl
from detector.formats.compression import codec_of
from detector.keep import Keep
from detector.labels import Label
from detector.memory import SiteMemory
from detector.page import Page


class WorkerError(RuntimeError):
    """A worker process died; the message says what to do."""


@dataclass(frozen=True)
class Writing:
    """What is written of labelled pages: the format, what is kept of them (``None``: all, with its labels), the suffix
    whose compression is wanted, and, for a table, the terminal's width and whether it has colour.
    """

    output_format: str = "jsonl"
    keep: Keep | None = None
    suffix: str = ""
    width: int = 80
    colour: bool = False


@dataclass(frozen=True)
class Job:
    """All that a worker must know. ``site_memory`` lasts for a chunk: what one says must not depend on another."""

    model: Path | None = None
    reading: Reading = field(default_factory=Reading)
    writing: Writing = field(default_factory=Writing)
    site_memory: bool = False


@dataclass
class Done:
    """A chunk's output, with what could not be read and what people should know; ``end`` is where the next begins,
    ``consumed`` how many bytes of the inputs were read up to there.
    """

    output: bytes
    failures: list[Failure]
    notes: list[str]
    tally: Tally
    end: Position
    consumed: int


class Parser:
    """Pieces to pages."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._path = ""
        self._format: Format | None = None

    def items(self, path: str, part: Piece | Broken) -> Iterator[Page | Broken | Note | Skipped]:
        """The pages of a piece of the file at ``path``, in order, with what is none among them."""
        if isinstance(part, Broken):
            yield part
            return
        if self._format is None or path != self._path:
            reading = self._reading
            self._path = path
            self._format = format_of(path, reading.input_format, reading.names, reading.markdown)
        yield from self._format.pages(path, part, self._reading.limit)


class Worker:
    """Labels chunks."""

    def __init__(self, job: Job, detector: Detector) -> None:
        self.job, self.detector = job, detector
        self._parser = Parser(job.reading)

    def widen(self) -> None:
        """Make ready for many chunks."""
        self.detector.model.widen()

    def __call__(self, chunk: Chunk) -> Done:
        """Label a chunk."""
        found: list[tuple[str, Page | Broken | Note | Skipped]] = []
        # A page is labelled while what was read of it is still at hand, not after all others are read.
        labelled = list(self.detector.label_stream(self._pages(chunk, found)))
        if self.job.site_memory:
            # All are here: the first pages of a host learn from its last ones, and no host need be forgotten.
            labelled = SiteMemory(hosts=max(1, len(labelled))).update(labelled)
        pages = iter(labelled)
        outcomes: list[Page | Broken] = []
        tally = Tally()
        failures: list[Failure] = []
        notes: list[str] = []
        for path, item in found:
            match item:
                case Page():
                    page = next(pages)
                    tally.add(page)
                    outcomes.append(page)
                case Broken():
                    failures.append(Failure(path, item.number, item.reason))
                    outcomes.append(item)
                case Skipped():
                    tally.skipped += 1
                case Note():
                    notes.append(f"{printable(path)}: {item.message}")
        tally.failed = len(failures)
        return Done(self._encoded(outcomes), failures, notes, tally, chunk.end, chunk.consumed)

    def _pages(self, chunk: Chunk, found: list[tuple[str, Page | Broken | Note | Skipped]]) -> Iterator[Page]:
        """The pages of a chunk; all that is in it is put into ``found``."""
        for path, part in chunk.parts:
            for item in self._parser.items(path, part):
                found.append((path, item))
                if isinstance(item, Page):
                    yield item

    def _encoded(self, outcomes: Sequence[Page | Broken]) -> bytes:
        data = self._encode(outcomes)
        codec = codec_of(self.job.writing.suffix)
        return codec.member(data) if codec and data else data

    @cached_property
    def _encode(self) -> Callable[[Sequence[Page | Broken]], bytes]:
        return {
            "jsonl": self._json_lines,
            "parquet": self._arrow,
            "tsv": _lines(jsonl.tsv_lines),
            "dolma": self._dolma,
            "text": self._texts,
            "markdown": self._markdown,
            "table": self._tables,
        }[self.job.writing.output_format]

    def _json_lines(self, outcomes: Sequence[Page | Broken]) -> bytes:
        model, keep = self.detector.model.name, self.job.writing.keep
        if keep is None:
            return _lines(lambda page: (jsonl.labelled_line(page, model),))(outcomes)
        detector = self.detector
        return _lines(lambda page: (jsonl.dump(jsonl.cleaned_record(page, keep.text(detector, page), model)),))(
            outcomes
        )

    def _arrow(self, outcomes: Sequence[Page | Broken]) -> bytes:
        from detector.formats.parquet import streams

        keep = self.job.writing.keep
        pages = [page for page in outcomes if isinstance(page, Page)]
        texts = [page.text if keep is None else keep.text(self.detector, page) for page in pages]
        return streams(pages, self.detector.model.name, texts, labelled=keep is None)

    def _dolma(self, outcomes: Sequence[Page | Broken]) -> bytes:
        from detector.formats.dolma import attributes, no_attributes

        lines = (attributes(item) if isinstance(item, Page) else no_attributes(item.id) for item in outcomes)
        return "".join(lines).encode()

    @property
    def _keep(self) -> Keep:
        return self.job.writing.keep or Keep((Label.EDITORIAL,))

    def _texts(self, outcomes: Sequence[Page | Broken]) -> bytes:
        return _lines(lambda page: (_ended(self._keep.text(self.detector, page)),))(outcomes)

    def _markdown(self, outcomes: Sequence[Page | Broken]) -> bytes:
        from detector.markdown import MarkdownPage

        def written(page: Page) -> str:
            if isinstance(page, MarkdownPage):
                return page.keep_markdown_where(self._keep.mask(self.detector, page))
            return self._keep.text(self.detector, page)

        return _lines(lambda page: (_ended(written(page)),))(outcomes)

    def _tables(self, outcomes: Sequence[Page | Broken]) -> bytes:
        from rich.console import Console

        from detector.view import print_page

        writing = self.job.writing
        shown = io.StringIO()
        console = Console(file=shown, width=writing.width, force_terminal=writing.colour or None, highlight=False)
        for item in outcomes:
            if isinstance(item, Page):
                print_page(console, item)
        return shown.getvalue().encode("utf-8", "backslashreplace")


def _lines(lines_of: Callable[[Page], Iterator[str] | tuple[str, ...]]) -> Callable[[Sequence[Page | Broken]], bytes]:
    """What encodes the labelled pages by ``lines_of`` each. Lone surrogates, which UTF-8 cannot hold, are escaped, as
    JSON escapes them too.
    """
    # Line by line: one string of all would take four bytes a character as soon as one line has an emoji.
    return lambda outcomes: b"".join(
        [
            line.encode("utf-8", "backslashreplace")
            for item in outcomes
            if isinstance(item, Page)
            for line in lines_of(item)
        ]
    )


def _ended(text: str) -> str:
    return text + "\n" * (not text.endswith("\n") and bool(text))
