"""Cleans a folder of JSON Lines with datatrove, a task a file.

    python examples/label_with_datatrove.py pages/ clean/

Needs ``pip install 'banner-detector[datatrove]' 'datatrove[io]'``. On a cluster the same pipeline goes into
``SlurmPipelineExecutor``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

from detector.integrations.datatrove import LabelParagraphs


def main(source: str, target: str) -> None:
    """Write the editorial text of the pages of ``source`` to ``target``; pages of which nothing is left are dropped."""
    LocalPipelineExecutor(
        pipeline=[JsonlReader(source), LabelParagraphs(keep="editorial"), JsonlWriter(target, compression=None)],
        tasks=max(1, len(list(Path(source).iterdir()))),
        workers=2,
        logging_dir=f"{target}/logs",
    ).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
