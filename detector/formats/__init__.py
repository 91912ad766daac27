"""Readers and writers: one module a format.

Reading has two halves. ``cut`` runs in the process that reads: it cuts an open file into pieces (:class:`Piece`), each
the bytes of one or more records, and parses no more than it must to find where they end. ``pages`` runs in a worker: it
turns a piece into pages. What cannot be read comes out of either as :class:`Broken`, in its place among the others.
Memory holds a piece at a time; a record of more than ``limit`` bytes is broken, not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from detector.page import Page

if TYPE_CHECKING:
    from detector.sources import Source

PIECE_BYTES = 1 << 18
"""Where many records are cut at once, the bytes that a piece holds at least."""
MAX_PAGE_BYTES = 1 << 27
"""The default of ``limit``: a page of 100 MB is legal, a bomb is not."""


class RecordError(ValueError):
    """A record that cannot be read; the message says what is wrong and what to do, for a person in a hurry."""


@dataclass(frozen=True, slots=True)
class Fields:
    """Names of the fields that hold a record's text, id and URL, and its HTML if that is to be read instead.

    ``rest`` says whether the other fields are wanted: what will not be written need not be decoded.
    """

    text: str = "text"
    id: str = "id"
    url: str = "url"
    html: str | None = None
    rest: bool = True


@dataclass(frozen=True, slots=True)
class Piece:
    """``count`` records of a file on their way to a worker: the first one's number, from 1 (``None``: the file is the
    record), and their bytes.
    """

    first: int | None
    count: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """A record that cannot be read: its number, the reason, and its id where that much is known."""

    number: int | None
    reason: str
    id: Any = None


@dataclass(frozen=True, slots=True)
class Note:
    """Something that people should know of a file and that is no failure."""

    message: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A record that is no page and none that failed, as a picture in a crawl is."""


class Format(Protocol):
    """How files of one format are read."""

    def cut(self, file: Source, limit: int) -> Iterator[Piece | Broken]:
        """The records of ``file``, in order; raises :class:`RecordError`, :class:`~detector.sources.DamagedError` or
        ``OSError`` where no more can be read.
        """

    def pages(self, path: str, piece: Piece, limit: int) -> Iterator[Page | Broken | Note | Skipped]:
        """The pages of a piece of the file at ``path``, in order."""


def too_long(size: str, limit: int) -> str:
    """Why a record that is longer than ``limit`` is not read."""
    return f"{size} than {limit:,} bytes; raise --max-page-bytes if that is a page"
