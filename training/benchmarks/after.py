"""After an extractor: how much of the junk in its plain text is removed, and how much of the editorial is lost.

The extractor's lines get the gold labels of the page's labelled lines that they are made of.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector import Detector, Label, Preset
from detector.labels import CODES, LABELS
from detector.segment import segment
from training.corpus import Document

PRESETS: dict[str, Preset | None] = {"default": None, "--precision": Preset.PRECISION, "--recall": Preset.RECALL}
_WORDS = re.compile(r"\w+")
_SHORTEST = 12
"""Characters below which a text found inside another says nothing: "home" is in many lines."""
_WINDOW = 30
"""Labelled lines on either side of the last one found, among which a rewritten line is looked for."""
_UNKNOWN = "?"
_ALIKE = 0.6
"""Share of common words from which a line counts as another's rewriting."""


@dataclass(frozen=True)
class Surviving:
    """An extractor's text of a page; ``codes`` has a letter for each non-blank line, ``?`` where no gold was found."""

    text: str
    codes: str

    @classmethod
    def of(cls, document: Document, text: str) -> Surviving:
        """Join the lines of ``text``, which an extractor made of the page, to the labelled lines."""
        return cls(text, "".join(join([line for line in text.split("\n") if line.strip()], document)))


def join(lines: Sequence[str], document: Document) -> Iterator[str]:
    """The gold letter of each line: of the same labelled line, else of those inside it or around it, else of the one
    nearby that has most of its words; ``?`` if there is none.
    """
    gold = [_words(line) for line in document.texts()]
    where: dict[str, list[int]] = {}
    for number, line in enumerate(gold):
        where.setdefault(line, []).append(number)
    last = 0
    for line in map(_words, lines):
        found = _same(line, where, last) or _inside(line, gold, last) or _rewritten(line, gold, last)
        if found:
            last = found[-1]
        yield _majority(found, gold, document.labels)


def _words(line: str) -> str:
    """Words in lower case; marks of lists and tables are the extractor's. A line of signs stays as it is."""
    return " ".join(_WORDS.findall(line.lower())) or line.strip()


def _same(line: str, where: dict[str, list[int]], last: int) -> list[int]:
    """The same line: the next one, or else the nearest before."""
    numbers = where.get(line, [])
    return [min(numbers, key=lambda number: (number < last, abs(number - last)))] if numbers else []


def _inside(line: str, gold: Sequence[str], last: int) -> list[int]:
    """Labelled lines that stand in this one, in order; or the nearest that this one stands in."""
    if len(line) < _SHORTEST:
        return []
    parts = [number for number, other in enumerate(gold) if len(other) >= _SHORTEST and other in line]
    if parts:
        return parts
    wholes = [number for number, other in enumerate(gold) if line in other]
    return [min(wholes, key=lambda number: abs(number - last))] if wholes else []


def _rewritten(line: str, gold: Sequence[str], last: int) -> list[int]:
    words = line.split()
    near = range(max(0, last - _WINDOW), min(len(gold), last + _WINDOW))
    ratios = {number: SequenceMatcher(None, words, gold[number].split(), autojunk=False).ratio() for number in near}
    best = max(ratios, key=lambda number: ratios[number], default=None)
    return [best] if best is not None and ratios[best] >= _ALIKE else []


def _majority(numbers: Sequence[int], gold: Sequence[str], labels: str) -> str:
    """The label of most characters."""
    chars: Counter[str] = Counter()
    for number in numbers:
        chars[labels[number]] += len(gold[number])
    return max(chars, key=lambda code: chars[code], default=_UNKNOWN)


def measure(
    documents: Iterable[tuple[Document, str]], extract: Callable[[str], str], detector: Detector
) -> dict[str, Any]:
    """What ``detector`` does to the extracted text of labelled pages, given with their HTML.

    For each preset the share of the junk characters (gold not editorial) that is removed, in all and by label, and
    of the editorial characters that is lost; ``unknown_share`` of the characters had no gold and count for neither.
    """
    totals: Counter[str] = Counter()
    kept: Counter[tuple[str, str]] = Counter()
    pages = without = 0
    for document, html in documents:
        surviving = Surviving.of(document, extract(html))
        codes = np.array(list(surviving.codes), dtype="<U1")
        chars, masks = _kept(surviving, detector)
        pages, without = pages + 1, without + (not len(codes))
        for code in (*CODES, _UNKNOWN):
            totals[code] += int(chars[codes == code].sum())
            for name, mask in masks.items():
                kept[name, code] += int(chars[(codes == code) & mask].sum())
    return {"pages": pages, "pages_without_text": without} | _figures(totals, kept)


def _kept(surviving: Surviving, detector: Detector) -> tuple[NDArray[np.int64], dict[str, NDArray[np.bool_]]]:
    """Characters of each line, and for each preset which lines are kept."""
    document = Document("", "", "", surviving.text, surviving.codes)
    chars = np.array([len(line.strip()) for line in document.texts()], dtype=np.int64)
    page = detector.label_pages([segment(surviving.text)])[0]
    if not len(page):
        return chars, {name: np.zeros(0, dtype=bool) for name in PRESETS}
    paragraph = document.paragraph_of(page)
    masks = {name: detector.keep_mask(page, (Label.EDITORIAL,), preset=preset) for name, preset in PRESETS.items()}
    return chars, {name: mask[paragraph] for name, mask in masks.items()}


def _figures(totals: Counter[str], kept: Counter[tuple[str, str]]) -> dict[str, Any]:
    editorial = Label.EDITORIAL.code
    junk = [code for code in CODES if code != editorial]
    all_junk = sum(totals[code] for code in junk)

    def preset(name: str) -> dict[str, Any]:
        junk_kept = sum(kept[name, code] for code in junk)
        removed = {LABELS[CODES.index(code)].value: _gone(kept[name, code], totals[code]) for code in junk}
        return {
            "junk_removed": _gone(junk_kept, all_junk),
            "removed_by_label": removed,
            "editorial_lost": _gone(kept[name, editorial], totals[editorial]),
            "junk_share": _ratio(junk_kept, junk_kept + kept[name, editorial]),
        }

    return {
        "characters": totals.total(),
        "unknown_share": _ratio(totals[_UNKNOWN], totals.total()),
        "junk_share": _ratio(all_junk, all_junk + totals[editorial]),
        "junk_characters": {LABELS[CODES.index(code)].value: totals[code] for code in junk},
        "presets": {name: preset(name) for name in PRESETS},
    }


def _gone(kept: int, whole: int) -> float | None:
    return _ratio(whole - kept, whole)


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 5) if whole else None


def table(name: str, result: dict[str, Any]) -> str:
    """The result of :func:`measure` for a terminal."""
    junk = result["junk_characters"]
    lines = [
        f"{name}: {result['pages']:,} pages ({result['pages_without_text']:,} without text),"
        f" {result['characters']:,} characters; without gold {_percent(result['unknown_share'])};"
        f" junk {_percent(result['junk_share'])}",
        f"  {'detector':<14}{'editorial lost':>16}{'junk left':>12}{'junk removed':>14}"
        + "".join(f"{label:>16}" for label in junk),
        f"  {'(characters)':<56}" + "".join(f"{chars:>16,}" for chars in junk.values()),
    ]
    for preset, figures in result["presets"].items():
        lost, left, removed = (_percent(figures[key]) for key in ("editorial_lost", "junk_share", "junk_removed"))
        by_label = "".join(f"{_percent(figures['removed_by_label'][label]):>16}" for label in junk)
        lines.append(f"  {preset:<14}{lost:>16}{left:>12}{removed:>14}{by_label}")
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"
