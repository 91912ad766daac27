"""Plain text: bytes to ``str``, whatever the encoding; cleaned pages back to text."""

from __future__ import annotations

import codecs

from detector.formats import RecordError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(data: bytes) -> str:
    """The text in ``data``: by its byte order mark, as UTF-8, or in the encoding that its bytes look like.

    Raises :class:`RecordError` for what is not text: NUL bytes, or bytes that fit no encoding.
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
        return _detected(data, error.start)


def _strict(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise RecordError(
            f"not the {encoding.upper()} that its byte order mark promises: byte {error.start:,} is wrong; convert it"
        ) from None


def _detected(data: bytes, offset: int) -> str:
    import chardet

    encoding = chardet.detect(data)["encoding"]
    try:
        if encoding is not None:
            return data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        pass
    raise RecordError(f"not UTF-8 (byte {offset:,} is wrong) and in no encoding that could be told; convert it")
