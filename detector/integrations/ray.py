"""Ray Data: ``ds.map_batches(DetectorBatches, batch_format="pyarrow", compute=ActorPoolStrategy(size=8))``.

Needs the extra: ``pip install 'banner-detector[ray]'``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from detector.extras import missing

try:
    import pyarrow as pa
except ImportError as error:
    raise missing(error, "ray", "detector.integrations.ray") from None

from detector.arrow import Options, label_table
from detector.integrations.shared import shared_detector


class DetectorBatches:
    """Labels batches of a Ray dataset as :func:`detector.arrow.label_table` does.

    Hand the class to ``map_batches``, its options as ``fn_constructor_kwargs={"keep": "editorial"}``; see
    :class:`detector.arrow.Options`. ``model`` is a model's folder, the same on every node; the bundled one if not
    told. It is loaded once an actor.
    """

    def __init__(self, *, model: str | Path | None = None, **options: Unpack[Options]) -> None:
        self.model = model
        self.options = options
        shared_detector(model)  # what is wrong with a model shows before the first batch

    def __call__(self, batch: pa.Table) -> pa.Table:
        """``batch`` with the columns that are added."""
        return label_table(batch, detector=shared_detector(self.model), **self.options)
