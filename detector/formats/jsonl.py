"""JSON Lines: records with a text in, one labelled record a page out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from detector.formats import RecordError
from detector.page import Page


@dataclass(frozen=True)
class Fields:
    """Names of the fields that hold a record's text, id and URL."""

    text: str = "text"
    id: str = "id"
    url: str = "url"


@dataclass(frozen=True)
class TextRecord:
    """A record as read: its text, and what passes through."""

    text: str
    id: str | None
    url: str | None
    fields: dict[str, Any]


def parse(line: str, names: Fields) -> TextRecord:
    """One line of JSON Lines; raises :class:`RecordError` if it is no object with a text."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not JSON ({error}); one object a line is wanted") from None
    if not isinstance(record, dict):
        raise RecordError(f"a JSON {type(record).__name__}; one object a line is wanted")
    text = record.pop(names.text, None)
    if not isinstance(text, str):
        there = ", ".join(map(repr, record)) or "no other field"
        raise RecordError(f"no text in field {names.text!r} (there: {there}); name the right one with --text-field")
    return TextRecord(text, _name(record.pop(names.id, None)), _name(record.pop(names.url, None)), record)


def _name(value: object) -> str | None:
    return None if value is None else str(value)


def labelled_record(page: Page, model: str) -> dict[str, Any]:
    """A labelled page as it is written: id, url, text, paragraphs, model, and the fields that passed through."""
    paragraphs = [
        {"start": p.start, "end": p.end, "label": p.label, "confidence": round(p.confidence or 0.0, 4)}
        for p in page.paragraphs
    ]
    own = {"id": page.id, "url": page.url, "text": page.text, "paragraphs": paragraphs, "model": model}
    return {**own, **{name: value for name, value in page.fields.items() if name not in own}}


def cleaned_record(page: Page, text: str, model: str) -> dict[str, Any]:
    """A cleaned page as it is written."""
    own = {"id": page.id, "url": page.url, "text": text, "model": model}
    return {**own, **{name: value for name, value in page.fields.items() if name not in own}}


def dump(record: dict[str, Any]) -> str:
    """A record as one line. Lone surrogates, which no UTF-8 file can hold, are escaped."""
    line = json.dumps(record, ensure_ascii=False)
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        line = json.dumps(record)
    return line + "\n"


def tsv_lines(page: Page) -> Iterator[str]:
    """A labelled page as tab-separated lines: id, start, end, label, confidence, text on one line."""
    for p in page.paragraphs:
        flat = " ".join(p.text.split())
        yield f"{page.id or ''}\t{p.start}\t{p.end}\t{p.label}\t{p.confidence or 0:.4f}\t{flat}\n"
