from __future__ import annotations

import numpy as np
import pytest

from detector import Label, segment
from detector.page import Paragraph

TEXT = "Title\n\n  First item\n  Second item\n\nLetter\nMore\n\nEnd"


def labelled(codes: str):
    page = segment(TEXT)
    order = [label.code for label in Label]
    scores = np.full((len(page), 4), 0.1, dtype=np.float32)
    for row, code in zip(scores, codes, strict=True):
        row[order.index(code)] = 0.7
    return page.with_scores(scores)


def test_keeping_everything_gives_the_text():
    page = labelled("EEEEEE")
    assert page.keep("editorial") == TEXT
    assert page.keep(*Label) == TEXT


def test_what_is_dropped_leaves_a_paragraph_break():
    assert labelled("EEEPPE").keep("editorial") == "Title\n\n  First item\n  Second item\n\nEnd"


def test_a_line_dropped_inside_a_group_leaves_a_line_break():
    assert labelled("EEPEEE").keep("editorial") == "Title\n\n  First item\n\nLetter\nMore\n\nEnd"


def test_keep_takes_names_labels_and_nothing():
    page = labelled("EPRBEE")
    assert page.keep() == page.keep("editorial") == page.keep(Label.EDITORIAL)
    assert page.keep("promo", "related-links") == "  First item\n  Second item"


def test_keep_refuses_what_is_no_label():
    with pytest.raises(ValueError, match="spam"):
        labelled("EEEEEE").keep("spam")


def test_an_unlabelled_page_says_what_to_do():
    with pytest.raises(ValueError, match=r"Detector\.label"):
        segment(TEXT).keep()
    assert segment(TEXT).paragraphs[0] == Paragraph(0, 5, "Title")


def test_paragraphs_tell_label_confidence_and_scores():
    paragraph = labelled("EPRBEE").paragraphs[1]
    assert (paragraph.start, paragraph.end, paragraph.text) == (9, 19, "First item")
    assert paragraph.label == "promo"
    assert paragraph.confidence == pytest.approx(0.7)
    assert paragraph.scores is not None
    assert paragraph.scores[Label.BOILERPLATE] == pytest.approx(0.1)
