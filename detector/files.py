"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def write_whole(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write ``data`` beside ``path`` and rename it: who reads ``path`` sees the old file or the new one.

    If ``durable``, that holds after a power cut too.
    """
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    os.replace(partial, path)
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make sure that the names in ``folder`` are on the disk, where a system can tell."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def whole_file(path: Path) -> Iterator[IO[str]]:
    """A text file that appears under its name when it is whole, or not at all; a pipe or a device is written as is.

    Lone surrogates, which no UTF-8 file can hold, are escaped.
    """
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file
        return
    target = path.resolve()
    # A name of its own: neither another run's nor a file that someone keeps.
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        with _created(partial, path) as file:
            yield file
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _created(partial: Path, path: Path) -> IO[str]:
    try:
        return partial.open("x", encoding="utf-8", errors="backslashreplace", newline="")
    except OSError as error:
        # What is reported is the name that was asked for.
        error.filename = str(path)
        raise
