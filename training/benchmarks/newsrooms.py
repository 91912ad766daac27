"""Simulated newsrooms: many pages of one publication, to measure what adapting to it brings.

A publication is a whole-page dump of ``data/pages`` that models are measured on: its furniture stands on every page,
its teasers come and go, and the appeals of another held-out page of its language are its own. The articles are those
of other publications, whole passages among them; those to adapt on and those to test on are not the same.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from detector import Detector
from detector.model import Model
from detector.network import Floats
from training.adapt import Adapting, Corrected, adapt
from training.corpus import Document
from training.evaluate import detector_scores, evaluate
from training.fit import Sources
from training.suites import held_out

Lines = list[tuple[str, str]]
"""Labels and texts."""

TEASERS_KEPT, WIDGETS_KEPT = 0.6, 0.7
"""Shares of the pages that have each of a publication's teasers, its appeals."""
LEAST_ARTICLE, MOST_ARTICLE = 5, 25
"""Paragraphs of an article, before passages are added."""


@dataclass(frozen=True)
class Newsroom:
    """Labelled pages of one publication: those that an editor corrects, and those to measure on."""

    name: str
    lang: str
    corrected: list[Document]
    test: list[Document]


def newsrooms(own: Sequence[Document], passages: Sequence[Document], pages: int, seed: int) -> Iterator[Newsroom]:
    """A newsroom for each held-out dump whose language has another held-out page with appeals; twice ``pages`` each."""
    for dump in own:
        if dump.form == "whole-page" and held_out(dump):
            others = [page for page in own if page.lang == dump.lang and page.group != dump.group]
            appeals = [page for page in others if held_out(page) and _appeals(page)]
            if appeals:
                rng = random.Random(f"{seed} {dump.id}")
                widget = rng.choice(appeals)
                articles = [page for page in others if page is not widget and _body(page)]
                yield _newsroom(dump, widget, articles, [p for p in passages if p.lang == dump.lang], pages, rng)


def _newsroom(
    dump: Document,
    widget: Document,
    articles: list[Document],
    passages: list[Document],
    pages: int,
    rng: random.Random,
) -> Newsroom:
    rng.shuffle(articles)
    rng.shuffle(passages)
    parts = []
    for half in range(2):
        drawn = [
            _written(dump, widget, rng.choice(articles[half::2]), rng.choice(passages[half::2]), rng)
            for _ in range(pages)
        ]
        parts.append(
            [
                Document(f"{dump.id}-{half}-{i}", dump.lang, dump.group, _text(page), "".join(code for code, _ in page))
                for i, page in enumerate(drawn)
            ]
        )
    return Newsroom(dump.id, dump.lang, *parts)


def _text(page: Lines) -> str:
    return "\n".join(text for _, text in page)


def _lines(document: Document) -> Lines:
    return list(zip(document.labels, document.texts(), strict=True))


def _body(document: Document) -> Lines:
    body = [line for line in _lines(document) if line[0] == "E"]
    return body if len(body) >= LEAST_ARTICLE else []


def _appeals(document: Document) -> Lines:
    return [line for line in _lines(document) if line[0] == "P"] if document.form == "article-zone" else []


def _written(dump: Document, widget: Document, article: Document, passage: Document, rng: random.Random) -> Lines:
    """A page of the publication ``dump``: another article in the place of its own."""
    body = _body(article)
    start = rng.randint(0, len(body) - LEAST_ARTICLE)
    body = body[start : start + rng.randint(LEAST_ARTICLE, MOST_ARTICLE)]
    at = rng.randint(1, len(body))
    body[at:at] = _lines(passage)
    if rng.random() < WIDGETS_KEPT:
        at = rng.randint(1, len(body))
        body[at:at] = _appeals(widget)
    return list(_furnished(dump, body, rng))


def _furnished(dump: Document, body: Lines, rng: random.Random) -> Iterator[tuple[str, str]]:
    """The dump's lines with ``body`` dealt to the places where its editorial lines stood."""
    runs = [(is_body, list(run)) for is_body, run in groupby(_lines(dump), key=lambda line: line[0] == "E")]
    places = sum(is_body for is_body, _ in runs)
    cuts = [0, *sorted(rng.randint(0, len(body)) for _ in range(places - 1)), len(body)]
    place = 0
    for is_body, run in runs:
        if is_body:
            yield from body[cuts[place] : cuts[place + 1]]
            place += 1
        else:
            yield from (line for line in run if line[0] != "R" or rng.random() < TEASERS_KEPT)


def measure(
    model: Model, rooms: Iterable[Newsroom], rehearsal: Sources, settings: Adapting, dev: Sequence[Document]
) -> dict[str, dict[str, Any]]:
    """All figures before and after adapting to each of ``rooms``, over their test pages, and over ``dev`` each time.

    What is lost on ``dev`` is what adapting forgets; nothing of it is measured if it is empty.
    """
    before, after, forgetting = _Pool(), _Pool(), _Pool()
    for room in rooms:
        adapted = adapt(model, [Corrected.of(page) for page in room.corrected], rehearsal, settings)
        before.add(model, room.test)
        after.add(adapted, room.test)
        forgetting.add(adapted, dev)
    pools = {"newsrooms, before": before, "newsrooms, after": after}
    if dev:
        known = _Pool()
        known.add(model, dev)
        pools |= {"dev, before": known, "dev, after each": forgetting}
    return {name: pool.figures() for name, pool in pools.items()}


def measure_hosts(
    model: Model, rehearsal: Sources, settings: Adapting, dev: Sequence[Document]
) -> dict[str, dict[str, Any]]:
    """Real hosts of which ``dev`` has two pages: one of each is adapted on, all at once, the others are measured."""
    by_host = defaultdict(list)
    for page in dev:
        by_host[page.group].append(page)
    pairs = [pages[:2] for pages in by_host.values() if len(pages) > 1]
    before, after = _Pool(), _Pool()
    for turn in (0, 1) if pairs else ():
        corrected = [Corrected.of(pair[turn]) for pair in pairs]
        test = [pair[1 - turn] for pair in pairs]
        before.add(model, test)
        after.add(adapt(model, corrected, rehearsal, settings), test)
    return {"hosts with two pages, before": before.figures(), "hosts with two pages, after": after.figures()}


class _Pool:
    """Pages with their scores by one model or another."""

    def __init__(self) -> None:
        self.pages: list[Document] = []
        self.scores: list[Floats] = []

    def add(self, model: Model, pages: Sequence[Document]) -> None:
        self.pages += pages
        self.scores += detector_scores(Detector(model))(pages)

    def figures(self) -> dict[str, Any]:
        return evaluate(self.pages, lambda pages: self.scores)
