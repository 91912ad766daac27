"""Files that are one page: plain text, whatever its encoding, and HTML."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from detector.encodings import detect
from detector.formats import Broken, Note, Piece, RecordError, too_long
from detector.page import Page
from detector.segment import segment
from detector.sources import Source

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ASCII = bytes(range(0x80))
_BAD_SHARE = 0.2
"""Of the bytes beyond ASCII that may be wrong in UTF-8; in every other encoding that is in use, most are."""
_HTML_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?<(?:!doctype\s+html|html)[\s>]", re.IGNORECASE)


@dataclass(frozen=True)
class WholeFile:
    """A file that is one page; ``html`` is ``None`` where its first bytes tell text from HTML. With ``markdown``, HTML
    is read so that it can be written as that.
    """

    html: bool | None = None
    markdown: bool = False

    def cut(self, file: Source, limit: int) -> Iterator[Piece | Broken]:
        """The file as one piece."""
        data = file.read(limit + 1)
        if len(data) <= limit:
            # Where the file breaks off it gives what there is, and the error to who asks for more.
            file.read(1)
        yield Broken(None, too_long("more", limit)) if len(data) > limit else Piece(None, 1, data)

    def pages(self, path: str, piece: Piece, limit: int) -> Iterator[Page | Broken | Note]:
        """The page, named by its path."""
        notes: list[Note] = []
        try:
            page = self._page(piece.data, lambda message: notes.append(Note(message)))
        except RecordError as error:
            yield Broken(None, str(error))
        else:
            if self.html is None and path.lower().endswith(".json"):
                yield Note("read as a page of text; --input-format jsonl reads an object a line")
            yield from notes
            yield page.with_record(path, None, {})

    def _page(self, data: bytes, warn: Callable[[str], None]) -> Page:
        if self.html or (self.html is None and looks_like_html(data)):
            # Text needs no HTML parser.
            if self.markdown:
                from detector.markdown import parse_markdown

                return parse_markdown(data)
            from detector.html import parse_html

            return parse_html(data)
        return segment(decode(data, warn))


def looks_like_html(data: bytes) -> bool:
    """Whether ``data`` begins as an HTML document does."""
    return _HTML_START.match(data) is not None


def decode(data: bytes, warn: Callable[[str], None]) -> str:
    """The text in ``data``: by its byte order mark, as UTF-8, or in the encoding that its bytes look like.

    A few bytes that are wrong in UTF-8 become U+FFFD, and ``warn`` is told. Raises :class:`RecordError` for what is
    not text: NUL bytes, or bytes that fit no encoding.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _strict(data, encoding)
    nul = data.find(0)
    if nul >= 0:
        raise RecordError(f"a NUL byte at offset {nul:,}: not a text file; extract its text first")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        bad = len(data) - len(data.decode("utf-8", "ignore").encode())
        if not _is_nearly_utf8(data, bad, error):
            return _detected(data, error.start)
        warn(f"not all UTF-8: {bad:,} byte{'s' * (bad > 1)}, the first at offset {error.start:,}, became U+FFFD")
        return data.decode("utf-8", "replace")


def _strict(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise RecordError(
            f"not the {encoding.upper()} that its byte order mark promises: byte {error.start:,} is wrong; convert it"
        ) from None


def _is_nearly_utf8(data: bytes, bad: int, error: UnicodeDecodeError) -> bool:
    """Whether ``data`` is UTF-8 with ``bad`` wrong bytes, of which ``error`` is the first."""
    # A download that broke off ends inside a character; one byte alone could as well be an accent of Latin-1.
    cut = error.reason == "unexpected end of data" and bad > 1
    return cut or bad <= _BAD_SHARE * len(data.translate(None, _ASCII))


def _detected(data: bytes, offset: int) -> str:
    encoding = detect(data)
    try:
        if encoding is not None:
            return data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        pass
    raise RecordError(f"not UTF-8 (byte {offset:,} is wrong) and in no encoding that could be told; convert it")
