from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import Detector, Preset
from detector.arrow import PARAGRAPHS_TYPE, label_batches, label_table, output_schema
from tests.examples import APPEAL, EXAMPLES, spans_of

NEWS = "The ferry to Inis Rua sails again from Monday, the harbour board said.\n\nIt had been laid up since the storm."
MIXED = (
    "Der Rat tagte bis Mitternacht. 🎉\n\nJetzt den Newsletter abonnieren!\n\nMehr zum Thema: Was der Haushalt bringt"
)
TEXTS = [NEWS, MIXED, "", "  \n ", APPEAL]
HTML = "<p>The café reopens on Tuesday.</p><form class=newsletter><p>Subscribe now</p></form>"
STRING_TYPES = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.int32(), pa.large_string()),
]


def wanted(detector: Detector, texts: list[str | None]) -> list[list[dict[str, object]] | None]:
    """The paragraphs of each text, one page at a time by way of ``Page.paragraphs``."""
    return [None if text is None else spans_of(detector.label(text)) for text in texts]


def bad_utf8(kind: pa.DataType) -> pa.Array:
    """A text, and one that is not UTF-8."""
    data = b"Fine.caf\xe9 au lait"
    offsets = np.array([0, 5, len(data)], dtype=np.int32)
    strings = pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    return strings.dictionary_encode() if pa.types.is_dictionary(kind) else strings.cast(kind)


@pytest.mark.parametrize("kind", STRING_TYPES, ids=str)
def test_every_kind_of_strings(detector: Detector, kind: pa.DataType):
    texts = [*TEXTS, None]
    table = label_table(pa.table({"text": pa.array(texts, pa.string()).cast(kind)}))
    table.validate(full=True)
    assert table["paragraphs"].to_pylist() == wanted(detector, texts)
    assert table["error"].to_pylist() == [None] * 5 + ["null instead of a text"]
    assert table.schema.field("text").type == kind


def test_a_column_of_nulls_has_no_texts():
    table = label_table(pa.table({"text": pa.nulls(3)}))
    assert table["paragraphs"].null_count == 3
    assert table["error"].to_pylist() == ["null instead of a text"] * 3


@pytest.mark.parametrize("kind", STRING_TYPES[:4], ids=str)
def test_a_string_that_is_not_utf8_costs_its_row_alone(kind: pa.DataType):
    table = label_table(pa.table({"text": bad_utf8(kind)}), keep="editorial")
    assert [paragraphs is None for paragraphs in table["paragraphs"].to_pylist()] == [False, True]
    assert table["error"].to_pylist() == [None, "byte 3 is not UTF-8; convert it, or hold it as bytes if it is HTML"]
    assert table["clean"][1].as_py() is None


def test_spans_count_code_points(detector: Detector):
    (paragraphs,) = label_table(pa.table({"text": [MIXED]}))["paragraphs"].to_pylist()
    assert [MIXED[p["start"] : p["end"]] for p in paragraphs] == MIXED.split("\n\n")


def test_chunks_and_slices_are_labelled_as_their_rows_are(detector: Detector):
    texts = [*TEXTS, None] * 3
    chunks = pa.chunked_array([pa.array(["not this", *texts[:4]]).slice(1), pa.array([], pa.string()), texts[4:]])
    table = label_table(pa.table({"n": range(18), "text": chunks}).slice(3, 11))
    table.validate(full=True)
    assert table["n"].to_pylist() == list(range(3, 14))
    assert table["paragraphs"].to_pylist() == wanted(detector, texts[3:14])


def test_more_rows_than_are_built_at_once(detector: Detector):
    rows = 2500
    table = pa.table({"text": [APPEAL if row % 2 else None for row in range(rows)]})
    labelled = label_table(table)
    labelled.validate(full=True)
    assert labelled.num_rows == rows
    assert labelled["paragraphs"].null_count == rows // 2 == rows - labelled["error"].null_count
    assert labelled["paragraphs"][rows - 1].as_py() == wanted(detector, [APPEAL])[0]
    (batch,) = table.to_batches()
    batches = list(label_batches([batch]))
    assert [batch.num_rows for batch in batches] == [1024, 1024, 452]
    assert pa.Table.from_batches(batches).equals(labelled)


@settings(max_examples=25)
@given(
    texts=st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=60)),
    cuts=st.lists(st.integers(0, 12), max_size=3),
)
def test_batches_give_what_the_table_gives(detector: Detector, texts: list[str | None], cuts: list[int]):
    whole = pa.table({"text": pa.array(texts, pa.string())})
    edges = [0, *sorted(min(cut, len(texts)) for cut in cuts), len(texts)]
    batches = [
        batch
        for start, end in pairwise(edges)
        for batch in whole.slice(start, end - start).combine_chunks().to_batches()
    ]
    from_batches = pa.Table.from_batches(label_batches(batches), output_schema(whole.schema))
    for labelled in (label_table(whole), from_batches):
        labelled.validate(full=True)
        assert labelled["text"].to_pylist() == texts
        assert labelled["paragraphs"].to_pylist() == wanted(detector, texts)


@pytest.mark.parametrize("options", [{}, {"keep": "promo"}, {"html_field": "html"}])
def test_empty_tables_and_batches_have_the_same_schema(options: dict):
    schema = pa.schema([("html" if options.get("html_field") else "text", pa.string())])
    labelled = label_table(schema.empty_table(), **options)
    (batch,) = label_batches([pa.RecordBatch.from_pylist([], schema=schema)], **options)
    assert labelled.num_rows == batch.num_rows == 0
    assert labelled.schema == batch.schema == output_schema(schema, **options)
    assert list(label_batches([], **options)) == []


def test_other_columns_and_metadata_stay():
    table = pa.table({"id": [7], "text": [NEWS], "tags": [["a", "b"]]}).replace_schema_metadata({"crawl": "2024-10"})
    labelled = label_table(table)
    assert labelled.select(table.column_names).equals(table, check_metadata=True)
    assert labelled.schema.names == ["id", "text", "tags", "paragraphs", "error"]
    assert labelled.schema.field("paragraphs").type == PARAGRAPHS_TYPE
    assert labelled.schema.metadata == {b"crawl": b"2024-10"}


@pytest.mark.parametrize(
    ("kind", "text_type"),
    [
        (pa.string(), pa.string()),
        (pa.binary(), pa.string()),
        (pa.large_binary(), pa.large_string()),
        (pa.binary_view(), pa.large_string()),
        (pa.dictionary(pa.int8(), pa.binary()), pa.large_string()),
    ],
    ids=str,
)
def test_html_adds_the_text_that_it_shows(detector: Detector, kind: pa.DataType, text_type: pa.DataType):
    values = pa.array([HTML.encode(), None, b""])
    pages = values.dictionary_encode() if pa.types.is_dictionary(kind) else values.cast(kind)
    table = label_table(pa.table({"html": pages, "url": ["https://example.org/", None, None]}), html_field="html")
    table.validate(full=True)
    page = detector.label_html(HTML)
    assert table["text"].to_pylist() == [page.text, None, ""]
    assert table.schema.field("text").type == text_type
    first, second, third = table["paragraphs"].to_pylist()
    assert [(p["start"], p["end"], p["label"]) for p in first] == [(p.start, p.end, p.label) for p in page.paragraphs]
    assert (second, third) == (None, [])


def test_html_bytes_may_be_of_any_charset_and_urls_of_any_kind():
    html = [f"<meta charset=iso-8859-1>{HTML}".encode("latin-1")]
    for urls in ([None], [b"\xff"], [3], bad_utf8(pa.string()).slice(1)):
        table = label_table(pa.table({"page": html, "url": urls}), html_field="page", text_field="shown")
        assert table["shown"].to_pylist() == ["The café reopens on Tuesday.\n\nSubscribe now"]


def test_keep_gives_the_text_that_clean_gives(detector: Detector):
    table = pa.table({"text": [MIXED, None, APPEAL]})
    kept = label_table(table, keep=["promo", "related-links"])["clean"].to_pylist()
    assert kept == [detector.label(MIXED).keep("promo", "related-links"), None, detector.label(APPEAL).keep("promo")]
    page = detector.label(MIXED)
    mask = detector.keep_mask(page, ["editorial"], preset=Preset.RECALL)
    assert label_table(table, keep="editorial", preset="recall")["clean"][0].as_py() == page.keep_where(mask)


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"body": ["a"]}, {}, r"no column is named 'text' \(there: 'body'\); name another with text_field="),
        ({"text": ["a"]}, {"html_field": "html"}, r"no column is named 'html' .*html_field="),
        ({"text": [1]}, {}, r"column 'text' is of int64, not strings"),
        ({"text": [b"a"]}, {}, r"column 'text' is of binary, not strings"),
        ({"html": [["a"]]}, {"html_field": "html"}, r"not strings or bytes"),
        ({"text": ["a"], "error": [0]}, {}, r"a column 'error' would be added but is there already: rename or drop it"),
        ({"text": ["a"], "clean": [0]}, {"keep": "promo"}, r"a column 'clean' would be added"),
        ({"text": ["a"], "html": ["a"]}, {"html_field": "html"}, r"a column 'text' .*pass another text_field="),
        ({"html": ["a"]}, {"html_field": "html", "text_field": "error"}, r"a column 'error' would be added"),
        ({"text": ["a"]}, {"keep": "Promo"}, r"keep='Promo': name one or more of editorial, promo"),
        ({"text": ["a"]}, {"keep": []}, r"keep=\[\]: name one or more"),
        ({"text": ["a"]}, {"preset": "recall"}, r"name what to keep with keep="),
        ({"text": ["a"]}, {"keep": "promo", "preset": "best"}, r"preset='best': name one of recall, precision"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_row(columns: dict, options: dict, message: str):
    table = pa.table(columns)
    for attempt in (
        lambda: label_table(table, **options),
        lambda: list(label_batches(table.to_batches(), **options)),
        lambda: output_schema(table.schema, **options),
    ):
        with pytest.raises(ValueError, match=message):
            attempt()


def test_two_columns_of_one_name():
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    with pytest.raises(ValueError, match="2 columns are named 'text'"):
        label_table(table)


def test_options_are_checked_before_the_first_batch_is_asked_for():
    with pytest.raises(ValueError, match="keep="):
        label_batches(iter([]), keep="none")


def test_a_detector_of_ones_own(detector: Detector, tiny_folder: Path):
    own = Detector.load(tiny_folder)
    (paragraphs,) = label_table(pa.table({"text": [MIXED]}), detector=own)["paragraphs"].to_pylist()
    assert [p["confidence"] for p in paragraphs] == pytest.approx([p.confidence for p in own.label(MIXED).paragraphs])


def test_a_stream_holds_one_batch_at_a_time():
    asked = []

    def batches():
        for number in range(3):
            asked.append(number)
            yield pa.RecordBatch.from_pydict({"text": [NEWS]})

    labelled = label_batches(batches())
    assert asked == []
    next(labelled)
    assert asked == [0]
    next(labelled)
    assert asked == [0, 1]


def test_the_parquet_example(detector: Detector, tmp_path: Path):
    texts = [*TEXTS, None]
    pq.write_table(pa.table({"id": range(6), "text": texts}), tmp_path / "pages.parquet")
    example = EXAMPLES / "label_parquet.py"
    subprocess.run([sys.executable, example, "pages.parquet", "out.parquet"], cwd=tmp_path, check=True)
    labelled = pq.read_table(tmp_path / "out.parquet")
    assert labelled["id"].to_pylist() == list(range(6))
    assert labelled["paragraphs"].to_pylist() == wanted(detector, texts)
    assert labelled["clean"].to_pylist() == [None if text is None else detector.label(text).keep() for text in texts]


@pytest.mark.parametrize(
    ("module", "needs", "extra"),
    [
        ("detector.arrow", "pyarrow", "arrow"),
        ("detector.integrations.ray", "pyarrow", "ray"),
        ("detector.integrations.spark", "pyspark", "spark"),
        ("detector.integrations.datatrove", "datatrove", "datatrove"),
    ],
)
def test_a_missing_extra_is_named(module: str, needs: str, extra: str):
    code = f"import sys; sys.modules[{needs!r}] = None; import {module}"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 1
    last = ran.stderr.splitlines()[-1]
    assert last.startswith(f"detector.extras.MissingExtraError: {module} needs {needs}")
    assert last.endswith(f": pip install 'banner-detector[{extra}]'")
