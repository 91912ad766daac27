"""Labels a Parquet data set on Spark.

    python examples/label_with_spark.py pages/ labelled/

Needs ``pip install 'banner-detector[spark]'`` and Java; executors need the package in their Python too.
"""

from __future__ import annotations

import sys

from pyspark.sql import SparkSession

from detector.arrow import Options
from detector.integrations.spark import label_partitions, labelled_schema


def main(source: str, target: str) -> None:
    """Write the pages of ``source`` with the columns ``paragraphs``, ``clean`` and ``error`` to ``target``."""
    spark = SparkSession.builder.appName("banner-detector").getOrCreate()
    pages = spark.read.parquet(source)
    options = Options(keep="editorial")
    labelled = pages.mapInArrow(label_partitions(**options), schema=labelled_schema(pages.schema, **options))
    labelled.write.parquet(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
