"""Where bytes come from: files of this machine, remote ones (through fsspec) and standard input, decompressed."""

from __future__ import annotations

import gzip
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Any

from detector.extras import needed
from detector.formats.compression import MAGIC_BYTES, Codec, codec_of, codec_of_bytes

STANDARD_INPUT = "-"
_BLOCK = 1 << 18


class DamagedError(ValueError):
    """A file of which no more can be read; the message says why and what to do."""


def is_remote(path: str) -> bool:
    """Whether ``path`` is an address for fsspec, as in ``s3://bucket/dump.jsonl.gz``."""
    return "://" in path


def file_system(address: str) -> tuple[Any, str]:
    """The file system of fsspec for a remote address, and the path in it."""
    fsspec = needed("fsspec", "remote", f"{address.partition('://')[0]}://")
    try:
        found, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise DamagedError(f"{error}") from None
    except ValueError as error:
        raise DamagedError(f"{error}; check the address") from None
    return found, path


class Source:
    """A file's contents as a stream that gives all there is: an error shows only after what came before it is read.

    ``consumed`` counts the bytes of the file as it is stored.
    """

    def __init__(self, file: _Counted, codec: Codec | None) -> None:
        self._counted, self._codec = file, codec
        self._name = codec.name if codec else ""
        self._error: DamagedError | OSError | None = None
        self._some, self._damage = _reader(file, codec)

    @property
    def consumed(self) -> int:
        """Bytes read so far, compressed if the file is."""
        return self._counted.count

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes; fewer, or none, at the end alone.

        Raises :class:`DamagedError` or ``OSError`` where the file breaks off or no more can be read.
        """
        parts: list[bytes] = []
        while size > 0 and (some := self._next(min(size, _BLOCK), first=not parts)):
            parts.append(some)
            size -= len(some)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _next(self, size: int, *, first: bool) -> bytes:
        if self._error is None:
            try:
                return self._some(size)
            except EOFError:
                self._error = DamagedError(f"the {self._name} data break off; what came before is read, copy it again")
            except self._damage as error:
                self._error = DamagedError(
                    f"damaged {self._name} data ({error}); what came before is read, copy it again"
                )
            except (OSError, DamagedError) as error:
                self._error = error
        if first:
            raise self._error
        return b""

    @contextmanager
    def seekable(self) -> Iterator[IO[bytes]]:
        """The contents as a file to read from anywhere: itself, or a temporary copy of what is a stream."""
        if self._codec is None and self._counted.seekable():
            yield self._counted  # type: ignore[misc]
            return
        with tempfile.TemporaryFile() as copy:
            while block := self.read(_BLOCK):
                copy.write(block)
            copy.seek(0)
            yield copy


def _reader(file: _Counted, codec: Codec | None) -> tuple[Callable[[int], bytes], tuple[type[Exception], ...]]:
    """What reads some of a file's contents, and the errors that say that they are damaged."""
    if codec is None:
        return file.read, ()
    opened, error = codec.opener()
    # read1() gives what it has; read() would lose it to an error that comes later.
    return opened(file).read1, (error, gzip.BadGzipFile)  # type: ignore[arg-type]


class _Counted:
    """A file, its bytes counted as they are read; what shrinks meanwhile is an error, not an early end."""

    def __init__(self, file: IO[bytes], size: int | None) -> None:
        self._file, self._size = file, size
        self.count = 0
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.count += len(data)
        if not data and size and self._size is not None and (end := self._file.tell()) < self._size:
            raise DamagedError(f"it shrank from {self._size:,} to {end:,} bytes while it was read; read it again")
        return data

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  Whatever has a buffer.
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


@contextmanager
def opened(path: str) -> Iterator[Source]:
    """The file at ``path``, decompressed by its suffix; standard input by its first bytes."""
    with ExitStack() as stack:
        if path == STANDARD_INPUT:
            if sys.stdin is None:
                raise DamagedError("standard input is closed; name a file")
            # A buffer over a buffer, to look ahead in what may be a pipe.
            start = sys.stdin.buffer.peek(MAGIC_BYTES)  # type: ignore[union-attr]
            yield Source(_Counted(sys.stdin.buffer, None), codec_of_bytes(start))
        elif is_remote(path):
            yield Source(_Counted(stack.enter_context(_remote(path)), None), codec_of(path))
        else:
            file = stack.enter_context(open(path, "rb"))
            yield Source(_Counted(file, _size(file)), codec_of(path))


def _size(file: IO[bytes]) -> int | None:
    """The size of a file that has one: not a pipe's or a device's."""
    about = os.fstat(file.fileno())
    return about.st_size if stat.S_ISREG(about.st_mode) and about.st_size else None


@contextmanager
def _remote(address: str) -> Iterator[IO[bytes]]:
    found, path = file_system(address)
    with found.open(path, "rb") as file:
        yield _Translated(file)  # type: ignore[misc]


class _Translated:
    """A remote file whose errors are ``OSError``: every file system's library has some of its own."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seekable, self.tell, self.seek = file.seekable, file.tell, file.seek

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except OSError:
            raise
        except Exception as error:
            raise OSError(f"{type(error).__name__}: {error}") from error
