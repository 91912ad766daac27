"""JSON Lines: records with a text in, one labelled record a page out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from detector.formats import PIECE_BYTES, Broken, Piece, RecordError, too_long
from detector.formats import Fields as Fields
from detector.labels import LABELS
from detector.page import Page
from detector.segment import segment
from detector.sources import Source

OWN = ("id", "url", "text", "paragraphs", "model", "input")
"""Fields that a record that is written has of its own."""
_WRITTEN = ("id", "url", "text", "paragraphs", "model")
_LABELS = tuple(label.value for label in LABELS)
_PARAGRAPH = '{"start": %d, "end": %d, "label": "%s", "confidence": %r}'


@dataclass(frozen=True)
class JsonLines:
    """A file with an object a line; a blank line is no record but has a number."""

    names: Fields

    def cut(self, file: Source, limit: int) -> Iterator[Piece | Broken]:
        """Runs of whole lines; a line of more than ``limit`` bytes is passed over without holding it."""
        number, rest = 1, bytearray()
        while block := file.read(PIECE_BYTES):
            end = block.rfind(b"\n") + 1
            if end:
                lines = bytes(rest) + block[:end]
                count = lines.count(b"\n")
                yield Piece(number, count, lines)
                number, rest = number + count, bytearray()
            rest += block[end:]
            if len(rest) > limit:
                yield Broken(number, too_long("a line of more", limit))
                number, rest = number + 1, bytearray(_after_line(file))
        if rest:
            yield Piece(number, 1, bytes(rest))

    def pages(self, path: str, piece: Piece, limit: int) -> Iterator[Page | Broken]:
        """A page a line."""
        assert piece.first is not None
        # Not splitlines(), which ends lines at a carriage return too.
        for number, line in enumerate(piece.data.removesuffix(b"\n").split(b"\n"), piece.first):
            if len(line) > limit:
                yield Broken(number, too_long("a line of more", limit))
            elif line.strip():
                yield self._page(path, number, line)

    def _page(self, path: str, number: int, line: bytes) -> Page | Broken:
        name = None
        try:
            record = load(line)
            name = record.get(self.names.id)
            return read_record(record, self.names, f"{path}:{number}")
        except RecordError as error:
            return Broken(number, str(error), name)


def _after_line(file: Source) -> bytes:
    """What has been read of the next line when the end of this one is found."""
    while block := file.read(PIECE_BYTES):
        _, newline, rest = block.partition(b"\n")
        if newline:
            return rest
    return b""


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
        from detector.html import parse_html  # text needs no HTML parser

        page = parse_html(_text(record.get(names.html), names.html, "html", record))
    named = {"id": record.pop(names.id, None), "url": record.pop(names.url, None)}
    typed = {name: value for name, value in named.items() if not isinstance(value, str | None)}
    clashing = {name: record.pop(name) for name in OWN if name in record}
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
    if value is not None:
        raise RecordError(f"the field {field!r} holds a {type(value).__name__}, not a text")
    there = ", ".join(map(repr, record)) or "no other field"
    raise RecordError(f"no text in field {field!r} (there: {there}); name the right one with --{kind}-field")


def _name(value: object, otherwise: str | None) -> str | None:
    return otherwise if value is None else value if isinstance(value, str) else json.dumps(value)


def spans(page: Page) -> Iterator[tuple[int, int, str, float]]:
    """Start, end, label and confidence, to four digits, of a labelled page's paragraphs."""
    if page.scores is None:
        raise ValueError("this page has no labels yet: pass its text to Detector.label()")
    labels = [_LABELS[column] for column in page.scores.argmax(axis=1).tolist()]
    confidences = page.scores.max(axis=1, initial=0).astype(np.float64).round(4).tolist()
    return zip(page.starts.tolist(), page.ends.tolist(), labels, confidences, strict=True)


def paragraph_records(page: Page) -> list[dict[str, Any]]:
    """The paragraphs of a labelled page as they are written, each with start, end, label and confidence."""
    return [
        {"start": start, "end": end, "label": label, "confidence": confidence}
        for start, end, label, confidence in spans(page)
    ]


def labelled_record(page: Page, model: str) -> dict[str, Any]:
    """A labelled page as it is written: id, url, text, paragraphs, model, and the fields that passed through."""
    own = {"id": page.id, "url": page.url, "text": page.text, "paragraphs": paragraph_records(page), "model": model}
    return {**own, **page.fields}


def labelled_line(page: Page, model: str) -> str:
    """:func:`labelled_record` as a line, in half the time. Lone surrogates are left as they are."""
    if not page.fields.keys().isdisjoint(_WRITTEN):
        return _line(labelled_record(page, model))
    paragraphs = ", ".join(map(_PARAGRAPH.__mod__, spans(page)))
    before = _line({"id": page.id, "url": page.url, "text": page.text})
    after = _line({"model": model, **page.fields})
    return f'{before[:-2]}, "paragraphs": [{paragraphs}], {after[1:]}'


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def cleaned_record(page: Page, text: str, model: str) -> dict[str, Any]:
    """A cleaned page as it is written."""
    return {"id": page.id, "url": page.url, "text": text, "model": model, **page.fields}


def dump(record: dict[str, Any]) -> str:
    """A record as one line. Lone surrogates, which no UTF-8 file can hold, are escaped."""
    line = _line(record)
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        line = json.dumps(record, allow_nan=False) + "\n"
    return line


def tsv_lines(page: Page) -> Iterator[str]:
    """A labelled page as tab-separated lines: id, start, end, label, confidence, text; id and text on one line."""
    name = _flat(page.id or "")
    for start, end, label, confidence in spans(page):
        yield f"{name}\t{start}\t{end}\t{label}\t{confidence:.4f}\t{_flat(page.text[start:end])}\n"


def _flat(text: str) -> str:
    return " ".join(text.split())
