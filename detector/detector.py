"""``Detector``: segment, read, decide; one page or any number of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.context import OFFSETS, softmax
from detector.features import FAMILIES, SHAPES, Tokens, ngram_buckets, shape, tokenize
from detector.labels import LABELS, Label
from detector.model import Model
from detector.page import Page
from detector.segment import segment

BUNDLED = Path(__file__).parent / "models" / "default"
BATCH_CHARS = 1 << 17
"""Characters labelled at once: enough to hide numpy's cost a call, few enough to stay in a core's cache."""
_BATCH_PAGES = 64


class Preset(StrEnum):
    """What ``clean`` favours when a paragraph may or may not be editorial.

    Thresholds on the probability of the labels kept, read off the model's card: ``RECALL`` is the highest that
    keeps 99.9 % of the editorial characters of held-out pages, ``PRECISION`` the lowest that leaves 0.5 % junk.
    """

    RECALL = "recall"
    PRECISION = "precision"


@dataclass(frozen=True, slots=True)
class Reason:
    """One piece of evidence. ``weight`` is in logits (natural log odds): above 0 it speaks for the label."""

    kind: str  # "words", "shape" or "neighbour"
    what: str
    weight: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a paragraph got its label.

    ``alone`` is the probability of the label from the paragraph's own words and shape; ``confidence`` the one
    after its neighbours, its group and its page were read. ``reasons`` are sorted, the strongest first.
    """

    label: Label
    confidence: float
    alone: float
    reasons: tuple[Reason, ...]

    def sentence(self, most: int = 4) -> str:
        """The explanation in one line, with the ``most`` strongest reasons that speak for the label."""
        named = [reason.what for reason in self.reasons if reason.weight > 0][:most]
        turned = "" if self.alone >= 0.5 else f"; by itself only {self.alone:.0%}, its surroundings decided"
        return ", ".join(named or ["no single feature stands out"]) + turned


class Detector:
    """Labels pages with a trained model. Holds no state between pages; safe to share between threads."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @classmethod
    def load(cls, folder: str | Path | None = None) -> Detector:
        """The bundled model, or the one in ``folder``; raises ``ModelError`` if that is not a whole, known one."""
        return _bundled() if folder is None else cls(Model.load(Path(folder)))

    def label(self, text: str) -> Page:
        """Label a page of plain text, as scraped."""
        return self.label_pages([segment(text)])[0]

    def label_many(self, texts: Iterable[str]) -> Iterator[Page]:
        """Label any number of plain texts, in order; memory holds one batch at a time."""
        return self.label_stream(map(segment, texts))

    def label_stream(self, pages: Iterable[Page]) -> Iterator[Page]:
        """Label any number of segmented pages, in order; memory holds one batch at a time."""
        batch: list[Page] = []
        chars = 0
        for page in pages:
            batch.append(page)
            chars += len(page.text)
            if chars >= BATCH_CHARS or len(batch) >= _BATCH_PAGES:
                yield from self.label_pages(batch)
                batch, chars = [], 0
        yield from self.label_pages(batch)

    def label_pages(self, pages: Sequence[Page]) -> list[Page]:
        """Label segmented pages at once. A page's labels do not depend on the others'."""
        if not pages:
            return []
        return [page.with_scores(rows) for page, rows in zip(pages, self.model.scores(pages), strict=True)]

    def keep_mask(
        self, page: Page, labels: Sequence[Label], *, preset: Preset | None = None, min_confidence: float | None = None
    ) -> NDArray[np.bool_]:
        """Which paragraphs of a labelled page ``clean`` keeps.

        Without a threshold those whose label is among ``labels``; with one (a preset's, or ``min_confidence``,
        0 to 1) those whose probabilities of ``labels`` add up to it.
        """
        if page.scores is None:
            raise ValueError("this page has no labels yet: pass its text to Detector.label()")
        columns = [LABELS.index(label) for label in labels]
        if preset is not None:
            min_confidence = float(self.model.card["presets"][preset.value])
        if min_confidence is None:
            return np.isin(page.scores.argmax(axis=1), columns)
        return np.asarray(page.scores[:, columns].sum(axis=1) >= min_confidence)

    def explain(self, page: Page, index: int, *, most: int = 12) -> Explanation:
        """The n-grams, the shape and the neighbours that decided paragraph ``index`` of a labelled page."""
        if page.scores is None:
            page = self.label_pages([page])[0]
        assert page.scores is not None
        column = int(page.scores[index].argmax())
        tokens = tokenize([page])
        levels = shape(tokens, [page]).levels
        logits = self.model.paragraph_logits(tokens, levels)
        own = logits[index, _columns(0)]
        reasons = [
            *self._word_reasons(tokens, index, column),
            *self._shape_reasons(levels[index], column),
            *_neighbour_reasons(logits, index, column),
        ]
        reasons.sort(key=lambda reason: -abs(reason.weight))
        return Explanation(
            label=LABELS[column],
            confidence=float(page.scores[index, column]),
            alone=float(softmax(own[None, :])[0, column]),
            reasons=tuple(reasons[:most]),
        )

    def _word_reasons(self, tokens: Tokens, index: int, column: int) -> list[Reason]:
        lo, hi = int(tokens.first[index]), int(tokens.first[index + 1])
        rows = self.model.slots[ngram_buckets(tokens)[lo:hi]]
        table = self.model.table[rows]  # tokens x families x 21
        norm = float(np.sqrt(max(table[:, :, -1].sum(), 1e-12)))
        own = table[:, :, _columns(0)]
        weights = (own[:, :, column] - own.mean(axis=2)) / norm
        words = ["".join(map(chr, tokens.points[s:e])) for s, e in zip(tokens.starts[lo:hi], tokens.ends[lo:hi], strict=True)]
        totals: dict[str, float] = {}
        for token, family in np.argwhere(rows > 0).tolist():
            name = _ngram_name(words, token, FAMILIES[family])
            totals[name] = totals.get(name, 0.0) + float(weights[token, family])
        return [Reason("words", name, weight) for name, weight in totals.items()]

    def _shape_reasons(self, levels: NDArray[np.int32], column: int) -> list[Reason]:
        offsets = np.cumsum([0, *SHAPES.values()])[:-1]
        own = self.model.shapes[offsets + levels][:, _columns(0)]
        weights = own[:, column] - own.mean(axis=1)
        return [
            Reason("shape", f"{name} (level {level} of {SHAPES[name] - 1})", float(weight))
            for name, level, weight in zip(SHAPES, levels.tolist(), weights, strict=True)
        ]


@cache
def _bundled() -> Detector:
    return Detector(Model.load(BUNDLED))


def _columns(offset: int) -> slice:
    start = len(LABELS) * OFFSETS.index(offset)
    return slice(start, start + len(LABELS))


def _ngram_name(words: list[str], token: int, family: str) -> str:
    word = words[token]
    following = words[token + 1] if token + 1 < len(words) else "(end)"
    return {
        "word": f"“{word}”",
        "pair": f"“{word} {following}”",
        "starts": f"“{word[:3]}…”",
        "stem": f"“{word[:5]}…”",
        "ends": f"“…{word[-3:]}”",
        "opens": f"opens with “{word}”",
    }[family]


def _neighbour_reasons(logits: NDArray[np.float32], index: int, column: int) -> list[Reason]:
    reasons = []
    for offset in OFFSETS:
        neighbour = index - offset
        if offset and 0 <= neighbour < len(logits):
            vote = logits[neighbour, _columns(offset)]
            side = "before" if offset > 0 else "after"
            what = f"the paragraph {side}" if abs(offset) == 1 else f"the paragraph {abs(offset)} {side}"
            reasons.append(Reason("neighbour", what, float(vote[column] - vote.mean())))
    return reasons
