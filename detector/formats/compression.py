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
    Codec("Zstandard", ".zst", b"\x28\xb5\x2f\xfd", lambda: (_zstd().ZstdFile, _zstd().ZstdError), _zstd_member),
    Codec("bzip2", ".bz2", b"BZh", lambda: (bz2.BZ2File, OSError), bz2.compress),
    Codec("xz", ".xz", b"\xfd7zXZ\x00", lambda: (lzma.LZMAFile, lzma.LZMAError), lzma.compress),
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
