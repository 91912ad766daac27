"""Real-life shapes as data, labelled by the bundled model.

``in-the-wild.json`` holds shapes seen on real pages, retold in original text; ``negatives.json`` what looks like an
appeal and is none. A case passes with nine lines in ten right. ``known-failures.json`` lists the ids of those that do
not yet pass: a case that is cured must be taken off the list, or the test fails.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from detector.labels import CODES
from training.corpus import Document
from training.evaluate import detector_scores

CASES = Path(__file__).parent / "cases"
ENOUGH = 0.9
FAILING = set(json.loads((CASES / "known-failures.json").read_text(encoding="utf-8")))


def read(name: str) -> list[dict]:
    return json.loads((CASES / name).read_text(encoding="utf-8"))


def parameters():
    for name in ("in-the-wild.json", "negatives.json"):
        for case in read(name):
            failing = pytest.mark.xfail(strict=True, raises=AssertionError, reason="known failure")
            yield pytest.param(case, id=case["id"], marks=[failing] if case["id"] in FAILING else [])


@pytest.mark.parametrize("case", list(parameters()))
def test_case(detector, case):
    document = Document(case["id"], case["lang"], case["id"], case["text"], case["labels"])
    (scores,) = detector_scores(detector)([document])
    said = "".join(CODES[i] for i in scores.argmax(axis=1))
    right = np.mean([a == b for a, b in zip(said, case["labels"], strict=True)])
    assert right >= ENOUGH, f"{right:.0%} of lines right\nwanted {case['labels']}\nsaid   {said}"


def test_the_cases_are_whole():
    cases = read("in-the-wild.json") + read("negatives.json")
    ids = [case["id"] for case in cases]
    assert len(ids) == len(set(ids)) >= 50
    assert set(ids) >= FAILING
    for case in cases:
        assert set(case) == {"id", "comment", "lang", "text", "labels"}
        assert set(case["labels"]) <= set(CODES)
        assert len(case["labels"]) == sum(bool(line.strip()) for line in case["text"].split("\n"))
