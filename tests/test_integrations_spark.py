from __future__ import annotations

import datetime
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import ArrayType, BinaryType, IntegerType, StringType, StructField, StructType

from detector import Detector
from detector.arrow import Options, label_batches
from detector.integrations.spark import label_partitions, labelled_schema
from tests.examples import APPEAL, ARTICLE, assert_labelled, run_example, write_pages

pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        session = (
            SparkSession.builder.master("local[1]")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", "1")
            .getOrCreate()
        )
        yield session
        session.stop()


def test_the_example(spark: SparkSession, detector: Detector, tmp_path: Path):
    write_pages(tmp_path / "pages")
    run_example("label_with_spark.py", tmp_path / "pages", tmp_path / "labelled")
    assert_labelled(tmp_path / "labelled", detector)


def test_html_beside_columns_of_other_types(spark: SparkSession, detector: Detector):
    html = b"<p>The caf\xe9 reopens on Tuesday.</p>"
    now = datetime.datetime(2024, 10, 1, 12, 30)
    rows = [(now, {"k": [1.5]}, bytearray(html)), (None, None, None)]
    pages = spark.createDataFrame(rows, "fetched timestamp, extra map<string,array<double>>, html binary")
    options = Options(html_field="html")
    labelled = pages.mapInArrow(label_partitions(**options), schema=labelled_schema(pages.schema, **options))
    first, second = labelled.collect()
    page = detector.label_html(html)
    assert (first.fetched, first.extra, first.text, first.error) == (now, {"k": [1.5]}, page.text, None)
    assert [(p.start, p.end, p.label) for p in first.paragraphs] == [(p.start, p.end, p.label) for p in page.paragraphs]
    assert (second.paragraphs, second.text, second.error) == (None, None, "null instead of a text")


def test_the_schema_needs_no_session():
    schema = StructType([StructField("html", BinaryType(), nullable=False, metadata={"from": "crawl"})])
    labelled = labelled_schema(schema, html_field="html", keep="editorial")
    assert labelled.fields[0] == schema.fields[0]
    assert labelled.names == ["html", "paragraphs", "text", "clean", "error"]
    paragraphs = labelled["paragraphs"].dataType
    assert isinstance(paragraphs, ArrayType)
    assert paragraphs.elementType["start"].dataType == IntegerType()
    assert labelled["clean"].dataType == StringType()
    with pytest.raises(ValueError, match="no column is named 'text'"):
        labelled_schema(schema)


def test_pickles_hold_no_model():
    data = pickle.dumps(label_partitions(keep="promo"))
    assert len(data) < 1000
    batch = pa.RecordBatch.from_pydict({"text": [ARTICLE, APPEAL]})
    assert list(pickle.loads(data)([batch])) == list(label_batches([batch], keep="promo"))
