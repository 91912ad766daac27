"""How right the labels are: line by line against gold, as one nested result and as a table for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.detector import Detector
from detector.labels import LABELS, Label
from detector.network import Floats
from detector.page import Page
from detector.segment import segment
from training.calibrate import expected_calibration_error
from training.corpus import CorpusError, Document, align, read_html

Predict = Callable[[Sequence[Document]], list[Floats]]
"""Documents to scores: for each an array (lines, 4) of probabilities."""

_EDITORIAL = LABELS.index(Label.EDITORIAL)
NAMES = tuple(label.value for label in LABELS)


def detector_scores(detector: Detector) -> Predict:
    """Scores of a detector for every line: a line joined to a paragraph takes the paragraph's."""

    def predict(documents: Sequence[Document]) -> list[Floats]:
        pages = detector.label_stream(segment(document.text) for document in documents)
        return [line_scores(document, page) for document, page in zip(documents, pages, strict=True)]

    return predict


def html_scores(detector: Detector, folder: Path) -> Predict:
    """Scores of a detector that reads the HTML in a corpus folder, joined to the labelled lines in order.

    A labelled line that our rendering does not have (4 in 10,000) counts as boilerplate.
    """

    def predict(documents: Sequence[Document]) -> list[Floats]:
        return [_html_line_scores(detector, document, folder) for document in documents]

    return predict


def _html_line_scores(detector: Detector, document: Document, folder: Path) -> Floats:
    html = read_html(folder, document)
    if html is None:
        raise CorpusError(f"{folder}: no HTML of page {document.id}; see data/README.md for the layout")
    return html_line_scores(document, detector.label_html(html, document.url))


def html_line_scores(document: Document, page: Page) -> Floats:
    """Scores (lines, 4) of a page that was labelled from its HTML; boilerplate where it lacks a line."""
    line_of = align([paragraph.text for paragraph in page.paragraphs], document.texts())
    scores = np.zeros((len(document.labels), len(LABELS)), dtype=np.float32)
    scores[:, LABELS.index(Label.BOILERPLATE)] = 1
    assert page.scores is not None
    scores[line_of[line_of >= 0]] = page.scores[line_of >= 0]
    return scores


def line_scores(document: Document, page: Page) -> Floats:
    """Scores (lines, 4) of a labelled page of plain text: a line joined to a paragraph takes the paragraph's."""
    assert page.scores is not None
    return np.asarray(page.scores[document.paragraph_of(page)], dtype=np.float32)


@dataclass(frozen=True)
class Judged:
    """Lines of one or more pages: ``scores`` (n, 4), ``targets``, ``chars``, and the ``page`` of each."""

    scores: Floats
    targets: NDArray[np.int64]
    chars: NDArray[np.int64]
    page: NDArray[np.int64]

    @classmethod
    def of(cls, documents: Sequence[Document], scores: Sequence[Floats]) -> Judged:
        """Line up what was predicted for ``documents`` with their gold labels."""
        return cls(
            np.concatenate([np.zeros((0, len(LABELS)), dtype=np.float32), *scores]),
            np.concatenate([np.zeros(0, dtype=np.int64), *(document.targets() for document in documents)]),
            np.array([end - start for document in documents for start, end in document.lines()], dtype=np.int64),
            np.repeat(np.arange(len(documents)), [len(document.labels) for document in documents]),
        )

    def only(self, pages: Sequence[int]) -> Judged:
        """The lines of some of the pages."""
        mask = np.isin(self.page, pages)
        return Judged(self.scores[mask], self.targets[mask], self.chars[mask], self.page[mask])

    def confusion(self) -> NDArray[np.int64]:
        """Counts (4, 4): gold by predicted."""
        n = len(LABELS)
        return np.bincount(self.targets * n + self.scores.argmax(axis=1), minlength=n * n).reshape(n, n)


def measure(judged: Judged) -> dict[str, Any]:
    """Every figure of ``evaluate`` for the lines given. Labels that neither gold nor prediction has, have no F1."""
    confusion = judged.confusion()
    right, gold, said = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    labels = {
        name: {
            "precision": _ratio(right[i], said[i]),
            "recall": _ratio(right[i], gold[i]),
            "f1": _ratio(2 * right[i], gold[i] + said[i]),
            "lines": int(gold[i]),
        }
        for i, name in enumerate(NAMES)
    }
    present = [f1 for name in NAMES if (f1 := labels[name]["f1"]) is not None]
    hit = (judged.scores.argmax(axis=1) == judged.targets).astype(np.float64)
    pages, index = np.unique(judged.page, return_inverse=True)
    shares = np.bincount(index, hit) / np.maximum(np.bincount(index), 1)
    return {
        "pages": len(pages),
        "lines": len(hit),
        "macro_f1": round(float(np.mean(present)), 4) if present else None,
        "lines_right": _ratio(hit.sum(), len(hit)),
        "lines_right_mean_over_pages": round(float(shares.mean()), 4) if len(pages) else None,
        "labels": labels,
        "confusion": confusion.tolist(),
        "calibration_error": round(expected_calibration_error(judged.scores, judged.targets), 4),
        **_characters(judged),
    }


def _characters(judged: Judged) -> dict[str, float | None]:
    """Characters of the editorial lines that are kept; share of other lines' characters in what is kept."""
    editorial, kept = judged.targets == _EDITORIAL, judged.scores.argmax(axis=1) == _EDITORIAL
    both = judged.chars[editorial & kept].sum()
    return {
        "editorial_characters_kept": _ratio(both, judged.chars[editorial].sum()),
        "junk_share_of_output": _ratio(judged.chars[kept].sum() - both, judged.chars[kept].sum()),
    }


def _ratio(part: float, whole: float) -> float | None:
    return round(float(part) / float(whole), 4) if whole else None


def measure_by(judged: Judged, documents: Sequence[Document], key: str) -> dict[str, dict[str, Any]]:
    """:func:`measure` for each value of the documents' ``key`` (``lang``, ``page_type``, ``kind``, ``form``)."""
    members: dict[str, list[int]] = defaultdict(list)
    for number, document in enumerate(documents):
        members[str(getattr(document, key)) or "(none)"].append(number)
    ranked = sorted(members.items(), key=lambda item: (-len(item[1]), item[0]))
    return {value: measure(judged.only(pages)) for value, pages in ranked}


def evaluate(documents: Sequence[Document], predict: Predict, by: Sequence[str] = ()) -> dict[str, Any]:
    """All figures of ``documents``, and for each key of ``by`` those of its values."""
    judged = Judged.of(documents, predict(documents))
    return measure(judged) | {"by": {key: measure_by(judged, documents, key) for key in by}}


def table(name: str, result: dict[str, Any]) -> str:
    """The result of :func:`evaluate` for a terminal."""
    lines = [
        f"{name}: {result['pages']:,} pages, {result['lines']:,} lines",
        f"  macro F1 {_show(result['macro_f1'])}   lines right {_show(result['lines_right'])}"
        f"   mean over pages {_show(result['lines_right_mean_over_pages'])}",
        f"  editorial characters kept {_show(result['editorial_characters_kept'])}"
        f"   junk in the output {_show(result['junk_share_of_output'])}"
        f"   calibration error {_show(result['calibration_error'])}",
        f"  {'label':<16}{'precision':>10}{'recall':>10}{'F1':>10}{'lines':>10}   gold by predicted {' '.join(NAMES)}",
    ]
    for i, label in enumerate(NAMES):
        figures = result["labels"][label]
        cells = "".join(f"{_show(figures[key]):>10}" for key in ("precision", "recall", "f1"))
        counts = "".join(f"{count:>9,}" for count in result["confusion"][i])
        lines.append(f"  {label:<16}{cells}{figures['lines']:>10,}   {counts}")
    for key, values in result.get("by", {}).items():
        lines.append(f"  {'by ' + key:<20}{'pages':>8}{'lines':>9}{'macro F1':>10}{'right':>10}" + _heads())
        for value, part in values.items():
            cells = "".join(f"{_show(part['labels'][label]['f1']):>10}" for label in NAMES)
            lines.append(
                f"    {value:<18}{part['pages']:>8,}{part['lines']:>9,}{_show(part['macro_f1']):>10}"
                f"{_show(part['lines_right']):>10}{cells}"
            )
    return "\n".join(lines)


def _heads() -> str:
    return "".join(f"{'F1 ' + label[:6]:>10}" for label in NAMES)


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
