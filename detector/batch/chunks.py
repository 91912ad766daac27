"""Files cut into chunks: what a worker takes at once.

Where a chunk ends depends on the inputs alone, never on time or on the number of workers, so that the same run gives
the same bytes, and a run that was interrupted goes on at a border.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from detector.batch.inputs import Input, format_of
from detector.batch.tally import Failure
from detector.extras import MissingExtraError
from detector.formats import MAX_PAGE_BYTES, Broken, Fields, Piece, RecordError
from detector.sources import DamagedError, opened

CHUNK_BYTES = 1 << 20
"""Some 0.2 s of work: long beside what it costs to send, short enough to keep all workers busy to the end."""
SITE_CHUNK_BYTES = 1 << 24
"""Where pages of one host tell about one another, for they do so within a chunk: some 160 pages of HTML, or 3,000 of
text. On made sites of 4 MB in all, shuffled, a chunk of 1 MB leaves 0.032 junk in the output, one of all 0.012 (without
site memory 0.039). A worker takes 170 MB more for it, the process that reads as much."""
_OVERHEAD = 256
"""Bytes that a piece counts for beside its data, lest a million empty files be one chunk."""


@dataclass(frozen=True, order=True)
class Position:
    """A place in the inputs: so many files are done, and so many pieces of the next."""

    files: int = 0
    pieces: int = 0


START = Position()


@dataclass(frozen=True)
class Reading:
    """How files are read: their format or ``auto``, the fields of records, the most bytes of a page, and whether HTML
    files are to become Markdown.
    """

    input_format: str = "auto"
    names: Fields = field(default_factory=Fields)
    limit: int = MAX_PAGE_BYTES
    markdown: bool = False


@dataclass
class Chunk:
    """Pieces of files, with what could not be read between them; ``end`` is where the next chunk begins, ``consumed``
    how many bytes of the inputs were read up to there.
    """

    parts: list[tuple[str, Piece | Broken]] = field(default_factory=list)
    end: Position = START
    consumed: int = 0
    size: int = 0

    def add(self, path: str, part: Piece | Broken) -> None:
        """Put a piece at the end."""
        self.parts.append((path, part))
        self.size += _OVERHEAD + (len(part.data) if isinstance(part, Piece) else 0)


def chunks_of(
    inputs: Sequence[Input | Failure], reading: Reading, start: Position = START, *, sites: bool = False
) -> Iterator[Chunk]:
    """All inputs from ``start`` on, in order; what cannot be read costs nothing else. ``sites``: in large chunks."""
    least = SITE_CHUNK_BYTES if sites else CHUNK_BYTES
    consumed = sum(found.size or 0 for found in inputs[: start.files] if isinstance(found, Input))
    chunk = Chunk()
    for index in range(start.files, len(inputs)):
        done = start.pieces if index == start.files else 0
        read = 0
        found = inputs[index]
        path = found.path if isinstance(found, Input) else found.file
        for number, (part, read) in enumerate(_parts(found, reading), 1):
            if number <= done:
                continue
            chunk.add(path, part)
            if chunk.size >= least:
                chunk.end, chunk.consumed = Position(index, number), consumed + read
                yield chunk
                chunk = Chunk()
        consumed += read
    if chunk.parts:
        chunk.end, chunk.consumed = Position(len(inputs)), consumed
        yield chunk


def _parts(found: Input | Failure, reading: Reading) -> Iterator[tuple[Piece | Broken, int]]:
    """The pieces of a file, each with the bytes of it that are read by then."""
    if isinstance(found, Failure):
        yield Broken(found.record, found.reason), 0
        return
    consumed, following = 0, None
    try:
        file_format = format_of(found.path, reading.input_format, reading.names)
        with opened(found.path) as file:
            for part in file_format.cut(file, reading.limit):
                consumed = file.consumed
                following = _after(part)
                yield part, consumed
    except (RecordError, DamagedError, MissingExtraError) as error:
        yield Broken(following, str(error)), consumed
    except OSError as error:
        yield Broken(following, _unreadable(found.path, error)), consumed


def _unreadable(path: str, error: OSError) -> str:
    reason = error.strerror or str(error)
    # Of a page that is not there, fsspec says its address.
    return f"cannot be read ({reason})" if reason != path else "cannot be read; check the address, and the network"


def _after(part: Piece | Broken) -> int | None:
    """The number of the record after ``part``."""
    if isinstance(part, Broken):
        return None if part.number is None else part.number + 1
    return None if part.first is None else part.first + part.count
