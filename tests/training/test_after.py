from __future__ import annotations

import pytest

from detector.html import decode_html
from training.benchmarks.after import join, measure, table
from training.corpus import DATA, Document, read_html, read_own_pages

PAGE = Document(
    "a",
    "en",
    "a.example",
    "Home\n\nThe mill ground its last grain on Friday evening.\nThe miller hung up his apron.\n\n"
    "Sign up for our weekly letter\nEnter your e-mail address\n\nRead more: The bakery closes as well\nHome\n",
    "BEEPPRB",
)


def joined(*lines: str) -> str:
    return "".join(join(lines, PAGE))


def test_the_same_line_gives_its_label_whatever_marks_stand_around_it():
    assert joined("The miller hung up his apron.", "- Sign up for our weekly letter", "| HOME |") == "EPB"


def test_joined_lines_take_the_label_of_most_characters():
    assert joined("The miller hung up his apron. Sign up for our weekly letter Enter your e-mail address") == "P"


def test_a_part_of_a_line_takes_its_label():
    assert joined("ground its last grain", "The bakery closes as well") == "ER"


def test_a_line_in_other_words_takes_the_label_of_the_nearest_like_it():
    assert joined("The mill has ground its last grain on Friday") == "E"


def test_a_line_that_is_like_none_has_no_label():
    assert joined("Prices of flour have doubled since spring", "ho") == "??"


@pytest.fixture(scope="module")
def with_html():
    pages = [(page, read_html(DATA / "pages", page)) for page in read_own_pages()]
    return [(page, decode_html(html)) for page, html in pages if html][:2]


def test_a_page_as_its_gold_text_is_known_whole(detector, with_html):
    texts = iter([page.text for page, _ in with_html])
    result = measure(with_html, lambda html: next(texts), detector)
    assert (result["pages"], result["pages_without_text"], result["unknown_share"]) == (2, 0, 0)
    chars = sum(len(line.strip()) for page, _ in with_html for line in page.texts())
    assert result["characters"] == chars
    default, recall = result["presets"]["default"], result["presets"]["--recall"]
    assert default["junk_removed"] > 0.3
    assert default["editorial_lost"] < 0.3
    assert recall["junk_removed"] <= default["junk_removed"]
    assert recall["editorial_lost"] <= default["editorial_lost"]
    assert "2 pages (0 without text)" in table("gold", result)


def test_pages_without_text_are_counted(detector, with_html):
    result = measure(with_html, lambda html: "", detector)
    assert (result["pages"], result["pages_without_text"], result["characters"]) == (2, 2, 0)
    assert result["presets"]["default"]["junk_removed"] is None
    assert "-" in table("nothing", result)
