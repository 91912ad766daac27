from __future__ import annotations

import gzip
import json

import pytest

from detector.batch import Writing, label_all
from tests.corpus import TEXT, Told, label, plan


@pytest.fixture
def documents(tmp_path):
    """A file as the toolkit has it, with records that cannot be read."""
    path = tmp_path / "documents" / "0000.json.gz"
    path.parent.mkdir()
    lines = [json.dumps({"id": f"doc-{i}", "text": f"Ünïcode 🚌 {i}\n\n{TEXT}", "source": "x"}) for i in range(3)]
    lines[1:1] = [json.dumps({"id": "doc-none", "text": None}), "{broken"]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def test_attributes_have_a_line_a_document_with_its_id_and_spans(documents, tmp_path):
    out, told = tmp_path / "attributes.json.gz", Told()
    label_all(plan(documents, writing=Writing("dolma", suffix=".gz"), output=out), told, None)
    lines = [json.loads(line) for line in gzip.decompress(out.read_bytes()).splitlines()]
    assert [line["id"] for line in lines] == ["doc-0", "doc-none", None, "doc-1", "doc-2"]
    assert [line["attributes"] for line in lines[1:3]] == [{}, {}]
    assert len(told.failures) == 2
    for line, record in zip([lines[0], *lines[3:]], label(documents)[0], strict=True):
        expected = {name: [] for name in ("editorial", "promo", "related_links", "boilerplate")}
        for p in record["paragraphs"]:
            expected[p["label"].replace("-", "_")].append([p["start"], p["end"], p["confidence"]])
        assert line["attributes"] == {f"detector__{name}": spans for name, spans in expected.items()}
