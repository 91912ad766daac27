"""What a model says of itself."""

from __future__ import annotations

import dataclasses
import datetime
import os
from collections.abc import Sequence
from typing import Any

from detector import __version__
from training.corpus import corpus_hash
from training.fit import Settings, Sources

LICENCE = "Apache-2.0"


def today() -> str:
    """The date, or that of ``SOURCE_DATE_EPOCH`` where a build must not depend on the day."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    now = datetime.datetime.fromtimestamp(int(epoch), datetime.UTC) if epoch else datetime.datetime.now(datetime.UTC)
    return now.date().isoformat()


def make_card(sources: Sources, seen: Sequence[str], settings: Settings, results: dict[str, Any]) -> dict[str, Any]:
    """The card of a model: version, date, licence, data, settings, scores."""
    documents = sources.documents()
    return {
        "version": __version__,
        "date": today(),
        "licence": LICENCE,
        "input": "plain text and HTML",
        "data": {
            "parts": list(seen),
            "pages": len(sources.pages) + len(sources.own),
            "widgets": len(sources.widgets),
            "passages": len(sources.passages),
            "languages": len({document.lang for document in documents}),
            "sha256": corpus_hash(documents),
            "labels": "read and written by a large language model under data/GUIDELINES.md; no person has checked them",
        },
        "settings": dataclasses.asdict(settings),
        "scores": {name: _short(result) for name, result in results.items()},
    }


def _short(result: dict[str, Any]) -> dict[str, Any]:
    f1 = {label: figures["f1"] for label, figures in result["labels"].items()}
    keys = ("macro_f1", "lines_right", "editorial_characters_kept", "junk_share_of_output", "calibration_error")
    return {key: result[key] for key in keys} | {"f1": f1}
