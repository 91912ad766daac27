"""The corpus from public repositories: pointers and labels in ``data/labels/``, pages in clones, joined by line.

A label file holds for each page where its HTML lies (repository, commit, path), one letter for each non-blank line
of its rendered text, and a hash of each such line: enough to rebuild the labelled page, not to read it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.files import write_whole
from training.corpus import DATA, CorpusError, read_records

HASH_CHARS = 6
"""Hex digits kept of each line's SHA-256: 24 bits tell two lines of a page apart and give nothing away."""
POINTER = ("id", "source", "commit", "path", "url", "host", "lang", "page_type")


@dataclass(frozen=True)
class Outcome:
    """What became of a label file: pages rebuilt, and for each other page the reason."""

    rebuilt: int
    failed: tuple[str, ...]


def line_hash(line: str) -> str:
    """Hash of a line without the white space around it."""
    return hashlib.sha256(line.strip().encode("utf-8", "surrogatepass")).hexdigest()[:HASH_CHARS]


def strip_text(path: Path) -> list[dict[str, Any]]:
    """The pages of a corpus file without their texts: what ``data/labels/`` may hold of them."""
    return [_stripped(record) for _, record in read_records(path)]


def _stripped(record: dict[str, Any]) -> dict[str, Any]:
    hashes = "".join(line_hash(line) for line in record["text"].split("\n") if line.strip())
    return {key: record[key] for key in POINTER} | {"labels": record["labels"], "hashes": hashes}


def write_jsonl(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """Write records, compressed if the name ends in ``.gz``; the same records give the same bytes."""
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    data = text.encode("utf-8", "surrogatepass")
    write_whole(path, _packed(data) if path.suffix == ".gz" else data)


def _packed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def render(html: bytes) -> str:
    """The text that the labels were read from: the whole page by resiliparse, blank lines between groups."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import detect_encoding
    from resiliparse.parse.html import HTMLTree

    try:
        tree = HTMLTree.parse(html.decode("utf-8"))
    except UnicodeDecodeError:
        tree = HTMLTree.parse_from_bytes(html, str(detect_encoding(html)))
    return str(
        extract_plain_text(tree, preserve_formatting=True, main_content=False, list_bullets=False, alt_texts=False)
    )


def rebuild(labels: Path, clones: Path, out: Path, report: Callable[[str], None]) -> Outcome:
    """Rebuild the corpus file of one label file, and the HTML of its pages in ``html/`` beside it.

    Pages that are missing or have changed are left out and named.
    """
    folder = out.parent / "html"
    folder.mkdir(parents=True, exist_ok=True)
    pages, failed = [], []
    records = list(read_records(labels))
    for done, (number, record) in enumerate(records, 1):
        try:
            html = _html(record, clones)
            pages.append(_page(record, html))
            write_whole(folder / f"{record['id']}.html.gz", _packed(html))
        except (CorpusError, OSError, EOFError, KeyError, zlib.error) as error:
            failed.append(f"{labels}, record {number} ({record.get('id')}): {error}")
        if done % 100 == 0 or done == len(records):
            report(f"{labels.name}: {done:,} of {len(records):,} pages, {len(failed):,} left out")
    write_jsonl(out, pages)
    return Outcome(len(pages), tuple(failed))


def _page(record: dict[str, Any], html: bytes) -> dict[str, Any]:
    text = render(html)
    hashes = "".join(line_hash(line) for line in text.split("\n") if line.strip())
    _compare(hashes, record["hashes"])
    return {key: record[key] for key in POINTER} | {"text": text, "labels": record["labels"]}


def _compare(hashes: str, labelled: str) -> None:
    ours, theirs = ([text[i : i + HASH_CHARS] for i in range(0, len(text), HASH_CHARS)] for text in (hashes, labelled))
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False), 1):
        if one != other:
            raise CorpusError(f"its line {number} is not the one that was labelled")
    if len(ours) != len(theirs):
        raise CorpusError(f"it has {len(ours)} lines, {len(theirs)} were labelled")


def _html(record: dict[str, Any], clones: Path) -> bytes:
    """The page's file at the commit that it was read at, from the clone ``OWNER/NAME`` or ``NAME``."""
    owner_and_name = record["source"]
    for folder in (clones / owner_and_name, clones / owner_and_name.split("/")[-1]):
        if folder.is_dir():
            shown = subprocess.run(
                ["git", "-C", str(folder), "show", f"{record['commit']}:{record['path']}"],
                capture_output=True,
                check=False,
            )
            if shown.returncode:
                raise CorpusError(f"{folder} has no {record['path']} at {record['commit'][:12]}; fetch that commit")
            return _unpacked(shown.stdout, record["path"])
    raise CorpusError(f"no clone of {owner_and_name} in {clones}; see data/sources.toml")


def _unpacked(data: bytes, path: str) -> bytes:
    return gzip.decompress(data) if path.endswith(".gz") else data


def label_files() -> Iterator[Path]:
    """The label files of the project."""
    yield from sorted((DATA / "labels").glob("*.jsonl.gz"))
