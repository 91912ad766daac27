"""Labels the texts of a Parquet file, 1,024 rows at a time, however large it is.

    python examples/label_parquet.py pages.parquet labelled.parquet

Needs ``pip install 'banner-detector[arrow]'``.
"""

from __future__ import annotations

import sys

import pyarrow.parquet as pq

from detector.arrow import label_batches, output_schema


def main(source: str, target: str) -> None:
    """Write ``source`` with the columns ``paragraphs``, ``clean`` and ``error`` to ``target``."""
    with pq.ParquetFile(source) as pages:
        schema = output_schema(pages.schema_arrow, keep="editorial")
        with pq.ParquetWriter(target, schema) as writer:
            for batch in label_batches(pages.iter_batches(batch_size=1024), keep="editorial"):
                writer.write_batch(batch)


if __name__ == "__main__":
    main(*sys.argv[1:])
