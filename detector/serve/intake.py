"""From the bytes of a request to a page, and from the labelled page to the record that goes back.

Reading is put off: a :class:`Job` is read by the thread that labels it.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from email.message import Message
from http import HTTPStatus
from typing import Any

from detector.detector import Detector
from detector.encodings import codec
from detector.explain import Explanation
from detector.formats import RecordError, jsonl
from detector.formats.text import decode
from detector.html import parse_html
from detector.labels import LABELS, Label
from detector.page import Page
from detector.segment import segment
from detector.serve import metrics
from detector.serve.problems import Problem
from detector.serve.settings import Limits

TEXT, HTML, JSON = "text/plain", "text/html", "application/json"
LINES = ("application/x-ndjson", "application/jsonl")
_KEEP, _KEPT, _ERROR = "keep", "kept", "error"
_FALSE, _TRUE = ("0", "false"), ("1", "true")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wanted beside the labels: the text of some (``None``: not asked for), reasons."""

    keep: tuple[Label, ...] | None = None
    explain: bool = False


Read = tuple[Page, Asked]


@dataclass(frozen=True)
class Job:
    """A page to label. ``read`` raises :class:`Problem` for what is no page; ``size`` is in bytes."""

    read: Callable[[], Read]
    size: int
    asked: Asked


@dataclass(frozen=True)
class MediaType:
    """A ``Content-Type``: its name in lower case, and its charset if it names one."""

    name: str
    charset: str | None

    @classmethod
    def of(cls, header: str) -> MediaType:
        """Read the header; raises :class:`Problem` 415 for a charset that is unknown."""
        message = Message()
        message["content-type"] = header
        charset = message.get_param("charset")
        if charset is not None and not (isinstance(charset, str) and codec(charset)):
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"charset {charset!r} is unknown; send UTF-8")
        return cls(header.split(";")[0].strip().lower(), charset)

    def must_be_utf8(self) -> None:
        """Raises :class:`Problem` 415 where JSON is said to be in another charset."""
        if self.charset is not None and codecs.lookup(self.charset).name != "utf-8":
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "JSON is UTF-8; send it without another charset")


def asked_by(query: Iterable[tuple[str, str]]) -> Asked:
    """What a query string asks for; raises :class:`Problem` 422 for what is unknown."""
    keep: list[str] = []
    explain = "0"
    for name, value in query:
        if name == _KEEP:
            keep.append(value)
        elif name == "explain" and value in _FALSE + _TRUE:
            explain = value
        elif name == "explain":
            raise _unprocessable("explain is 1 or 0")
        else:
            raise _unprocessable(f"unknown parameter {name!r}; there are keep and explain")
    return Asked(_labels(keep) if keep else None, explain in _TRUE)


def _labels(names: object) -> tuple[Label, ...]:
    wanted = [names] if isinstance(names, str) else names
    if not isinstance(wanted, list) or not all(isinstance(name, str) and name in _NAMES for name in wanted):
        raise _unprocessable(f"keep is one or more of {', '.join(_NAMES)}")
    return tuple(Label(name) for name in wanted)


_NAMES = tuple(label.value for label in LABELS)


def _unprocessable(detail: str, id: str | None = None) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, id=id)


def job(body: bytes, media: MediaType, asked: Asked, limits: Limits) -> Job:
    """A body of one page; raises :class:`Problem` 415 for a media type that is none of those known."""
    if media.name == TEXT:
        return Job(lambda: _read_text(body, media.charset, asked, limits), len(body), asked)
    if media.name == HTML:
        return Job(lambda: _read_html(body, media.charset, asked, limits), len(body), asked)
    if media.name == JSON:
        media.must_be_utf8()
        return record_job(body, asked, limits)
    known = ", ".join((TEXT, HTML, JSON))
    raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type {media.name!r}; send one of {known}")


def record_job(line: bytes, asked: Asked, limits: Limits) -> Job:
    """A page as a JSON object."""
    return Job(lambda: _read_record(line, asked, limits), len(line), asked)


def _read_text(body: bytes, charset: str | None, asked: Asked, limits: Limits) -> Read:
    try:
        text = decode(body, lambda message: None) if charset is None else body.decode(charset)
    except RecordError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None
    except UnicodeDecodeError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"byte {error.start:,} of the body is not {charset}") from None
    return _checked(segment(text), asked, limits)


def _read_html(body: bytes, charset: str | None, asked: Asked, limits: Limits) -> Read:
    return _checked(parse_html(body, charset=charset), asked, limits)


def _read_record(line: bytes, asked: Asked, limits: Limits) -> Read:
    try:
        record = jsonl.load(line)
    except RecordError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None
    name = record["id"] if isinstance(record.get("id"), str) else None
    try:
        _check_record(record, limits)
        if _KEEP in record:
            asked = replace(asked, keep=_labels(record.pop(_KEEP)))
        names = jsonl.Fields(html="html" if "html" in record else None)
        return _checked(jsonl.read_record(record, names, None), asked, limits)
    except Problem as problem:
        problem.id = name
        raise


def _check_record(record: Mapping[str, Any], limits: Limits) -> None:
    if _is_deeper(record, limits.depth):
        raise _unprocessable(f"more than {limits.depth} objects and arrays inside one another")
    given = [name for name in ("text", "html") if name in record]
    if len(given) != 1:
        there = " and ".join(given) or ", ".join(map(repr, record)) or "nothing"
        raise _unprocessable(f"one of the fields text and html is wanted (there: {there})")
    if not isinstance(record[given[0]], str):
        raise _unprocessable(f"field {given[0]!r} must be a string")


def _is_deeper(value: object, depth: int) -> bool:
    """Whether containers of JSON lie inside one another more than ``depth`` times; costs no stack."""
    level: list[object] = [value]
    for _ in range(depth + 1):
        level = [
            child
            for container in level
            if isinstance(container, dict | list)
            for child in (container.values() if isinstance(container, dict) else container)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _checked(page: Page, asked: Asked, limits: Limits) -> Read:
    if len(page) > limits.paragraphs:
        raise _unprocessable(f"a page of {len(page):,} paragraphs; send {limits.paragraphs:,} at most")
    if asked.explain and len(page) > limits.explained:
        raise _unprocessable(
            f"a page of {len(page):,} paragraphs; reasons are given for {limits.explained:,} at most: leave out explain"
        )
    return page, asked


def answer(detector: Detector, page: Page, asked: Asked) -> bytes:
    """The record of a labelled page as a line of JSON: the command line's, with what was asked for beside it."""
    own = jsonl.labelled_record(replace(page, fields={}), detector.model.name)
    if asked.explain:
        _add_reasons(own["paragraphs"], detector.explain_page(page))
    if asked.keep is not None:
        own[_KEPT] = page.keep(*asked.keep) if asked.keep else ""
    metrics.count_page(page)
    return jsonl.dump({**own, **_passed_through(page.fields)}).encode()


def _passed_through(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The record's other fields; those that a reader would take for the service's own go under ``input``."""
    clashing = {name: fields[name] for name in (_KEPT, _ERROR) if name in fields}
    if not clashing:
        return dict(fields)
    rest = {name: value for name, value in fields.items() if name not in clashing}
    return {**rest, "input": {**rest.get("input", {}), **clashing}}


def _add_reasons(paragraphs: Sequence[dict[str, Any]], explanations: Sequence[Explanation]) -> None:
    for paragraph, explanation in zip(paragraphs, explanations, strict=True):
        paragraph["reason"] = explanation.sentence()
        paragraph["reasons"] = [
            {"kind": reason.kind, "what": reason.what, "weight": round(reason.weight, 4)}
            for reason in explanation.reasons
        ]
