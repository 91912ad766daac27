from __future__ import annotations

import io
from xml.etree import ElementTree

import numpy as np
from rich.console import Console

from detector import Explanation, Label, Reason, segment
from detector.view import page_svg, print_page

HOSTILE = "\x1b]0;owned\x07\x1b[2J Good\x9b news\x7f\uffff \ud83d"


def page():
    found = segment(f"{HOSTILE}\n\nSecond\tline\n").with_record(HOSTILE, None, {})
    return found.with_scores(np.full((len(found), 4), 0.25, dtype=np.float32))


def test_control_characters_never_reach_the_terminal():
    explanation = Explanation(Label.PROMO, 0.5, 0.5, (Reason("words", HOSTILE, 1.0),))
    written = io.StringIO()
    print_page(Console(file=written, width=200), page(), [explanation] * 2)
    text = written.getvalue()
    assert not [c for c in text if (c < " " and c != "\n") or "\x7f" <= c <= "\x9f"]
    assert text.count("␛]0;owned␇␛[2J Good\ufffd news␡") == 4


def test_line_ends_inside_a_paragraph_stay_line_ends():
    lines = "\r\n".join(["word " * 14 + "word"] * 8)
    wrapped = segment(lines)
    assert len(wrapped) == 1
    written = io.StringIO()
    print_page(Console(file=written, width=200), wrapped.with_scores(np.full((1, 4), 0.25, dtype=np.float32)))
    assert "␍" not in written.getvalue()
    assert sum("word word" in line for line in written.getvalue().splitlines()) == 8


def test_a_picture_is_well_formed_whatever_the_page_holds():
    picture = page_svg(page()).encode("utf-8", "backslashreplace")
    ElementTree.fromstring(picture)
