"""Attributes of the Dolma toolkit: for each document its id and spans of its text, in a file beside the documents'.

The toolkit reads both files line by line, so there is a line for every record, with no attributes where it could not be
read. Spans are ``[start, end, score]`` in code points, by attribute; the score is the label's confidence.
"""

from __future__ import annotations

from typing import Any

from detector.formats import jsonl
from detector.labels import LABELS
from detector.page import Page

_NAMES = {label.value: f"detector__{label.value.replace('-', '_')}" for label in LABELS}
"""Names as JSONPath can say them, in the toolkit's habit: who says it, and what."""


def attributes(page: Page) -> str:
    """The line of a labelled page."""
    found: dict[str, list[list[int | float]]] = {name: [] for name in _NAMES.values()}
    for start, end, label, confidence in jsonl.spans(page):
        found[_NAMES[label]].append([start, end, confidence])
    return jsonl.dump({"id": page.fields.get("id", page.id), "attributes": found})


def no_attributes(id: Any) -> str:  # noqa: ANN401  Whatever JSON can hold.
    """The line of a record that could not be read."""
    return jsonl.dump({"id": id, "attributes": {}})
