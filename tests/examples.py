"""Pages for the engines' examples, and what the examples make of them."""

from __future__ import annotations

import runpy
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detector import Detector, Page

EXAMPLES = Path(__file__).parent.parent / "examples"
ARTICLE = (
    "The ferry to Inis Rua sails again from Monday, the harbour board said.\n\n"
    "It had been laid up since the storm in March.\n\nSubscribe to our newsletter"
)
APPEAL = "Sign up for our newsletter and never miss a story.\n\nSubscribe now"
TEXTS = [ARTICLE, None, APPEAL, ""]


def run_example(name: str, *arguments: object) -> None:
    """Run ``main`` of an example in this process, where the test's session of the engine is."""
    runpy.run_path(str(EXAMPLES / name))["main"](*map(str, arguments))


def write_pages(folder: Path) -> None:
    """A Parquet data set of :data:`TEXTS` in two files."""
    folder.mkdir()
    for number in (0, 2):
        rows = {"id": [number, number + 1], "text": pa.array(TEXTS[number : number + 2], pa.string())}
        pq.write_table(pa.table(rows), folder / f"{number}.parquet")


def assert_labelled(folder: Path, detector: Detector) -> None:
    """That ``folder`` holds these pages as the examples label them."""
    table = pq.read_table(folder).sort_by("id")
    assert table.column_names == ["id", "text", "paragraphs", "clean", "error"]
    assert table["text"].to_pylist() == TEXTS
    assert table["error"].to_pylist() == [None, "null instead of a text", None, None]
    for text, clean, paragraphs in zip(TEXTS, table["clean"].to_pylist(), table["paragraphs"].to_pylist(), strict=True):
        page = None if text is None else detector.label(text)
        assert clean == (None if page is None else page.keep("editorial"))
        assert paragraphs == (None if page is None else spans_of(page))


def spans_of(page: Page) -> list[dict[str, object]]:
    """A page's paragraphs as adapters give them; confidences nearly so."""
    return [
        {"start": p.start, "end": p.end, "label": p.label, "confidence": pytest.approx(p.confidence, abs=1e-4)}
        for p in page.paragraphs
    ]
