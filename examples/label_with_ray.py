"""Labels a dataset of Parquet files on every core of a machine, or of a Ray cluster.

    python examples/label_with_ray.py pages/ labelled/

Needs ``pip install 'banner-detector[ray]'``.
"""

from __future__ import annotations

import sys

import ray.data

from detector.integrations.ray import DetectorBatches


def main(source: str, target: str) -> None:
    """Write the pages of ``source`` with the columns ``paragraphs``, ``clean`` and ``error`` to ``target``."""
    labelled = ray.data.read_parquet(source).map_batches(
        DetectorBatches,
        batch_format="pyarrow",
        batch_size=1024,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=64),
        fn_constructor_kwargs={"keep": "editorial"},
    )
    labelled.write_parquet(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
