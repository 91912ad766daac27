"""Why a paragraph got its label: n-grams, markup, shape, cohesion with its page, neighbours, each with a weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.features import (
    FAMILIES,
    MARKUP_NUMBERS,
    OWN_NUMBERS,
    PAGE_NUMBERS,
    SHAPE_OFFSETS,
    SHAPES,
    Features,
    ngram_buckets,
    read_paragraphs,
    tokenize,
)
from detector.labels import LABELS, Label
from detector.model import Model, norms
from detector.network import Floats, softmax
from detector.page import Page

_SHAPE_NUMBERS = 2 * ("its length",) + ("its length", "its digits", "its signs", "its capitals", "its capitals")
_PAGE_NUMBERS = ("its repeats on the page", *(PAGE_NUMBERS - 1) * ("what it shares with the rest of the page",))
_PLACE_NUMBERS = (
    *2 * ("how far down the page it stands",),
    "how near the page's end it stands",
    "how long its page is",
    "how many stand together with it",
    *2 * ("where it stands among these",),
    "how long those beside it are",
    "how long the page's paragraphs are",
)
_NUMBER_NAMES = (
    *_SHAPE_NUMBERS[:OWN_NUMBERS],
    *_PAGE_NUMBERS,
    *_PLACE_NUMBERS,
    *MARKUP_NUMBERS * ("its place in the markup",),
)
_NEAR = (-2, -1, 1, 2)
_LEAST_ODDS = 1e-6


@dataclass(frozen=True, slots=True)
class Reason:
    """One piece of evidence. ``weight`` is in logits (natural log odds): above 0 it speaks for the label."""

    kind: str
    """``words``, ``markup``, ``shape`` or ``neighbour``."""
    what: str
    weight: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a paragraph got its label.

    ``alone`` is the probability of the label from the paragraph's own words, markup and shape; ``confidence`` the
    one after its neighbours and its page were read. ``reasons`` are sorted, the strongest first.
    """

    label: Label
    confidence: float
    alone: float
    reasons: tuple[Reason, ...]

    def sentence(self, most: int = 4) -> str:
        """The explanation in one line, with the ``most`` strongest reasons that speak for the label."""
        named = _unlike([reason.what for reason in self.reasons if reason.weight > 0])[:most]
        turned = "" if self.alone >= 0.5 else f"; by itself only {self.alone:.0%}, its surroundings decided"
        return ", ".join(named or ["no single feature stands out"]) + turned


@dataclass(frozen=True)
class Evidence:
    """A labelled page as the model reads it, from which each paragraph's label can be explained.

    N-grams, markup, shape and numbers: what each adds to the logit of the label as the paragraph alone tells it.
    Neighbours: what the label's log odds lose when the neighbour says nothing, as far as the network hears.
    """

    model: Model
    page: Page
    paragraphs: list[str]
    features: Features
    levels: NDArray[np.int32]
    numbers: Floats
    vectors: Floats

    @classmethod
    def of(cls, model: Model, page: Page) -> Evidence:
        """Read ``page``, which must be labelled."""
        features = Features.of([page])
        return cls(
            model,
            page,
            paragraphs=read_paragraphs(page),
            features=features,
            levels=features.all_levels(),
            numbers=model.all_numbers(features),
            vectors=model.vectors(features),
        )

    def explain(self, index: int, most: int) -> Explanation:
        """The explanation of paragraph ``index``, with at most ``most`` reasons."""
        assert self.page.scores is not None
        label = int(self.page.scores[index].argmax())
        totals: dict[tuple[str, str], float] = {}
        for kind, what, weight in (
            *self._words(index, label),
            *self._markup(index, label),
            *self._shape(index, label),
            *self._neighbours(index, label),
        ):
            totals[kind, what] = totals.get((kind, what), 0.0) + weight
        reasons = [Reason(kind, what, weight) for (kind, what), weight in totals.items()]
        reasons.sort(key=lambda reason: -abs(reason.weight))
        return Explanation(
            label=LABELS[label],
            confidence=float(self.page.scores[index, label]),
            alone=float(softmax(self.model.network.own(self.vectors[index : index + 1]))[0, label]),
            reasons=tuple(reasons[:most]),
        )

    def _toward(self, vectors: Floats, label: int) -> Floats:
        """What vectors (n, width) add to the logit of ``label``, over what they add to all labels."""
        logits = vectors @ self.model.network.own.weights
        return np.asarray(logits[:, label] - logits.mean(axis=1), dtype=np.float32)

    def _words(self, index: int, label: int) -> list[tuple[str, str, float]]:
        text = self.paragraphs[index]
        tokens = tokenize([text])
        slots = self.model.slots[ngram_buckets(tokens)]
        rows = self.model.word_rows(slots.ravel())
        norm = float(norms(rows[:, -1].sum()))
        weights = (self._toward(rows[:, :-1], label) / norm).reshape(slots.shape)
        words = [text[start:end] for start, end in zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True)]
        return [
            ("words", _ngram_name(words, token, FAMILIES[family]), float(weights[token, family]))
            for token, family in np.argwhere(slots > 0).tolist()
        ]

    def _markup(self, index: int, label: int) -> list[tuple[str, str, float]]:
        if self.page.markup is None:
            return []
        slots = self.model.slots[self.features.markup.take(np.array([index])).buckets]
        rows = self.model.word_rows(slots)
        norm = float(norms(rows[:, -1].sum()))
        weight = float(self._toward(rows[:, :-1], label).sum() / norm)
        return [("markup", f"inside {self.page.markup.places[index]}", weight)]

    def _shape(self, index: int, label: int) -> list[tuple[str, str, float]]:
        by_level = self._toward(self.model.shapes[SHAPE_OFFSETS[:-1] + self.levels[index]], label)
        # Over what the page's paragraphs have in common, which speaks for none of them.
        numbers = self.numbers[index] - self.numbers.mean(axis=0)
        by_number = self._toward(numbers[:, None] * self.model.numbers.weights, label)
        return [
            *(("shape", f"its {name}", float(weight)) for name, weight in zip(SHAPES, by_level, strict=True)),
            *(("shape", name, float(weight)) for name, weight in zip(_NUMBER_NAMES, by_number, strict=True)),
        ]

    def _neighbours(self, index: int, label: int) -> list[tuple[str, str, float]]:
        reach = self.model.network.reach
        start = max(0, index - reach)
        around = self.vectors[start : index + reach + 1]
        here = index - start
        neighbours = [here + step for step in _NEAR if 0 <= here + step < len(around)]
        pages = np.repeat(around[None], len(neighbours) + 1, axis=0)
        for copy, neighbour in enumerate(neighbours, 1):
            pages[copy, neighbour] = 0
        sizes = np.full(len(pages), len(around), dtype=np.int64)
        scores = self.model.calibrated(pages.reshape(-1, around.shape[1]), sizes)[here :: len(around), label]
        odds = np.log(np.maximum(scores, _LEAST_ODDS) / np.maximum(1 - scores, _LEAST_ODDS))
        return [
            ("neighbour", _neighbour_name(neighbour - here), float(odds[0] - odds[copy]))
            for copy, neighbour in enumerate(neighbours, 1)
        ]


def _unlike(names: list[str]) -> list[str]:
    """``names``, strongest first, without those whose words another one says already."""
    said: list[str] = []
    kept = []
    for name in names:
        words = name.partition("“")[2].strip("…”").casefold()
        if not words or not any(words in other or other in words for other in said):
            kept.append(name)
            said += [words] if words else []
    return kept


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


def _neighbour_name(step: int) -> str:
    side = "before" if step < 0 else "after"
    return f"the paragraph {side}" if abs(step) == 1 else f"the paragraph {abs(step)} {side}"
