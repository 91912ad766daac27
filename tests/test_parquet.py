from __future__ import annotations

import datetime
import decimal
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detector import Label
from detector.arrow import PARAGRAPHS_TYPE
from detector.batch import Writing, label_all
from detector.formats import Fields
from detector.keep import Keep
from tests.corpus import HTML, TEXT, Told, jsonl, label, plan, texts

RENDERED = "The council met on Tuesday.\n\nSubscribe to our newsletter!"


def rows(number: int) -> pa.Table:
    return pa.table(
        {
            "id": [f"page-{i}" for i in range(number)],
            "text": [f"Number {i} of the street was sold.\n\n{TEXT}" for i in range(number)],
            "n": pa.array(range(number), pa.int16()),
            "at": pa.array([i * 10**9 + 1 for i in range(number)], pa.timestamp("ns")),
        }
    )


def written(tmp_path, *paths, **options) -> tuple[pa.Table, Told]:
    out, told = tmp_path / "out" / "labels.parquet", Told()
    out.parent.mkdir(exist_ok=True)
    writing = Writing("parquet", options.pop("keep", None))
    label_all(plan(*paths, writing=writing, output=out, overwrite=True, **options), told, None)
    assert sorted(path.name for path in out.parent.iterdir()) == [".labels.parquet.journal", "labels.parquet"]
    return pq.read_table(out), told


def test_rows_are_pages_and_columns_pass_through(tmp_path):
    path = tmp_path / "pages.parquet"
    pq.write_table(rows(3_000), path, row_group_size=700)
    records, told = label(path)
    assert not told.failures
    assert [record["n"] for record in records] == list(range(3_000))
    assert list(records[1]) == ["id", "url", "text", "paragraphs", "model", "n", "at"]
    assert records[1]["at"].startswith("1970-01-01")
    assert records[0]["paragraphs"] == label(jsonl(tmp_path / "same.jsonl", 1))[0][0]["paragraphs"]


def test_parquet_to_parquet_keeps_types(tmp_path):
    path = tmp_path / "pages.parquet"
    pq.write_table(rows(3_000), path, row_group_size=700)
    table, told = written(tmp_path, path)
    assert not told.failures
    assert table.schema.names == ["id", "url", "text", "paragraphs", "model", "n", "at"]
    assert (table.schema.field("n").type, table.schema.field("at").type) == (pa.int16(), pa.timestamp("ns"))
    assert table.schema.field("paragraphs").type.equals(PARAGRAPHS_TYPE)
    assert table.select(["id", "n", "at"]).equals(rows(3_000).select(["id", "n", "at"]))
    records, _ = label(path)
    assert table.column("text").to_pylist() == texts(records)
    for row, record in zip(table.column("paragraphs").to_pylist(), records, strict=True):
        assert [(p["start"], p["end"], p["label"]) for p in row] == [
            (p["start"], p["end"], p["label"]) for p in record["paragraphs"]
        ]
        assert [p["confidence"] for p in row] == pytest.approx([p["confidence"] for p in record["paragraphs"]])


def test_fields_of_json_become_columns(tmp_path):
    path = tmp_path / "pages.jsonl"
    lines = [
        {"text": "One", "n": 1, "mixed": 1, "empty": {}},
        {"text": "Two \ud83d", "n": None, "mixed": "b", "tags": ["x"]},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    table, told = written(tmp_path, path)
    assert not told.failures
    rest = table.select(["text", "n", "mixed", "empty", "tags"]).to_pylist()
    assert rest == [
        {"text": "One", "n": 1, "mixed": "1", "empty": "{}", "tags": None},
        {"text": r"Two \ud83d", "n": None, "mixed": "b", "empty": None, "tags": ["x"]},
    ]


def test_columns_of_many_chunks_and_files_are_one(tmp_path):
    jsonl(tmp_path / "a.jsonl", 6_000)
    (tmp_path / "b.jsonl").write_text('{"text": "One", "n": 1.5, "lang": 7}\n')
    pq.write_table(rows(10), tmp_path / "c.parquet")
    table, told = written(tmp_path, tmp_path)
    assert not told.failures
    assert table.num_rows == 6_011
    assert table.schema.field("n").type == pa.float64()
    assert table.column("lang").to_pylist()[5_999:6_002] == ["en", "7", None]
    assert table.column("at").null_count == 6_001


def test_clean_writes_parquet(tmp_path):
    jsonl(tmp_path / "a.jsonl", 3)
    table, _ = written(tmp_path, tmp_path / "a.jsonl", keep=Keep((Label.EDITORIAL,)))
    assert table.schema.names == ["id", "url", "text", "model", "lang", "n"]
    assert "newsletter" not in "".join(table.column("text").to_pylist())


def test_nothing_at_all_is_a_file_too(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n")
    table, told = written(tmp_path, tmp_path / "a.jsonl")
    assert (table.num_rows, len(told.failures)) == (0, 0)


def test_html_may_be_bytes(tmp_path):
    pq.write_table(pa.table({"html": [HTML.encode(), None], "text": ["raw"] * 2}), tmp_path / "a.parquet")
    records, told = label(tmp_path / "a.parquet", names=Fields(html="html"))
    assert texts(records) == [RENDERED]
    assert records[0]["html"] == HTML
    assert records[0]["input"] == {"text": "raw"}
    assert [(failure.record, failure.reason) for failure in told.failures] == [(2, "no text in 'html': null")]


def test_values_that_json_does_not_know(tmp_path):
    table = pa.table(
        {
            "text": pa.array(["One"]).dictionary_encode(),
            "id": [5],
            "day": [datetime.date(2026, 1, 2)],
            "price": [decimal.Decimal("1.50")],
            "nan": [float("nan")],
            "bytes": [b"\xff"],
            "deep": [{"at": [datetime.datetime(2026, 1, 2)]}],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (record,), _ = label(tmp_path / "a.parquet")
    del record["paragraphs"], record["model"]
    assert record == {
        "id": 5,
        "url": None,
        "text": "One",
        "day": "2026-01-02",
        "price": "1.50",
        "nan": None,
        "bytes": "/w==",
        "deep": {"at": ["2026-01-02T00:00:00"]},
    }


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"body": ["One"], "n": [1]}, "no column 'text' (there: body (string), n (int64)); name the right one"),
        ({"text": [1]}, "column 'text' holds int64, not text; name the right one with --text-field"),
    ],
)
def test_another_schema_is_a_failed_file(tmp_path, columns, reason):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    pq.write_table(rows(2), tmp_path / "b.parquet")
    records, told = label(tmp_path)
    assert len(records) == 2
    assert told.failures[0].file == str(tmp_path / "a.parquet")
    assert reason in told.reasons[0]


def test_a_damaged_row_group_costs_no_other(tmp_path):
    path = tmp_path / "pages.parquet"
    pq.write_table(rows(300), path, row_group_size=100, compression="none", use_dictionary=False)
    chunk = pq.ParquetFile(path).metadata.row_group(1).column(1)
    data = bytearray(path.read_bytes())
    data[chunk.data_page_offset : chunk.data_page_offset + 8] = b"\xff" * 8
    path.write_bytes(data)
    records, told = label(path)
    assert [record["n"] for record in records] == [*range(100), *range(200, 300)]
    assert told.failures[0].record == 101
    assert "row group 2: records 101 to 200 cannot be read" in told.reasons[0]


def test_what_is_no_parquet_file(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and so on")
    (tmp_path / "b.parquet").touch()
    assert all("not a whole Parquet file" in reason for reason in label(tmp_path)[1].reasons)


def test_a_compressed_parquet_file_is_read(tmp_path):
    pq.write_table(rows(2), tmp_path / "a.parquet")
    (tmp_path / "b.parquet.gz").write_bytes(gzip.compress((tmp_path / "a.parquet").read_bytes()))
    assert len(label(tmp_path / "b.parquet.gz")[0]) == 2


def test_a_row_that_is_too_long(tmp_path):
    pq.write_table(pa.table({"text": ["x" * 1_001, "x" * 1_000]}), tmp_path / "a.parquet")
    records, told = label(tmp_path, limit=1_000)
    assert (len(records), [failure.record for failure in told.failures]) == (1, [1])


def test_only_what_will_be_written_is_decoded(tmp_path):
    path = tmp_path / "pages.parquet"
    pq.write_table(rows(3), path)
    (record, *_), _ = label(path, names=Fields(rest=False))
    assert list(record) == ["id", "url", "text", "paragraphs", "model"]
