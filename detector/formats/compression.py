"""gzip, Zstandard, bzip2 and xz: read as a stream; written as members that stand for themselves.

Every batch of output is a member (a frame, a stream) of its own, so that a file which is cut at a border of batches is
whole, and the same bytes come out however often a run was interrupted. All tools read such files as one.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from detector.extras import needed

_GZIP_LEVEL = 6
_READ = 1 << 16


@dataclass(frozen=True)
class Codec:
    """One way to compress: ``opener`` gives what opens a stream, and the errors that say that its data are damaged;
    ``member`` compresses bytes so that they can be read on their own.
    """

    name: str
    suffix: str
    magic: bytes
    opener: Callable[[], tuple[Callable[[IO[bytes]], Any], type[Exception]]]
    member: Callable[[bytes], bytes]


class _Members:
    """A stream of members, one after another, with zeros between them allowed, as xz has it.

    (``BZ2File`` and ``LZMAFile`` take a damaged member for the end of the file, and all that follows would be lost
    without a word.)
    """

    def __init__(self, file: IO[bytes], begin: Callable[[], Any]) -> None:
        self._file, self._begin = file, begin
        self._member: Any = None

    def read1(self, size: int) -> bytes:
        """Some of the contents, at most ``size`` bytes; none at the end. Raises ``EOFError`` inside a member."""
        data = b""
        while not data:
            if self._member is None or self._member.eof:
                start = self._next_start()
                if not start:
                    return b""
                self._member = self._begin()
                data = self._member.decompress(start, size)
            elif not self._member.needs_input:
                data = self._member.decompress(b"", size)
            elif more := self._file.read(_READ):
                data = self._member.decompress(more, size)
            else:
                raise EOFError
        return data

    def _next_start(self) -> bytes:
        """The beginning of the next member."""
        start = b"" if self._member is None else bytes(self._member.unused_data)
        while not (start := start.lstrip(b"\0")):
            start = self._file.read(_READ)
            if not start:
                break
        return start


def _members(begin: Callable[[], Any]) -> Callable[[IO[bytes]], Any]:
    return lambda file: _Members(file, begin)


def _zstd() -> Any:  # noqa: ANN401  Either of two modules of one interface.
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    return needed(name, "zstd", "Zstandard")


def _zstd_member(data: bytes) -> bytes:
    zstd = _zstd()
    return bytes(zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}))


CODECS = (
    Codec(
        "gzip",
        ".gz",
        b"\x1f\x8b",
        lambda: (lambda file: gzip.GzipFile(fileobj=file, mode="rb"), zlib.error),
        lambda data: gzip.compress(data, _GZIP_LEVEL, mtime=0),
    ),
    Codec(
        "Zstandard",
        ".zst",
        b"\x28\xb5\x2f\xfd",
        lambda: (_members(_zstd().ZstdDecompressor), _zstd().ZstdError),
        _zstd_member,
    ),
    Codec("bzip2", ".bz2", b"BZh", lambda: (_members(bz2.BZ2Decompressor), OSError), bz2.compress),
    Codec("xz", ".xz", b"\xfd7zXZ\x00", lambda: (_members(lzma.LZMADecompressor), lzma.LZMAError), lzma.compress),
)
MAGIC_BYTES = max(len(codec.magic) for codec in CODECS)


def codec_of(name: str) -> Codec | None:
    """The codec that a file's name ends in."""
    return next((codec for codec in CODECS if name.lower().endswith(codec.suffix)), None)


def codec_of_bytes(start: bytes) -> Codec | None:
    """The codec that a file's first bytes are of."""
    return next((codec for codec in CODECS if start.startswith(codec.magic)), None)


def stem(name: str) -> str:
    """``name`` without its codec's suffix."""
    codec = codec_of(name)
    return name[: -len(codec.suffix)] if codec else name
