"""WARC: the responses in a crawl (HTML or plain text), or the conversions (WET: plain text).

The records are cut apart here, by their lengths, and fastwarc reads each on its own in the worker. (Its iterator over a
whole file gives up at the first wrong length, and every record after it would be lost.) After a record whose length is
wrong, the next line that begins a record is looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from detector.extras import needed
from detector.formats import Broken, Piece, RecordError, Skipped, too_long
from detector.formats.text import decode, looks_like_html
from detector.page import Page
from detector.segment import segment
from detector.sources import DamagedError, Source

_FASTWARC = ("fastwarc.warc", "warc", "WARC")
_BEGIN = b"WARC/"
_HEAD_END = b"\r\n\r\n"
_MOST_HEAD = 1 << 16
_TYPE = re.compile(rb"^WARC-Type:[ \t]*([\w-]+)", re.IGNORECASE | re.MULTILINE)
_LENGTH = re.compile(rb"^Content-Length:[ \t]*(\d{1,18})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_LINE_ENDS = re.compile(rb"[\r\n]*")
_READ = 1 << 18
_WRONG_LENGTH = "its Content-Length is wrong: no record begins where it ends; this record is left out"
_HTML = ("text/html", "application/xhtml+xml")


@dataclass(frozen=True)
class Warc:
    """A file of WARC records, of which those of type ``wanted`` are pages: ``response`` or ``conversion``."""

    wanted: str

    def cut(self, file: Source, limit: int) -> Iterator[Piece | Broken]:
        """The wanted records, numbered among all records of the file."""
        needed(*_FASTWARC)  # Here a missing package costs this file; in a worker, the run.
        window = _Window(file)
        number = 0
        while window.skip_blank():
            number += 1
            yield from self._record(window, number, limit)

    def _record(self, window: _Window, number: int, limit: int) -> Iterator[Piece | Broken]:
        head = window.head()
        length = _LENGTH.search(head) if head else None
        if head is None or length is None:
            yield Broken(number, "no WARC header with a Content-Length where a record should begin; it is left out")
            window.to_next_record(1)
            return
        kind = _TYPE.search(head)
        wanted = kind is not None and kind[1].decode().lower() == self.wanted
        size = len(head) + int(length[1])
        if int(length[1]) > limit:
            if wanted:
                yield Broken(number, too_long("more", limit))
            window.pass_over(size)
        elif not window.ends_at(size):
            yield Broken(number, _WRONG_LENGTH)
            window.to_next_record(len(head))
        else:
            data = window.take(size)
            if wanted:
                yield Piece(number, 1, data)

    def pages(self, path: str, piece: Piece, limit: int) -> Iterator[Page | Broken | Skipped]:
        """The page in a record; its id is the record's, its URL the target's."""
        warc = needed(*_FASTWARC)
        try:
            record = warc.WarcRecord.from_bytes(piece.data)
            record.parse_http(auto_decode="all")
            page = self._page(record, limit)
        except (RecordError, OSError) as error:
            yield Broken(piece.first, str(error))
            return
        if page is None:
            yield Skipped()
            return
        headers = record.headers
        name = headers.get("WARC-Record-ID") or f"{path}:{piece.first}"
        date = headers.get("WARC-Date")
        yield page.with_record(name, headers.get("WARC-Target-URI"), {"date": date} if date else {})

    def _page(self, record: Any, limit: int) -> Page | None:  # noqa: ANN401  fastwarc is not there to be named.
        """``None`` for what is no page: redirects, errors, pictures."""
        if self.wanted == "conversion":
            return segment(decode(_payload(record, limit), lambda message: None))
        if record.http_headers is None:
            raise RecordError("no HTTP response in this record")
        kind = (record.http_content_type or "").lower()
        if record.http_headers.status_code != 200 or kind not in (*_HTML, "text/plain", ""):
            return None
        data = _payload(record, limit)
        if kind in _HTML or (kind == "" and looks_like_html(data)):
            from detector.html import parse_html  # a WET file needs no HTML parser

            return parse_html(data, charset=record.http_charset)
        return segment(decode(data, lambda message: None)) if kind else None


def _payload(record: Any, limit: int) -> bytes:  # noqa: ANN401
    data = bytes(record.reader.read(limit + 1))
    if len(data) > limit:
        raise RecordError(too_long("more", limit))
    return data


class _Window:
    """What lies ahead in a file: read as far as is asked for."""

    def __init__(self, file: Source) -> None:
        self._file = file
        self._ahead = bytearray()
        self._error: DamagedError | OSError | None = None

    def _fill(self, size: int) -> bool:
        """Whether ``size`` bytes lie ahead."""
        while len(self._ahead) < size:
            try:
                data = self._file.read(max(_READ, size - len(self._ahead)))
            except (DamagedError, OSError) as error:
                # What lies ahead comes first.
                self._error, data = error, b""
            if not data:
                return False
            self._ahead += data
        return True

    def _check(self) -> None:
        """Raise the error that the file ended with, if it did: what lies ahead is the beginning of a record."""
        if self._error is not None:
            raise self._error

    def skip_blank(self) -> bool:
        """Pass over line ends between records; whether anything follows."""
        while self._fill(1):
            blank = _LINE_ENDS.match(self._ahead)
            del self._ahead[: blank.end() if blank else 0]
            if self._ahead:
                return True
        self._check()
        return False

    def head(self) -> bytes | None:
        """The header with the blank line after it, if one lies ahead."""
        self._fill(_MOST_HEAD)
        end = self._ahead.find(_HEAD_END, 0, _MOST_HEAD)
        if end < 0:
            self._check()
        whole = end >= 0 and self._ahead.startswith(_BEGIN)
        return bytes(self._ahead[: end + len(_HEAD_END)]) if whole else None

    def ends_at(self, size: int) -> bool:
        """Whether a record ends ``size`` bytes ahead: there is what ends records, or the next one, or the file's end.

        Raises the error that the file ended with before that.
        """
        self._fill(size + len(_HEAD_END) + len(_BEGIN))
        if len(self._ahead) < size:
            self._check()
            return False
        after = self._ahead[size : size + len(_HEAD_END) + len(_BEGIN)]
        following = after.lstrip(b"\r\n")
        return after.startswith(_HEAD_END) or not following or following.startswith(_BEGIN[: len(following)])

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes, which lie ahead."""
        data = bytes(self._ahead[:size])
        del self._ahead[:size]
        return data

    def pass_over(self, size: int) -> None:
        """Leave out the next ``size`` bytes without holding them."""
        while size > len(self._ahead):
            size -= len(self._ahead)
            self._ahead.clear()
            if not self._fill(1):
                self._check()
                raise DamagedError("it ends inside a record that is too long to be read")
        del self._ahead[:size]

    def to_next_record(self, start: int) -> None:
        """Leave out what comes before the next line, from ``start`` on, that begins a record."""
        del self._ahead[:start]
        while self._fill(len(_BEGIN) + 1):
            found = self._ahead.find(b"\n" + _BEGIN)
            if found >= 0:
                del self._ahead[: found + 1]
                return
            del self._ahead[: -len(_BEGIN)]
        self._ahead.clear()
