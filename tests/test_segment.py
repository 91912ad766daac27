from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector import segment

BREAKS = ["\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"]


def texts(page):
    return [p.text for p in page.paragraphs]


@given(st.text(alphabet=st.sampled_from("ab é語\n\r\t \u2028\u2029\u3000\x85\x1c\U0001f600"), max_size=300))
def test_spans_cover_everything_but_white_space(text):
    page = segment(text)
    position = 0
    for start, end in zip(page.starts.tolist(), page.ends.tolist(), strict=True):
        assert position <= start < end <= len(text)
        assert not text[position:start].strip()
        assert text[start:end] == text[start:end].strip()
        position = end
    assert not text[position:].strip()
    assert page.text == text


@given(
    st.lists(st.text(alphabet="abc é語", min_size=1, max_size=30).filter(str.strip), max_size=12),
    st.sampled_from(BREAKS),
)
def test_a_line_is_a_paragraph_whatever_ends_it(lines, ending):
    page = segment(ending.join(lines))
    assert texts(page) == [line.strip() for line in lines]


@pytest.mark.parametrize(("text", "paragraphs"), [("", 0), (" \n\t\n", 0), ("word", 1), ("\ufeffword\n", 1)])
def test_next_to_nothing(text, paragraphs):
    assert len(segment(text)) == paragraphs


def test_one_line_of_ten_million_characters():
    text = "word " * 2_000_000
    page = segment(text)
    assert (page.starts.tolist(), page.ends.tolist()) == ([0], [len(text) - 1])


def test_lone_surrogates_are_kept():
    text = "a \ud800 b\nc"
    assert texts(segment(text)) == ["a \ud800 b", "c"]


def test_indents_and_blank_lines_are_measured():
    page = segment("Menu\n  Home\n\n\n    Deep\nEnd")
    assert page.indents.tolist() == [0, 2, 4, 0]
    assert page.blanks.tolist() == [0, 0, 2, 0]


WRAPPED = """\
The ferry had been out of service since the third week of October, and
nobody on the island could say with any confidence when the new shaft
would come. The yard in Leith had promised it for the first of the
month, then for the tenth, and had lately stopped answering at all.

"We have bread," said the shopkeeper, who had been asked the question
eleven times that morning and had begun to enjoy it. "We have bread and
batteries. What we haven't got is anybody coming to buy them."
"""


def test_hard_wrapped_lines_are_joined():
    page = segment(WRAPPED)
    assert [len(p.text.split("\n")) for p in page.paragraphs] == [4, 3]


def test_short_lines_of_a_menu_are_not_joined():
    menu = "Home\nNews\nSport\nWeather and travel\nOpinion\nSubscribe\nContact us\nAbout this site\n"
    assert len(segment(menu)) == 8


def test_a_dump_of_long_lines_is_not_joined():
    text = "\n".join("word " * (20 + i % 7) for i in range(40))
    assert len(segment(text)) == 40


@pytest.mark.parametrize("sign", ["村", "の", "ก"])
def test_lines_of_scripts_without_spaces_are_not_taken_for_wrapped(sign):
    lines = [sign * (53 + i % 4) for i in range(12)]
    assert texts(segment("\n".join(lines))) == lines


def test_wrapped_lines_of_a_script_without_spaces_are_joined():
    text = "\n".join(["村" * 60] * 9 + ["村" * 20])
    assert len(segment(text)) == 1


def test_sentences_of_one_length_are_not_joined():
    lines = [f"The council met on Tuesday number {n} and spoke of the ferry." for n in range(10, 40)]
    assert texts(segment("\n".join(lines))) == lines
