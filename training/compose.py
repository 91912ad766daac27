"""Training pages composed anew each epoch from real pages, written widgets and written passages.

Real corpora hold few donation letters inside running text, and almost none in most languages; a model that never
saw them calls them editorial. So widgets are grafted where publishers put them, and passages (editorial text in
the words of appeals) between body paragraphs: the first alone would teach that talk of money is an appeal.
Furniture is dropped in runs, as extractors do, and blank lines are lost, as dumps do.

Everything here is a list of numbers of lines that were read and hashed once; composing costs next to nothing.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from detector.labels import LABELS, Label
from detector.network import Ints

_EDITORIAL = LABELS.index(Label.EDITORIAL)


@dataclass(frozen=True)
class Piece:
    """Paragraphs in a row: numbers of their ``lines``, their ``targets`` (-1 where there is no label), and the
    ``blanks`` (lines) before each.

    ``place`` is where publishers put a widget: top, head, mid, end or foot.
    """

    lines: Ints
    targets: Ints
    blanks: NDArray[np.int32]
    lang: str = ""
    place: str = ""
    markup: bool = False
    """Whether what the HTML says is read with it; written texts have none."""

    def part(self, keep: slice | NDArray[np.bool_]) -> Piece:
        """Some of its paragraphs."""
        return replace(self, lines=self.lines[keep], targets=self.targets[keep], blanks=self.blanks[keep])

    def __len__(self) -> int:
        return len(self.lines)


@dataclass(frozen=True)
class Mixture:
    """How training pages are composed: shares (0 to 1) and counts, the best of the values tried."""

    markup_share: float = 0.5
    """Whole pages, of those whose HTML is known, that are read as HTML; the others as plain text."""
    longest: int = 600
    """Paragraphs of a page that enter at once; of a longer page a part is drawn."""
    splice_share: float = 0.5
    """Whole pages that go on, from a seam between two labels, as another page of their language does."""
    furniture_share: float = 0.3
    """Whole pages that lose some runs of furniture."""
    thinned_share: float = 0.5
    most_thinned: float = 0.3
    """Pages that lose single paragraphs anywhere, and the largest share of them that is lost."""
    lost_blanks: float = 0.15
    """Whole pages that lose their blank lines."""
    least_body: int = 3
    """Editorial paragraphs that make an article worth grafting into."""
    graft_share: float = 0.8
    """Article zones that get widgets; the others stay as they are."""
    passage_share: float = 0.7
    """Grafted zones that get passages as well."""
    tail_share: float = 0.4
    longest_tail: int = 12
    """Zones that keep some of what follows the article, and how many paragraphs of it at most."""
    widgets: tuple[int, ...] = (1, 1, 2, 2, 3)
    passages: tuple[int, ...] = (1, 1, 2, 3)
    """How many of each a page gets: one of these numbers."""
    written: int = 2000
    """Articles made of passages alone, an epoch, over all languages of the bank; half get widgets."""
    written_passages: tuple[int, ...] = (1, 2, 3, 4)
    zone_weight: float = 1.5


@dataclass(frozen=True)
class Bank:
    """Widgets and passages by language."""

    widgets: dict[str, list[Piece]]
    passages: dict[str, list[Piece]]

    @classmethod
    def of(cls, widgets: Sequence[Piece], passages: Sequence[Piece]) -> Bank:
        """Sort the pieces of a bank by language."""
        return cls(_by_language(widgets), _by_language(passages))


def _by_language(pieces: Sequence[Piece]) -> dict[str, list[Piece]]:
    table: dict[str, list[Piece]] = defaultdict(list)
    for piece in pieces:
        table[piece.lang].append(piece)
    return dict(table)


@dataclass
class Composer:
    """Draws an epoch's pages. The same seed draws the same pages."""

    pages: Sequence[Piece]
    rendered: Sequence[Piece | None]
    """For each of ``pages`` the same page as its HTML shows it, if that is known."""
    bank: Bank
    mixture: Mixture
    rng: random.Random
    zones: list[Piece] = field(init=False)
    _by_language: dict[str, list[Piece]] = field(init=False)
    _rendered_by_language: dict[str, list[Piece]] = field(init=False)

    def __post_init__(self) -> None:
        enough = self.mixture.least_body
        self.zones = [page for page in self.pages if (page.targets == _EDITORIAL).sum() >= enough]
        self._by_language = _by_language(self.pages)
        self._rendered_by_language = _by_language([page for page in self.rendered if page is not None])

    def epoch(self) -> list[tuple[Piece, float]]:
        """Pages and their weights, shuffled: each page once whole, each article zone that
        is not too long once, and written ones.
        """
        drawn = [(self._whole(self._read(*either)), 1.0) for either in zip(self.pages, self.rendered, strict=True)]
        weight = self.mixture.zone_weight
        drawn += [(zone, weight) for zone in map(self._zone, self.zones) if len(zone) < self.mixture.longest]
        languages = sorted(self.bank.passages)
        for _ in range(self.mixture.written if languages else 0):
            drawn.append((self._written(self.rng.choice(languages)), weight))
        self.rng.shuffle(drawn)
        return drawn

    def _read(self, page: Piece, rendered: Piece | None) -> Piece:
        return rendered if rendered is not None and self.rng.random() < self.mixture.markup_share else page

    def _whole(self, page: Piece) -> Piece:
        rng, longest = self.rng, self.mixture.longest
        if len(page) > longest:
            start = rng.randint(0, len(page) - longest) if rng.random() < 0.5 else 0
            page = page.part(slice(start, start + longest))
        if rng.random() < self.mixture.splice_share:
            page = self._spliced(page)
        if rng.random() < self.mixture.furniture_share:
            page = self._without_some_furniture(page)
        page = self._thinned(page)
        if rng.random() < self.mixture.lost_blanks:
            page = _spaced(page, 0)
        return page

    def _spliced(self, page: Piece) -> Piece:
        """The beginning of one page and the end of another, cut where the label changes."""
        other = self.rng.choice((self._rendered_by_language if page.markup else self._by_language)[page.lang])
        first, second = (page, other) if self.rng.random() < 0.5 else (other, page)
        head, tail = first.part(slice(None, self._cut(first))), second.part(slice(self._cut(second), None))
        longest = self.mixture.longest
        spliced = joined(head.part(slice(-longest, None)), tail.part(slice(longest)))
        return spliced if len(spliced) else page

    def _cut(self, page: Piece) -> int:
        seams = np.flatnonzero(np.diff(page.targets)) + 1
        return int(self.rng.choice(seams)) if len(seams) else 0

    def _thinned(self, page: Piece) -> Piece:
        if self.rng.random() >= self.mixture.thinned_share:
            return page
        share = self.rng.random() * self.mixture.most_thinned
        keep = np.array([self.rng.random() >= share for _ in range(len(page))], dtype=bool)
        return page.part(keep) if (page.targets[keep] == _EDITORIAL).any() else page

    def _without_some_furniture(self, page: Piece) -> Piece:
        keep = np.ones(len(page), dtype=bool)
        other = page.targets != _EDITORIAL
        seams = np.flatnonzero(np.diff(other)) + 1
        for run in np.split(np.arange(len(page)), seams):
            if len(run) > 1 and other[run[0]] and self.rng.random() < 0.4:
                count = self.rng.randint(1, len(run))
                start = self.rng.randint(0, len(run) - count)
                keep[run[start : start + count]] = False
        return page.part(keep) if keep.any() else page

    def _zone(self, page: Piece) -> Piece:
        editorial = np.flatnonzero(page.targets == _EDITORIAL)
        end = int(editorial[-1]) + 1
        if self.rng.random() < self.mixture.tail_share:
            end = min(len(page), end + self.rng.randint(1, self.mixture.longest_tail))
        zone = self._thinned(page.part(slice(int(editorial[0]), end)))
        return self._grafted(zone) if self.rng.random() < self.mixture.graft_share else zone

    def _grafted(self, page: Piece) -> Piece:
        passages, widgets = self.bank.passages.get(page.lang, []), self.bank.widgets.get(page.lang, [])
        if passages and self.rng.random() < self.mixture.passage_share:
            for passage in self._sample(passages, self.mixture.passages):
                page = _insert(page, passage, self._seam(page))
        for widget in self._sample(widgets, self.mixture.widgets):
            page = _insert(page, widget, self._spot(page, widget.place))
        return self._respaced(page)

    def _written(self, lang: str) -> Piece:
        body = self._sample(self.bank.passages[lang], self.mixture.written_passages)
        page = body[0]
        for passage in body[1:]:
            page = _insert(page, passage, len(page))
        if self.rng.random() < 0.5:
            for widget in self._sample(self.bank.widgets.get(lang, []), self.mixture.widgets):
                page = _insert(page, widget, self._spot(page, widget.place))
        return self._respaced(page)

    def _sample(self, pieces: list[Piece], counts: tuple[int, ...]) -> list[Piece]:
        return self.rng.sample(pieces, min(len(pieces), self.rng.choice(counts)))

    def _respaced(self, page: Piece) -> Piece:
        choice: Callable[[Piece], Piece] = self.rng.choice(
            (lambda p: p, lambda p: _spaced(p, 0), lambda p: _spaced(p, 1))
        )
        return choice(page)

    def _seam(self, page: Piece) -> int:
        """A place between two editorial paragraphs, or the end."""
        editorial = page.targets == _EDITORIAL
        seams = np.flatnonzero(editorial[1:-1] & editorial[2:]) + 2
        return int(self.rng.choice(seams)) if len(seams) else len(page)

    def _spot(self, page: Piece, place: str) -> int:
        """The paragraph before which a widget of this place goes: never inside another widget."""
        editorial = np.flatnonzero(page.targets == _EDITORIAL)
        if place == "mid":
            return self._seam(page)
        if place == "top":
            return 0
        if place == "head":
            return int(editorial[0]) + 1
        return int(editorial[-1]) + 1 if place == "end" or self.rng.random() < 0.3 else len(page)


def _spaced(page: Piece, blanks: int) -> Piece:
    return replace(page, blanks=np.full(len(page), blanks, dtype=np.int32))


def _insert(page: Piece, piece: Piece, at: int) -> Piece:
    """``piece`` before paragraph ``at`` of ``page``, set off by blank lines."""
    inner, rest = piece.blanks.copy(), page.blanks[at:].copy()
    inner[:1] = np.maximum(inner[:1], 1)
    rest[:1] = np.maximum(rest[:1], 1)
    middle = replace(page, lines=piece.lines, targets=piece.targets, blanks=inner)
    tail = replace(page, lines=page.lines[at:], targets=page.targets[at:], blanks=rest)
    return joined(joined(page.part(slice(at)), middle), tail)


def joined(first: Piece, second: Piece) -> Piece:
    """One piece after the other; what is known of the first holds for both."""
    return replace(
        first,
        lines=np.concatenate([first.lines, second.lines]),
        targets=np.concatenate([first.targets, second.targets]),
        blanks=np.concatenate([first.blanks, second.blanks]),
    )
