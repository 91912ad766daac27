from __future__ import annotations

import numpy as np
import pytest

from detector import segment
from training.calibrate import calibrate, expected_calibration_error, preset_thresholds
from training.corpus import Document
from training.evaluate import detector_scores, evaluate, table

PAGES = [
    Document("a", "en", "a.example", "Title here\nBody\nSubscribe\n", "EEP"),
    Document("b", "de", "b.example", "Menü\n\nMehr\n", "BR", page_type="article"),
]


def says(*codes: str):
    def predict(documents):
        rows = []
        for document, letters in zip(documents, codes, strict=True):
            assert len(document.labels) == len(letters)
            rows.append(
                np.array([[0.7 if code == letter else 0.1 for letter in "EPRB"] for code in letters], np.float32)
            )
        return rows

    return predict


def test_figures_by_hand():
    result = evaluate(PAGES, says("EPP", "BB"), by=["lang"])
    assert result["labels"]["editorial"] == {"precision": 1.0, "recall": 0.5, "f1": 0.6667, "lines": 2}
    assert result["labels"]["promo"] == {"precision": 0.5, "recall": 1.0, "f1": 0.6667, "lines": 1}
    assert result["labels"]["related-links"]["f1"] == 0
    assert result["macro_f1"] == pytest.approx((0.6667 * 3 + 0) / 4, abs=1e-3)
    assert result["lines_right"] == 0.6
    assert result["lines_right_mean_over_pages"] == pytest.approx((2 / 3 + 1 / 2) / 2, abs=1e-4)
    assert result["confusion"] == [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]]
    assert result["editorial_characters_kept"] == pytest.approx(10 / 14, abs=1e-4)
    assert result["junk_share_of_output"] == 0
    assert result["by"]["lang"]["de"]["lines"] == 2
    assert result["by"]["lang"]["en"]["lines_right"] == pytest.approx(2 / 3, abs=1e-4)
    assert result["calibration_error"] == pytest.approx(0.1, abs=1e-4)


def test_all_right():
    result = evaluate(PAGES, says("EEP", "BR"))
    assert (result["macro_f1"], result["lines_right"]) == (1.0, 1.0)


def test_nothing_to_measure_is_no_division():
    result = evaluate([], says())
    assert result["macro_f1"] is None
    assert "-" in table("nothing", result)


def test_the_table_shows_the_figures():
    shown = table("both", evaluate(PAGES, says("EPP", "BB"), by=["lang"]))
    assert "both: 2 pages, 5 lines" in shown
    assert "by lang" in shown
    assert "0.667" in shown


def test_joined_lines_take_their_paragraphs_scores(detector):
    wrapped = "\n".join(["The ferry had been out of service since the third week of October, and"] * 3 + ["so on."])
    text = f"{wrapped}\n\n{wrapped}\n"
    document = Document("w", "en", "w.example", text, "E" * 8)
    (scores,) = detector_scores(detector)([document])
    assert len(segment(text)) == 2
    assert (scores[:4] == scores[0]).all()
    assert (scores[4:] == scores[4]).all()


def test_calibration_undoes_overconfidence():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 4, 5000)
    logits = rng.normal(0, 1, (5000, 4)).astype(np.float32)
    logits[np.arange(5000), targets] += 1
    found = calibrate(logits * 5, targets)
    assert found.temperature[0] == pytest.approx(5, rel=0.15)
    assert expected_calibration_error(found.apply(logits * 5), targets) < 0.02


def test_presets_hold_their_promise_on_what_they_were_read_off():
    rng = np.random.default_rng(1)
    targets = rng.integers(0, 4, 20000)
    logits = rng.normal(0, 1, (20000, 4)).astype(np.float32)
    logits[np.arange(20000), targets] += 4
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    chars = rng.integers(1, 200, 20000)
    presets = preset_thresholds(scores, targets, chars)
    editorial = targets == 0
    for name, threshold in presets.items():
        kept = scores[:, 0] >= threshold
        if name == "recall":
            assert chars[kept & editorial].sum() >= 0.999 * chars[editorial].sum()
        else:
            assert chars[kept & ~editorial].sum() <= 0.0051 * chars[kept].sum()
