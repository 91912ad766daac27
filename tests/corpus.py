"""Small corpora of invented text in every format, and a run over them without a process of its own."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detector.batch import Failure, Job, Plan, Reading, Tally, Writing, label_all
from detector.formats import Fields

TEXT = (
    "The council met on Tuesday evening.\n\nIt voted to mend the road past the mill before the winter.\n\n"
    "Subscribe to our newsletter and never miss a story!\n"
)
HTML = "<!doctype html><title>Mill</title><p>The council met on Tuesday.</p><p>Subscribe to our newsletter!</p>"


@dataclass
class Told:
    """A report that keeps what it is told."""

    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tallies: list[Tally] = field(default_factory=list)

    def note(self, message: str) -> None:
        self.notes.append(message)

    def failure(self, failure: Failure) -> None:
        self.failures.append(failure)

    def progress(self, tally: Tally, total: int | None) -> None:
        pass

    def summary(self, tally: Tally, seconds: float, pages: int) -> None:
        self.tallies.append(tally)

    @property
    def reasons(self) -> list[str]:
        return [failure.reason for failure in self.failures]


def plan(*paths: Path | str, writing: Writing | None = None, jobs: int = 1, **options: Any) -> Plan:
    reading = {name: options.pop(name) for name in ("input_format", "names", "limit") if name in options}
    job = Job(None, Reading(**reading), writing or Writing(), options.pop("site_memory", False))
    return Plan([str(path) for path in paths], job, jobs=jobs, **options)


def label(*paths: Path | str, **options: Any) -> tuple[list[dict[str, Any]], Told]:
    """The records that come out, and what was told; the counts add up."""
    out, told = io.BytesIO(), Told()
    tally = label_all(plan(*paths, **options), told, out)
    records = [json.loads(line) for line in out.getvalue().splitlines()]
    assert tally.labelled == len(records)
    assert tally.failed == len(told.failures)
    assert tally.pages == tally.labelled + tally.failed
    assert tally.paragraphs.total() == sum(len(record["paragraphs"]) for record in records)
    return records, told


def texts(records: list[dict[str, Any]]) -> list[str]:
    return [record["text"] for record in records]


def jsonl(path: Path, number: int, start: int = 0) -> Path:
    """``number`` records of different texts."""
    with path.open("w", encoding="utf-8") as file:
        for i in range(start, start + number):
            record = {"id": f"page-{i}", "text": f"Number {i} of the street was sold.\n\n{TEXT}", "lang": "en", "n": i}
            file.write(json.dumps(record) + "\n")
    return path


def response(
    body: bytes,
    *,
    uri: str = "http://a.example/",
    kind: str = "text/html; charset=utf-8",
    status: str = "200 OK",
    encoding: str = "",
    error: int = 0,
) -> bytes:
    """A response record whose Content-Length is wrong by ``error`` bytes."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n" + f"Content-Encoding: {encoding}\r\n" * bool(encoding)
    block = head.encode() + b"\r\n" + body
    return _record("response", uri, "application/http; msgtype=response", block, error)


def conversion(text: str, *, uri: str = "http://a.example/", error: int = 0) -> bytes:
    """A record of a WET file."""
    return _record("conversion", uri, "text/plain", text.encode(), error)


def warcinfo() -> bytes:
    return _record("warcinfo", "", "application/warc-fields", b"software: by hand\r\n", 0)


def _record(kind: str, uri: str, content: str, block: bytes, error: int) -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {uri}\r\nWARC-Date: 2026-01-02T03:04:05Z\r\n"
        f"WARC-Record-ID: <urn:uuid:{uri}>\r\nContent-Type: {content}\r\nContent-Length: {len(block) + error}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


__all__ = ["HTML", "TEXT", "Fields", "Told", "conversion", "jsonl", "label", "plan", "response", "texts", "warcinfo"]
