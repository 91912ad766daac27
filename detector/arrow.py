"""Arrow tables in, the same tables with labels out: what every engine that speaks Arrow calls.

Needs the extra: ``pip install 'banner-detector[arrow]'``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from detector.extras import missing

try:
    import pyarrow as pa
except ImportError as error:
    raise missing(error, "arrow", "detector.arrow") from None

from detector.detector import Detector
from detector.keep import Keep
from detector.labels import LABELS
from detector.page import Page
from detector.segment import segment

PARAGRAPHS_TYPE = pa.list_(
    pa.struct([("start", pa.int32()), ("end", pa.int32()), ("label", pa.string()), ("confidence", pa.float32())])
)
"""Spans ``[start, end)`` count Unicode code points of the text, as Python does: neither bytes nor UTF-16 units."""
_PARAGRAPHS, _CLEAN, _ERROR = "paragraphs", "clean", "error"
_ROWS = 1024
"""Rows whose columns are built at once: bounds memory, and columns of text to what 32-bit offsets hold."""
_REASON = "reason"
"""In a page's fields: why a row has no text."""
_NAMES = pa.array([label.value for label in LABELS])
_SHORT_OFFSETS = (pa.string(), pa.binary())
_STRINGS = (pa.string(), pa.large_string(), pa.string_view(), pa.null())
_BYTES = (pa.binary(), pa.large_binary(), pa.binary_view())


class Options(TypedDict, total=False):
    """What is read and what is added: the keywords of every function here and of the engines' adapters.

    =============== =============== ==================================================================================
    keyword         default         what it is
    =============== =============== ==================================================================================
    ``text_field``  ``"text"``      the column of plain texts; with ``html_field`` the column that is *added*, with
                                    the text that the HTML shows
    ``html_field``  ``None``        the column of HTML (strings, or bytes in any charset), read instead of a text
    ``url_field``   ``"url"``       the column of the HTML pages' addresses, if there is one
    ``keep``        ``None``        a label or several, whose text is wanted in a column ``clean``
    ``preset``      ``None``        what ``keep`` favours in doubt: ``"recall"`` or ``"precision"``
    =============== =============== ==================================================================================
    """

    text_field: str
    html_field: str | None
    url_field: str
    keep: str | Sequence[str] | None
    preset: str | None


def label_table(table: pa.Table, *, detector: Detector | None = None, **options: Unpack[Options]) -> pa.Table:
    """``table`` with columns ``paragraphs`` (of :data:`PARAGRAPHS_TYPE`) and ``error`` after its own.

    A row without a readable text has a null in ``paragraphs`` and the reason in ``error``, every other row a null in
    ``error``. HTML adds the text that it shows, to which the spans refer; ``keep`` adds ``clean`` (see
    :class:`Options`). ``detector`` is the bundled one if none is given. Raises ``ValueError`` as
    :func:`output_schema` does; a row never raises.
    """
    plan = _planned(**options)
    schema = plan.output(table.schema)
    detector = detector or Detector.load()
    pieces = [plan.columns(detector, table.slice(row, _ROWS)) for row in range(0, max(table.num_rows, 1), _ROWS)]
    added = [pa.chunked_array(chunks) for chunks in zip(*pieces, strict=True)]
    return pa.Table.from_arrays([*table.columns, *added], schema=schema)


def label_batches(
    batches: Iterable[pa.RecordBatch], *, detector: Detector | None = None, **options: Unpack[Options]
) -> Iterator[pa.RecordBatch]:
    """:func:`label_table` over a stream of batches (a ``RecordBatchReader`` is one), of which one is held at a time.

    A batch of more than 1,024 rows comes out as several.
    """
    # The options are checked here, not when the first batch is asked for.
    return _labelled_batches(batches, _planned(**options), detector or Detector.load())


def _labelled_batches(batches: Iterable[pa.RecordBatch], plan: _Plan, detector: Detector) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        schema = plan.output(batch.schema)
        for row in range(0, max(batch.num_rows, 1), _ROWS):
            piece = batch.slice(row, _ROWS)
            yield pa.RecordBatch.from_arrays([*piece.columns, *plan.columns(detector, piece)], schema=schema)


def output_schema(schema: pa.Schema, **options: Unpack[Options]) -> pa.Schema:
    """The schema of what comes out for tables of ``schema``, whose metadata it keeps.

    Raises ``ValueError`` if the column to be read is missing or of another type, if one to be added is there
    already, and for labels and presets that are none.
    """
    return _planned(**options).output(schema)


@dataclass(frozen=True)
class _Plan:
    """The options, checked."""

    text_field: str
    html_field: str | None
    url_field: str
    keep: Keep | None

    def output(self, schema: pa.Schema) -> pa.Schema:
        self._check_source(schema)
        for column in self.added(schema):
            if column.name in schema.names:
                remedy = "pass another text_field=" if column.name == self.text_field else "rename or drop it"
                raise ValueError(f"a column {column.name!r} would be added but is there already: {remedy}")
            schema = schema.append(column)
        return schema

    @property
    def _source(self) -> str:
        return self.text_field if self.html_field is None else self.html_field

    def _check_source(self, schema: pa.Schema) -> None:
        option = "text_field" if self.html_field is None else "html_field"
        wanted, kinds = ("strings", _STRINGS) if self.html_field is None else ("strings or bytes", _STRINGS + _BYTES)
        found = schema.get_all_field_indices(self._source)
        if len(found) != 1:
            number = f"{len(found)} columns are" if found else "no column is"
            there = ", ".join(map(repr, schema.names)) or "none"
            raise ValueError(f"{number} named {self._source!r} (there: {there}); name another with {option}=")
        if _plain_type(schema.field(found[0]).type) not in kinds:
            is_of = schema.field(found[0]).type
            raise ValueError(f"column {self._source!r} is of {is_of}, not {wanted}; name another with {option}=")

    def added(self, schema: pa.Schema) -> list[pa.Field]:
        short = schema.field(self._source).type in _SHORT_OFFSETS
        text_type = pa.string() if short else pa.large_string()
        columns = [pa.field(_PARAGRAPHS, PARAGRAPHS_TYPE)]
        if self.html_field is not None:
            columns.append(pa.field(self.text_field, text_type))
        if self.keep is not None:
            columns.append(pa.field(_CLEAN, text_type))
        return [*columns, pa.field(_ERROR, pa.string())]

    def columns(self, detector: Detector, rows: pa.Table | pa.RecordBatch) -> list[pa.Array]:
        """The columns that are added to ``rows``."""
        results = [self._result(detector, page) for page in detector.label_stream(self._pages(rows))]
        texts = {
            self.text_field: [result.text for result in results],
            _CLEAN: [result.clean for result in results],
            _ERROR: [result.reason for result in results],
        }
        _, *others = self.added(rows.schema)
        return [_paragraphs(results), *(pa.array(texts[column.name], column.type) for column in others)]

    def _pages(self, rows: pa.Table | pa.RecordBatch) -> Iterator[Page]:
        values = rows.column(self._source)
        if self.html_field is None:
            return (_page(value) for value in values)
        has_urls = rows.schema.get_field_index(self.url_field) >= 0
        urls = rows.column(self.url_field) if has_urls else repeat(None)
        return (_html_page(value, url) for value, url in zip(values, urls, strict=False))

    def _result(self, detector: Detector, page: Page) -> _Result:
        reason = page.fields.get(_REASON)
        text = page.text if reason is None and self.html_field is not None else None
        clean = self.keep.text(detector, page) if reason is None and self.keep is not None else None
        assert page.scores is not None  # label_stream gave them
        return _Result(page.starts, page.ends, page.scores, text, clean, reason)


def _planned(
    text_field: str = "text",
    html_field: str | None = None,
    url_field: str = "url",
    keep: str | Sequence[str] | None = None,
    preset: str | None = None,
) -> _Plan:
    return _Plan(text_field, html_field, url_field, Keep.of(keep, preset))


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _page(value: pa.Scalar) -> Page:
    content, reason = _content(value)
    return segment(content) if reason is None else _unreadable(reason)


def _html_page(value: pa.Scalar, url: pa.Scalar | None) -> Page:
    from detector.html import parse_html  # text needs no HTML parser

    content, reason = _content(value)
    if reason is not None:
        return _unreadable(reason)
    address, _ = (None, None) if url is None else _content(url)
    return parse_html(content, address if isinstance(address, str) else None)


def _content(value: pa.Scalar) -> tuple[Any, str | None]:
    """A cell's content, or why there is none: Arrow takes in any bytes as strings."""
    try:
        content = value.as_py()
    except UnicodeDecodeError as error:
        return None, f"byte {error.start:,} is not UTF-8; convert it, or hold it as bytes if it is HTML"
    return content, "null instead of a text" if content is None else None


def _unreadable(reason: str) -> Page:
    # A page of no paragraphs takes the row's place on the way through the detector.
    return segment("").with_record(None, None, {_REASON: reason})


class _Result(NamedTuple):
    """What a row adds, without its text where that is not wanted."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    scores: NDArray[np.float32]
    text: str | None
    clean: str | None
    reason: str | None


def _paragraphs(results: Sequence[_Result]) -> pa.ListArray:
    """The lists of all rows at once, from flat arrays of all their paragraphs."""
    if not results:
        return pa.array([], PARAGRAPHS_TYPE)
    scores = np.concatenate([result.scores for result in results])
    offsets = np.zeros(len(results) + 1, dtype=np.int32)
    np.cumsum([len(result.starts) for result in results], out=offsets[1:])
    spans = [
        pa.array(np.concatenate(positions).astype(np.int32))
        for positions in ([result.starts for result in results], [result.ends for result in results])
    ]
    labels = _NAMES.take(pa.array(scores.argmax(axis=1)))
    flat = pa.StructArray.from_arrays(
        [*spans, labels, pa.array(scores.max(axis=1))], fields=[*PARAGRAPHS_TYPE.value_type]
    )
    nulls = pa.array([result.reason is not None for result in results])
    return pa.ListArray.from_arrays(pa.array(offsets), flat, type=PARAGRAPHS_TYPE, mask=nulls)
