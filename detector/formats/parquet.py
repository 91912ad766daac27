"""Parquet: read by row groups and batches of rows; written from pieces that are joined at the end.

On the way a batch of rows is an Arrow stream. The output grows as a row of such streams, which can be cut at any border
and gone on with, as a Parquet file cannot; :func:`join` makes the file of them when all are there. Columns that pass
through keep their types.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from detector.extras import needed
from detector.formats import Broken, Fields, Piece, RecordError, jsonl, too_long
from detector.html import parse_html
from detector.labels import LABELS
from detector.page import Page
from detector.segment import segment
from detector.sources import Source

pa = needed("pyarrow", "parquet", "Parquet")
pq = needed("pyarrow.parquet", "parquet", "Parquet")
from detector.arrow import PARAGRAPHS_TYPE  # noqa: E402  Without pyarrow, the lines above say what is missing.

_PIECE_ROWS = 1024
_GROUP_BYTES = 1 << 26
"""Bytes of Arrow data in a row group that is written."""
_STRINGS = (pa.string(), pa.large_string(), pa.string_view())
_BYTES = (pa.binary(), pa.large_binary(), pa.binary_view())


@dataclass(frozen=True)
class Parquet:
    """A Parquet file with a page a row."""

    names: Fields

    def cut(self, file: Source, limit: int) -> Iterator[Piece | Broken]:
        """Batches of rows as Arrow streams; a row group that cannot be read costs no other."""
        with file.seekable() as seekable:
            try:
                parquet = pq.ParquetFile(pa.PythonFile(seekable, "r"), pre_buffer=False, buffer_size=1 << 20)
            except (pa.ArrowException, OSError) as error:
                raise RecordError(f"not a whole Parquet file ({_line(error)}); copy it again") from None
            columns = self._columns(parquet.schema_arrow)
            first = 1
            for group in range(parquet.num_row_groups):
                yield from _cut_group(parquet, group, columns, first)
                first += parquet.metadata.row_group(group).num_rows

    def _columns(self, schema: Any) -> list[str]:  # noqa: ANN401  pyarrow has no types of its own.
        """The columns to decode; raises :class:`RecordError` if the one to be read is not there or holds no text."""
        name, option = (self.names.text, "text") if self.names.html is None else (self.names.html, "html")
        there = ", ".join(f"{field.name} ({field.type})" for field in schema)
        if name not in schema.names:
            raise RecordError(f"no column {name!r} (there: {there}); name the right one with --{option}-field")
        kind = _plain_type(schema.field(name).type)
        if kind not in (_STRINGS if self.names.html is None else _STRINGS + _BYTES):
            raise RecordError(f"column {name!r} holds {kind}, not text; name the right one with --{option}-field")
        own = (name, self.names.id, self.names.url)
        return [column for column in schema.names if self.names.rest or column in own]

    def pages(self, path: str, piece: Piece, limit: int) -> Iterator[Page | Broken]:
        """A page a row, its other columns as a :class:`Row`."""
        assert piece.first is not None
        with pa.ipc.open_stream(piece.data) as stream:
            batch = pa.Table.from_batches(list(stream), stream.schema).combine_chunks().to_batches()[0]
        field = self.names.html or self.names.text
        texts = batch.column(field)
        ids, urls = (batch.column(n) if n in batch.schema.names else None for n in (self.names.id, self.names.url))
        passed = _passed(batch, self.names)
        for row, number in enumerate(range(piece.first, piece.first + piece.count)):
            name = _plain(ids[row]) if ids is not None else None
            try:
                page = self._page(texts[row], field, limit)
            except RecordError as error:
                yield Broken(number, str(error), name)
                continue
            url = _plain(urls[row]) if urls is not None else None
            yield page.with_record(_name(name, f"{path}:{number}"), _name(url, None), Row(passed, row))

    def _page(self, scalar: Any, name: str, limit: int) -> Page:  # noqa: ANN401
        try:
            value = scalar.as_py()
        except UnicodeDecodeError as error:
            raise RecordError(f"the text in {name!r} is not UTF-8 ({error.reason})") from None
        if value is None:
            raise RecordError(f"no text in {name!r}: null")
        if len(value) > limit:
            raise RecordError(too_long("more", limit))
        return segment(value) if self.names.html is None else parse_html(value)


def _cut_group(parquet: Any, group: int, columns: list[str], first: int) -> Iterator[Piece | Broken]:  # noqa: ANN401
    about = parquet.metadata.row_group(group)
    rows = max(1, min(_PIECE_ROWS, about.num_rows * (1 << 18) // max(about.total_byte_size, 1)))
    end = first + about.num_rows
    try:
        for batch in parquet.iter_batches(rows, row_groups=[group], columns=columns):
            yield Piece(first, batch.num_rows, _stream(batch))
            first += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        where = f"row group {group + 1}: records {first:,} to {end - 1:,}"
        yield Broken(first, f"{where} cannot be read ({_line(error)}); copy the file again")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _plain_type(kind: Any) -> Any:  # noqa: ANN401
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _name(value: object, otherwise: str | None) -> str | None:
    return otherwise if value is None else value if isinstance(value, str) else json.dumps(value)


def _passed(batch: Any, names: Fields) -> Any:  # noqa: ANN401
    """The columns that pass through: ids and URLs of another type than text keep it, and what has the name of a field
    that will be written stands under ``input``, as in JSON Lines.
    """
    text = names.text if names.html is None else None
    columns: dict[str, Any] = {}
    clashing: dict[str, Any] = {}
    for field, column in zip(batch.schema, batch.columns, strict=True):
        own = {names.id: "id", names.url: "url"}.get(field.name)
        if field.name == text or (own and _plain_type(field.type) in _STRINGS):
            continue
        if own:
            columns[own] = column
        elif field.name in jsonl.OWN:
            clashing[field.name] = column
        else:
            columns[field.name] = column
    if clashing:
        columns["input"] = pa.StructArray.from_arrays(list(clashing.values()), list(clashing))
    schema = pa.schema([(name, column.type) for name, column in columns.items()])
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=schema)


class Row(Mapping[str, Any]):
    """A row of a record batch, its values as JSON can hold them, made when they are asked for."""

    def __init__(self, batch: Any, row: int) -> None:  # noqa: ANN401
        self.batch, self.row = batch, row

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401
        if name not in self.batch.schema.names:
            raise KeyError(name)
        return _plain(self.batch.column(name)[self.row])

    def __iter__(self) -> Iterator[str]:
        return iter(self.batch.schema.names)

    def __len__(self) -> int:
        return int(self.batch.num_columns)


def _plain(scalar: Any) -> Any:  # noqa: ANN401
    """An Arrow value as JSON can hold it: no NaN, times as ISO 8601, bytes as text or base64."""
    try:
        return _jsonable(scalar.as_py())
    except (ValueError, OverflowError):
        # Times that Python's cannot hold.
        return scalar.cast(pa.string()).as_py()


def _jsonable(value: Any) -> Any:  # noqa: ANN401
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(name): _jsonable(item) for name, item in value.items()}
        case list() | tuple():
            return [_jsonable(item) for item in value]
        case bytes():
            return _text_of_bytes(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _text_of_bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


def _stream(batch: Any) -> bytes:  # noqa: ANN401
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write(batch)
    return bytes(sink.getvalue())


def streams(pages: Sequence[Page], model: str, texts: Sequence[str], *, labelled: bool) -> bytes:
    """Pages as Arrow streams, with ``texts`` as their texts, and their paragraphs if they are ``labelled``."""
    written = bytearray()
    start = 0
    for _, group in groupby(pages, lambda page: id(page.fields.batch) if isinstance(page.fields, Row) else None):
        some = list(group)
        own = _own_columns(some, model, texts[start : start + len(some)], labelled=labelled)
        written += _stream(_with_rest(own, _rest(some)))
        start += len(some)
    return bytes(written)


def _own_columns(pages: Sequence[Page], model: str, texts: Sequence[str], *, labelled: bool) -> dict[str, Any]:
    columns = {
        "id": pa.array([_valid(page.id) for page in pages], pa.string()),
        "url": pa.array([_valid(page.url) for page in pages], pa.string()),
        "text": pa.array([_valid(text) for text in texts], pa.large_string()),
    }
    if labelled:
        columns["paragraphs"] = _paragraphs(pages)
    return columns | {"model": pa.array([model] * len(pages), pa.string())}


def _valid(text: str | None) -> str | None:
    """``text`` without lone surrogates, which no column can hold: they are escaped."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()


def _paragraphs(pages: Sequence[Page]) -> Any:  # noqa: ANN401
    scores = np.concatenate([page.scores for page in pages if page.scores is not None])
    names = pa.array([label.value for label in LABELS])
    offsets = np.cumsum([0, *map(len, pages)], dtype=np.int32)
    values = pa.StructArray.from_arrays(
        [
            pa.array(np.concatenate([page.starts for page in pages]), pa.int32()),
            pa.array(np.concatenate([page.ends for page in pages]), pa.int32()),
            names.take(pa.array(scores.argmax(axis=1))),
            pa.array(scores.max(axis=1, initial=0).round(4)),
        ],
        fields=list(PARAGRAPHS_TYPE.value_type),
    )
    return pa.ListArray.from_arrays(offsets, values).cast(PARAGRAPHS_TYPE)


def _rest(pages: Sequence[Page]) -> dict[str, Any]:
    """The columns that pass through."""
    first = pages[0].fields
    if isinstance(first, Row):
        rows = [page.fields.row for page in pages if isinstance(page.fields, Row)]
        taken = first.batch.take(pa.array(rows, pa.int64()))
        return dict(zip(taken.schema.names, taken.columns, strict=True))
    names = dict.fromkeys(name for page in pages for name in page.fields)
    return {name: _column([page.fields.get(name) for page in pages]) for name in names}


def _column(values: list[Any]) -> Any:  # noqa: ANN401
    try:
        column = pa.array(values)
    except (pa.ArrowException, UnicodeEncodeError, OverflowError):
        return _as_text(values)
    return _as_text(values) if _has_empty_struct(column.type) else column


def _has_empty_struct(kind: Any) -> bool:  # noqa: ANN401
    """Whether a type is one that Parquet cannot hold."""
    if pa.types.is_struct(kind):
        return kind.num_fields == 0 or any(_has_empty_struct(field.type) for field in kind)
    return bool(pa.types.is_list(kind)) and _has_empty_struct(kind.value_type)


def _as_text(values: list[Any]) -> Any:  # noqa: ANN401
    """Values that no one type holds: text as it is, everything else as JSON."""
    texts = [value if isinstance(value, str | None) else json.dumps(value, default=str) for value in values]
    return pa.array([_valid(text) for text in texts], pa.string())


def _with_rest(own: dict[str, Any], rest: dict[str, Any]) -> Any:  # noqa: ANN401
    columns = {**own, **rest}
    schema = pa.schema([(name, column.type) for name, column in columns.items()])
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=schema)


def join(spool: Path, target: Path) -> None:
    """Write the Parquet file of the streams in ``spool``."""
    schema = _common_schema(spool)
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        waiting: list[Any] = []
        for batch in _batches(spool):
            waiting.append(_fitted(batch, schema))
            if sum(table.nbytes for table in waiting) >= _GROUP_BYTES:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting))


def _batches(spool: Path) -> Iterator[Any]:
    size = spool.stat().st_size
    with pa.OSFile(str(spool)) as file:
        while file.tell() < size:
            with pa.ipc.open_stream(file) as stream:
                yield from stream


def _common_schema(spool: Path) -> Any:  # noqa: ANN401
    fields: dict[str, Any] = {}
    for batch in _batches(spool):
        for field in batch.schema:
            known = fields.get(field.name)
            if known is None:
                fields[field.name] = field
            elif known.type != field.type:
                fields[field.name] = _widest(known, field)
    return pa.schema(list(fields.values()))


def _widest(one: Any, other: Any) -> Any:  # noqa: ANN401
    """A field that holds the values of both; text if no other type does."""
    try:
        (field,) = pa.unify_schemas([pa.schema([one]), pa.schema([other])], promote_options="permissive")
    except pa.ArrowException:
        return pa.field(one.name, pa.string())
    return field


def _fitted(batch: Any, schema: Any) -> Any:  # noqa: ANN401
    columns = []
    for field in schema:
        if field.name not in batch.schema.names:
            columns.append(pa.nulls(batch.num_rows, field.type))
            continue
        column = batch.column(field.name)
        try:
            columns.append(column if column.type == field.type else column.cast(field.type))
        except pa.ArrowException:
            columns.append(_as_text(column.to_pylist()))
    return pa.Table.from_arrays(columns, schema=schema)
