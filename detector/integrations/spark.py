"""Spark: ``df.mapInArrow(label_partitions(...), schema=labelled_schema(df.schema, ...))``.

Needs the extra, and Java: ``pip install 'banner-detector[spark]'``. The executors need this package too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Unpack

from detector.extras import missing

try:
    import pyarrow as pa
    from pyspark.sql.pandas.types import from_arrow_schema
    from pyspark.sql.types import BinaryType, DataType, StringType, StructType
except ImportError as error:
    raise missing(error, "spark", "detector.integrations.spark") from None

from detector.arrow import Options, label_batches, output_schema
from detector.integrations.shared import shared_detector


def label_partitions(
    *, model: str | Path | None = None, **options: Unpack[Options]
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """What ``mapInArrow`` runs: :func:`detector.arrow.label_batches` over each partition, with the same options.

    ``model`` is a model's folder, the same on every executor; the bundled one if not told. It is loaded once a
    Python worker.
    """
    return partial(_label, model, options)


def _label(model: str | Path | None, options: Options, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    return label_batches(batches, detector=shared_detector(model), **options)


def labelled_schema(schema: StructType, **options: Unpack[Options]) -> StructType:
    """The schema of what :func:`label_partitions` with the same options makes of a data frame of ``schema``.

    Raises ``ValueError`` as :func:`detector.arrow.output_schema` does: before the job starts.
    """
    arrow = pa.schema([(field.name, _arrow_type(field.dataType)) for field in schema.fields])
    added = from_arrow_schema(pa.schema(list(output_schema(arrow, **options))[len(schema) :]))
    return StructType([*schema.fields, *added.fields])


def _arrow_type(kind: DataType) -> pa.DataType:
    """The Arrow type of columns that can be read; Spark's own converter depends on its version and the session."""
    if isinstance(kind, StringType):
        return pa.string()
    return pa.binary() if isinstance(kind, BinaryType) else pa.opaque(pa.null(), kind.simpleString(), "Spark")
