"""Which encoding bytes are in: what they declare, what the web means by that, and what they look like."""

from __future__ import annotations

import codecs
import re

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_DECLARED = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_HEAD_BYTES = 4096
"""Where browsers look for a declared encoding is the first 1,024 bytes; real pages put it later."""
_MEANT = {
    "ascii": "cp1252",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "shift_jis": "cp932",
}
"""What browsers read when these are declared (the WHATWG's list of labels): they hold more characters."""
_ON_THE_WEB = (
    *("utf-8", "ascii", *(f"windows-125{number}" for number in range(9)), "koi8-r", "koi8-u"),
    *("iso-8859-2", "iso-8859-5", "iso-8859-7", "tis-620", "cp874"),
    *("shift_jis", "cp932", "euc-jp", "iso-2022-jp", "gb18030", "big5", "euc-kr", "cp949"),
)
_WESTERN = "Windows-1252"
_TIE = 0.98
"""A short text in one of the languages of Western Europe may look as much like Cyrillic or Czech; it is the more
frequent one by far."""


def detect(data: bytes) -> str | None:
    """The encoding that ``data``, which is not UTF-8, looks like; ``None`` if that is none in use on the web."""
    import chardet

    found = chardet.detect_all(data, include_encodings=_ON_THE_WEB, prefer_superset=True, no_match_encoding="utf-8")
    best = found[0]
    for other in found[1:]:
        if other["encoding"] == _WESTERN and other["confidence"] >= _TIE * best["confidence"]:
            best = other
    name = best["encoding"]
    return None if name is None or name.lower() == "utf-8" else name


def decode_html(data: bytes, charset: str | None = None) -> str:
    """Text of an HTML file: by its byte order mark, the HTTP charset, UTF-8 if it is that, the charset that it
    declares, or the one that its bytes look like; bytes that do not fit become U+FFFD.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    if charset and (told := codec(charset)):
        return data.decode(told, "replace")
    if is_utf8(data):
        return data.decode()
    declared = _DECLARED.search(data[:_HEAD_BYTES])
    name = codec(declared[1].decode("ascii", "replace")) if declared else None
    if name is None or name == "utf-8":
        name = detect(data)
    return data.decode(name or "utf-8", "replace")


def encode_html(data: bytes, charset: str | None = None) -> bytes:
    """The same text in UTF-8."""
    if charset is None and not data.startswith(codecs.BOM_UTF8) and is_utf8(data):
        return data
    return decode_html(data, charset).encode("utf-8", "replace")


def is_utf8(data: bytes) -> bool:
    """Whether all of ``data`` is UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def codec(charset: str) -> str | None:
    """Python's name for what browsers read as ``charset``; ``None`` if there is no such text encoding."""
    try:
        found = codecs.lookup(charset)
    except (LookupError, ValueError):
        return None
    return _MEANT.get(found.name, found.name) if found._is_text_encoding else None
