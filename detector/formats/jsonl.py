"""JSON Lines: records with a text in, one labelled record a page out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from detector.formats import RecordError
from detector.html import parse_html
from detector.page import Page
from detector.segment import segment

_OWN = ("id", "url", "text", "paragraphs", "model", "input")
"""Fields that a record that is written has of its own."""


@dataclass(frozen=True)
class Fields:
    """Names of the fields that hold a record's text, id and URL, and its HTML if that is to be read instead."""

    text: str = "text"
    id: str = "id"
    url: str = "url"
    html: str | None = None


def parse(line: bytes, names: Fields, place: str) -> Page:
    """One line of JSON Lines as a page; raises :class:`RecordError` if it is no object with a text."""
    return read_record(load(line), names, place)


def read_record(record: dict[str, Any], names: Fields, place: str | None) -> Page:
    """A record, which is used up, as a page, named ``place`` if it has no id.

    What is no ``str`` in the fields of id and URL stays in the page's ``fields``, as do the fields that pass through;
    those that have the name of one that will be written stand there under ``input``. Raises :class:`RecordError` if
    it has no text.
    """
    if names.html is None:
        page = segment(_text(record.pop(names.text, None), names.text, "text", record))
    else:
        page = parse_html(_text(record.get(names.html), names.html, "html", record))
    named = {"id": record.pop(names.id, None), "url": record.pop(names.url, None)}
    typed = {name: value for name, value in named.items() if not isinstance(value, str | None)}
    clashing = {name: record.pop(name) for name in _OWN if name in record}
    fields = {**typed, **record, **({"input": clashing} if clashing else {})}
    return page.with_record(_name(named["id"], place), _name(named["url"], None), fields)


def load(line: bytes) -> dict[str, Any]:
    """The object in one line of JSON; raises :class:`RecordError` for what is not one."""
    try:
        record = json.loads(line.decode("utf-8-sig"), parse_constant=_no_number, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise RecordError(f"byte {error.start:,} of the line is not UTF-8, as JSON must be; convert it") from None
    except RecordError:
        raise
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not JSON ({error}); one object a line is wanted") from None
    if not isinstance(record, dict):
        raise RecordError(f"a JSON {type(record).__name__}; one object a line is wanted")
    return record


def _no_number(literal: str) -> NoReturn:
    raise RecordError(f"{literal} is no number that JSON can hold; write null")


def _finite(literal: str) -> float:
    number = float(literal)
    return number if math.isfinite(number) else _no_number(literal)


def _text(value: object, field: str, kind: str, record: dict[str, Any]) -> str:
    if isinstance(value, str):
        return value
    there = ", ".join(map(repr, record)) or "no other field"
    raise RecordError(f"no text in field {field!r} (there: {there}); name the right one with --{kind}-field")


def _name(value: object, otherwise: str | None) -> str | None:
    return otherwise if value is None else value if isinstance(value, str) else json.dumps(value)


def labelled_record(page: Page, model: str) -> dict[str, Any]:
    """A labelled page as it is written: id, url, text, paragraphs, model, and the fields that passed through."""
    paragraphs = [
        {"start": p.start, "end": p.end, "label": p.label, "confidence": round(p.confidence or 0.0, 4)}
        for p in page.paragraphs
    ]
    own = {"id": page.id, "url": page.url, "text": page.text, "paragraphs": paragraphs, "model": model}
    return {**own, **page.fields}


def cleaned_record(page: Page, text: str, model: str) -> dict[str, Any]:
    """A cleaned page as it is written."""
    return {"id": page.id, "url": page.url, "text": text, "model": model, **page.fields}


def dump(record: dict[str, Any]) -> str:
    """A record as one line. Lone surrogates, which no UTF-8 file can hold, are escaped."""
    line = json.dumps(record, ensure_ascii=False, allow_nan=False)
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        line = json.dumps(record, allow_nan=False)
    return line + "\n"


def tsv_lines(page: Page) -> Iterator[str]:
    """A labelled page as tab-separated lines: id, start, end, label, confidence, text; id and text on one line."""
    name = _flat(page.id or "")
    for p in page.paragraphs:
        yield f"{name}\t{p.start}\t{p.end}\t{p.label}\t{p.confidence or 0:.4f}\t{_flat(p.text)}\n"


def _flat(text: str) -> str:
    return " ".join(text.split())
