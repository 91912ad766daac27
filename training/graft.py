"""Training pages made of real articles with written widgets and passages grafted in.

Real corpora hold few donation letters inside running text, and almost none in most languages; a model that
never saw them calls them editorial. Widgets go where publishers put them, passages (editorial text in the words
of appeals) between body paragraphs. A fold's pages get only that fold's widgets and passages, so that whatever
is held out stays unseen.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from training.corpus import FOLDS, Document, article_zone

Line = tuple[str, str, int]  # text with its indent, label, blank lines before

MIN_BODY = 5  # editorial lines that make an article worth grafting into
_WIDGETS_A_PAGE = (1, 1, 2, 2, 3)
_PASSAGE_SHARE = 0.4
_TAIL_SHARE = 0.4  # of zones that keep some of what follows the article on its page
_MAX_TAIL = 12


@dataclass(frozen=True)
class Bank:
    """Widgets and passages by language and fold."""

    widgets: dict[tuple[str, int], list[Document]]
    passages: dict[tuple[str, int], list[Document]]

    @classmethod
    def of(cls, widgets: Sequence[Document], passages: Sequence[Document]) -> Bank:
        return cls(_by_language_and_fold(widgets), _by_language_and_fold(passages))

    def languages(self) -> list[str]:
        return sorted({lang for lang, _ in self.widgets})


def graft_pages(pages: Sequence[Document], bank: Bank, seed: int) -> list[Document]:
    """One grafted article zone for each page that has an article in a language of the bank."""
    grafted = []
    for page in pages:
        rng = random.Random(f"{seed} {page.id}")
        zone = _zone_with_tail(page, rng)
        widgets = bank.widgets.get((page.lang, page.fold), [])
        if zone is not None and zone.labels.count("E") >= MIN_BODY and widgets:
            grafted.append(_graft(zone, widgets, bank.passages.get((page.lang, page.fold), []), rng))
    return grafted


def written_pages(bank: Bank, seed: int, copies: int) -> list[Document]:
    """Articles put together from passages, with widgets grafted in: for languages without real articles."""
    pages = []
    for lang in bank.languages():
        for fold in range(FOLDS):
            widgets, passages = bank.widgets.get((lang, fold), []), bank.passages.get((lang, fold), [])
            for copy in range(copies if widgets and passages else 0):
                rng = random.Random(f"{seed} {lang} {fold} {copy}")
                body = rng.sample(passages, min(len(passages), rng.choice((1, 2, 3))))
                text = "\n\n".join(passage.text for passage in body)
                labels = "".join(passage.labels for passage in body)
                group = body[0].group
                base = Document(f"{lang}-written-{fold}-{copy}", lang, group, text, labels, form="article-zone")
                pages.append(_graft(base, widgets, [], rng))
    return pages


def _graft(page: Document, widgets: list[Document], passages: list[Document], rng: random.Random) -> Document:
    lines = _lines(page)
    if passages and rng.random() < _PASSAGE_SHARE:
        lines = _insert(lines, rng.choice(passages), _place("mid", lines, rng))
    for widget in rng.sample(widgets, min(len(widgets), rng.choice(_WIDGETS_A_PAGE))):
        lines = _insert(lines, widget, _place(widget.place, lines, rng))
    spacing = rng.choice(("as it was", "none", "all"))
    text = _render(lines, spacing)
    labels = "".join(label for _, label, _ in lines)
    return replace(page, id=page.id + "+", text=text, labels=labels, form="article-zone")


def _zone_with_tail(page: Document, rng: random.Random) -> Document | None:
    """The article zone, at times with a few of the lines that follow it, as extractors leave them."""
    zone = article_zone(page)
    if zone is None or rng.random() > _TAIL_SHARE:
        return zone
    first, last = page.labels.find("E"), page.labels.rfind("E")
    tail = min(len(page.labels) - 1, last + rng.randint(1, _MAX_TAIL))
    spans = page.lines()
    return replace(
        page, text=page.text[spans[first][0] : spans[tail][1]], labels=page.labels[first : tail + 1], form="article-zone"
    )


def _place(place: str, lines: list[Line], rng: random.Random) -> int:
    """Index of the line before which a widget of this place goes: never inside another widget."""
    editorial = [i for i, (_, label, _) in enumerate(lines) if label == "E"]
    seams = [i for i in range(2, len(lines)) if lines[i - 1][1] == lines[i][1] == "E"]
    if place == "mid" and seams:
        return rng.choice(seams)
    if place == "top":
        return 0
    if place == "head":
        return min(editorial[0] + 1, len(lines))
    return editorial[-1] + 1 if place == "end" or rng.random() < 0.3 else len(lines)


def _insert(lines: list[Line], piece: Document, at: int) -> list[Line]:
    added = _lines(piece)
    text, label, _ = added[0]
    added[0] = (text, label, 1)
    rest = lines[at:]
    if rest:
        rest[0] = (rest[0][0], rest[0][1], max(1, rest[0][2]))
    return [*lines[:at], *added, *rest]


def _lines(document: Document) -> list[Line]:
    lines: list[Line] = []
    labels = iter(document.labels)
    blanks = 0
    for text in document.text.split("\n"):
        if text.strip():
            lines.append((text, next(labels), blanks))
            blanks = 0
        else:
            blanks += 1
    return lines


def _render(lines: list[Line], spacing: str) -> str:
    blanks = {"none": lambda b: 0, "all": lambda b: 1, "as it was": lambda b: b}[spacing]
    return "".join("\n" * blanks(before) * (i > 0) + text + "\n" for i, (text, _, before) in enumerate(lines))


def _by_language_and_fold(documents: Sequence[Document]) -> dict[tuple[str, int], list[Document]]:
    table = defaultdict(list)
    for document in documents:
        table[document.lang, document.fold].append(document)
    return dict(table)
