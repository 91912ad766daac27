"""What the paths of a run name: files of this machine or others, each with its format and size."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from detector.batch.tally import Failure, printable
from detector.extras import MissingExtraError
from detector.formats import Fields, Format
from detector.formats.compression import stem
from detector.sources import STANDARD_INPUT, DamagedError, file_system, is_remote

TEXT_SUFFIXES = (".txt", ".text", ".md")
HTML_SUFFIXES = (".html", ".htm", ".xhtml")
RECORD_SUFFIXES = (".jsonl", ".ndjson")
PACKED_RECORD_SUFFIX = ".json"
"""JSON Lines when it is compressed, as corpora are named; by itself it may be one JSON document over many lines."""
_BY_SUFFIX = {
    **dict.fromkeys(HTML_SUFFIXES, "html"),
    **dict.fromkeys(RECORD_SUFFIXES, "jsonl"),
    ".parquet": "parquet",
    ".warc": "warc",
    ".wet": "wet",
}
SUFFIXES = (*TEXT_SUFFIXES, *_BY_SUFFIX)
"""Those of the files that are read in a folder, in either case, compressed or not."""
_ONE_PAGE = ("text", "html", "auto")


@dataclass(frozen=True)
class Input:
    """A file of a run; ``size`` is in bytes, ``None`` where it is not known, as ``stamp`` (nanoseconds) may be."""

    path: str
    size: int | None = None
    stamp: int | None = None


def find(paths: Iterable[str], warn: Callable[[str], None]) -> list[Input | Failure]:
    """Files named by ``paths``: each a file, a folder (its files of known suffixes, in order of name), a glob, a
    remote address of one of these, or ``-`` for standard input. What names nothing comes out as a
    :class:`~detector.batch.tally.Failure`; ``warn`` is told how many of a folder's files are left out, hidden ones
    aside.
    """
    found: list[Input | Failure] = []
    for path in paths:
        if path == STANDARD_INPUT and Input(path) in found:
            found.append(Failure(path, None, "standard input is read once; name - once"))
        else:
            found.extend(_named(path, warn))
    return found


def _named(path: str, warn: Callable[[str], None]) -> list[Input | Failure]:
    if path == STANDARD_INPUT:
        return [Input(path)]
    if is_remote(path):
        return _remote(path, warn)
    if os.path.isdir(path):
        files = (str(file) for file in Path(path).rglob("*") if file.is_file() and not file.name.startswith("."))
        return _in_folder(path, sorted(files), _local, warn)
    if os.path.exists(path):
        return [_local(path)]
    matches = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else []
    return [_local(match) for match in matches if not os.path.isdir(match)] or [_nothing(path)]


def _nothing(path: str) -> Failure:
    return Failure(path or "''", None, "no such file or folder; check the name")


def _local(path: str) -> Input | Failure:
    try:
        about = os.stat(path)
    except OSError as error:
        return Failure(path, None, f"cannot be read ({error.strerror})")
    return Input(path, about.st_size if os.path.isfile(path) else None, about.st_mtime_ns)


def _in_folder(
    folder: str, files: Sequence[str], input_of: Callable[[str], Input | Failure], warn: Callable[[str], None]
) -> list[Input | Failure]:
    known = [path for path in files if _suffix(path)]
    if not known:
        return [Failure(folder, None, f"a folder without {', '.join(SUFFIXES)} files; name files or a glob")]
    if skipped := len(files) - len(known):
        warn(f"{printable(folder)}: {skipped:,} file{'s' * (skipped > 1)} skipped, not named {', '.join(SUFFIXES)}")
    return [input_of(path) for path in known]


def _remote(address: str, warn: Callable[[str], None]) -> list[Input | Failure]:
    try:
        found, path = file_system(address)
        if address.startswith(("http://", "https://")):
            # A question mark is no wildcard here, and a folder cannot be told from a page.
            return [Input(address)]
        if glob.has_magic(path):
            files = [found.unstrip_protocol(match) for match in sorted(found.glob(path))]
            return [Input(file) for file in files] or [_nothing(address)]
        if found.isdir(path):
            files = [found.unstrip_protocol(file) for file in sorted(found.find(path))]
            return _in_folder(address, files, Input, warn)
    except (OSError, DamagedError, MissingExtraError) as error:
        return [Failure(address, None, str(error))]
    return [Input(address)]


def _suffix(path: str) -> str | None:
    """The suffix that tells a file's format, if it is a known one."""
    name = stem(path).lower()
    if name.endswith(PACKED_RECORD_SUFFIX) and stem(path) != path:
        return RECORD_SUFFIXES[0]
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)


def format_name(path: str, input_format: str) -> str:
    """``text``, ``html``, ``jsonl``, ``parquet``, ``warc``, ``wet``, or ``auto`` where the file's first bytes tell text
    from HTML.
    """
    return input_format if input_format != "auto" else _BY_SUFFIX.get(_suffix(path) or "", "auto")


def at_most_one_page(paths: Sequence[str], input_format: str) -> bool:
    """Whether ``paths`` name one page at most: not a folder, a glob or a file of records, which hold any number."""
    if len(paths) != 1:
        return False
    path = paths[0]
    is_glob = glob.has_magic(path) and not os.path.exists(path)
    return not is_glob and not os.path.isdir(path) and format_name(path, input_format) in _ONE_PAGE


def format_of(path: str, input_format: str, names: Fields, markdown: bool = False) -> Format:
    """What reads the file at ``path``, with ``markdown`` so that HTML can be written as that.

    Raises :class:`~detector.extras.MissingExtraError` if that is not installed.
    """
    match format_name(path, input_format):
        case "jsonl":
            from detector.formats.jsonl import JsonLines

            return JsonLines(names)
        case "parquet":
            from detector.formats.parquet import Parquet

            return Parquet(names)
        case "warc" | "wet" as name:
            from detector.formats.warc import Warc

            return Warc("response" if name == "warc" else "conversion")
        case name:
            from detector.formats.text import WholeFile

            return WholeFile({"text": False, "html": True}.get(name), markdown)


def fingerprint(inputs: Sequence[Input | Failure]) -> str:
    """The files' number and bytes, and a hash of their names, sizes and times: whether two runs read the same."""
    digest = hashlib.sha256()
    total = 0
    for found in inputs:
        size, stamp = (found.size, found.stamp) if isinstance(found, Input) else (None, None)
        path = found.path if isinstance(found, Input) else found.file
        total += size or 0
        digest.update(f"{path}\0{size}\0{stamp}\0".encode("utf-8", "surrogateescape"))
    return f"{len(inputs):,} of {total:,} bytes, with times {digest.hexdigest()[:16]}"
