from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest

from training.compose import Bank, Composer, Mixture, Piece

E, P, R, B = range(4)


def piece(codes: str, first: int = 0, *, lang: str = "en", place: str = "") -> Piece:
    targets = np.array(["EPRB".index(code) for code in codes], dtype=np.int64)
    return Piece(np.arange(first, first + len(codes)), targets, np.zeros(len(codes), dtype=np.int32), lang, place)


PAGES = [piece("BBBEEEEEERRB"), piece("BEEEEB", 100), piece("BRB", 200), piece("EEEE", 300, lang="xx")]
WIDGETS = [piece("PPP", 1000, place="mid"), piece("PP", 1010, place="end"), piece("BEB", 1020, place="top")]
PASSAGES = [piece("EE", 2000), piece("EEE", 2010)]


def composer(seed: int = 1, bank: Bank | None = None, **changes) -> Composer:
    mixture = Mixture(written=20, **changes)
    return Composer(PAGES, [None] * len(PAGES), bank or Bank.of(WIDGETS, PASSAGES), mixture, random.Random(seed))


def owner(line: int) -> int:
    return line // 10 if line >= 1000 else line // 100


def test_the_same_seed_draws_the_same_pages():
    first, second, other = composer(3).epoch(), composer(3).epoch(), composer(4).epoch()
    assert [page.lines.tolist() for page, _ in first] == [page.lines.tolist() for page, _ in second]
    assert [page.lines.tolist() for page, _ in first] != [page.lines.tolist() for page, _ in other]


def test_epochs_differ():
    drawer = composer()
    assert [page.lines.tolist() for page, _ in drawer.epoch()] != [page.lines.tolist() for page, _ in drawer.epoch()]


def test_every_line_keeps_its_label():
    known = {
        line: target
        for part in [*PAGES, *WIDGETS, *PASSAGES]
        for line, target in zip(part.lines.tolist(), part.targets.tolist(), strict=True)
    }
    for page, weight in composer().epoch():
        assert weight > 0
        assert len(page.lines) == len(page.targets) == len(page.blanks) > 0
        assert [known[line] for line in page.lines.tolist()] == page.targets.tolist()


def test_widgets_stay_whole():
    widgets = {owner(widget.lines[0]): widget.lines.tolist() for widget in WIDGETS}
    found = set()
    for page, _ in composer().epoch():
        owners = [owner(line) for line in page.lines.tolist()]
        for number, lines in widgets.items():
            if number in owners:
                start = owners.index(number)
                inside = page.lines[start : start + len(lines)].tolist()
                assert inside == lines
                found.add(number)
    assert found == widgets.keys()


def test_a_widget_in_the_middle_stands_between_editorial_lines():
    seen = 0
    for page, _ in composer(bank=Bank.of([WIDGETS[0]], []), tail_share=0.0).epoch():
        at = np.flatnonzero(page.lines == 1000)
        if len(at):
            seen += 1
            assert page.targets[at[0] - 1] == E
    assert seen


def test_pages_of_a_language_without_a_bank_get_nothing():
    for page, _ in composer().epoch():
        if page.lang == "xx":
            assert {owner(line) for line in page.lines.tolist()} == {3}


def test_without_shares_whole_pages_stay_as_they_are():
    mixture = Mixture(
        splice_share=0.0,
        furniture_share=0.0,
        thinned_share=0.0,
        lost_blanks=0.0,
        written=0,
        graft_share=0.0,
        tail_share=0.0,
    )
    pages = [
        page
        for page, _ in Composer(
            PAGES, [None] * len(PAGES), Bank.of(WIDGETS, PASSAGES), mixture, random.Random(1)
        ).epoch()
    ]
    lines = sorted(page.lines.tolist() for page in pages)
    zones = [list(range(3, 9)), list(range(101, 105)), list(range(300, 304))]
    assert lines == sorted([*(page.lines.tolist() for page in PAGES), *zones])


def test_a_long_page_enters_in_part():
    long = Composer([piece("E" * 1000)], [None], Bank.of([], []), Mixture(longest=50), random.Random(1))
    for page, _ in long.epoch():
        assert len(page) <= 50


def test_pages_are_read_as_html_where_it_is_known():
    shown = [dataclasses.replace(piece("BBEEEERB", 5000), markup=True), None, None, None]
    drawer = Composer(PAGES, shown, Bank.of(WIDGETS, PASSAGES), Mixture(markup_share=1.0), random.Random(1))
    drawn = [page for page, _ in drawer.epoch()]
    assert any(page.markup for page in drawn)
    for page in drawn:
        assert page.markup == (page.lines >= 5000).any()
        assert not page.markup or (page.lines >= 5000).all()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_editorial_lines_are_never_dropped_as_furniture(share):
    drawer = composer(furniture_share=share, splice_share=0.0, thinned_share=0.0)
    whole = [page for page, _ in drawer.epoch() if owner(page.lines[0]) < 10 and 0 in page.lines]
    for page in whole:
        assert set(range(3, 9)) <= set(page.lines.tolist())
