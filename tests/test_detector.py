from __future__ import annotations

import asyncio
import itertools

import numpy as np
import pytest

from detector import Detector, Label, Preset
from training.corpus import read_own_pages

PAGES = [page.text for page in read_own_pages()]


def test_a_page_comes_out_labelled(detector):
    page = detector.label(PAGES[0])
    assert page.text == PAGES[0]
    assert len(page.paragraphs) == len(page)
    for paragraph in page.paragraphs:
        assert paragraph.label in Label
        assert paragraph.scores is not None
        assert paragraph.confidence == max(paragraph.scores.values())
        assert sum(paragraph.scores.values()) == pytest.approx(1, abs=1e-5)


def test_a_page_is_labelled_alike_alone_and_among_others(detector):
    texts = [*PAGES[:40], "", " \n", "x"]
    for text, page in zip(texts, detector.label_many(texts), strict=True):
        alone = detector.label(text)
        assert page.text == text
        assert page.labels == alone.labels
        if len(page):
            assert np.allclose(page.scores, alone.scores, atol=1e-4)


def test_many_pages_are_read_as_they_are_asked_for(detector):
    read = []

    def endless():
        for number in itertools.count():
            read.append(number)
            yield f"Page {number}\n\nThe council met on Tuesday."

    first = list(itertools.islice(detector.label_many(endless()), 5))
    assert [page.text.split("\n")[0] for page in first] == [f"Page {n}" for n in range(5)]
    assert len(read) < 500


def test_one_line_of_ten_megabytes(detector):
    page = detector.label("The council met on Tuesday. " * 360_000)
    assert len(page) == 1


@pytest.mark.parametrize("text", ["", "\n \n", "word", "\ud800", "\0", "🙂" * 10, "\u2028a\u2029b", "a\r\nb\rc"])
def test_odd_texts_are_labelled(detector, text):
    page = detector.label(text)
    assert len(page.labels) == len(page.paragraphs)


@pytest.mark.parametrize(("text", "said"), [(None, "not NoneType$"), (b"Page", "not bytes: decode"), (3, "not int$")])
def test_what_is_no_text_is_named(detector, text, said):
    with pytest.raises(TypeError, match=f"^a page's text is wanted as str, {said}"):
        detector.label(text)
    with pytest.raises(TypeError, match=f"^a page's text is wanted as str, {said}"):
        asyncio.run(detector.alabel(text))


def test_what_is_no_html_is_named(detector):
    for html in (123, None, ["<p>"]):
        said = f"^a page's HTML is wanted as str or bytes, not {type(html).__name__}$"
        for call in (detector.label_html, detector.clean_markdown):
            with pytest.raises(TypeError, match=said):
                call(html)
        with pytest.raises(TypeError, match=said):
            asyncio.run(detector.alabel_html(html))


def test_what_is_no_text_among_many_is_named_with_its_place(detector):
    for texts, said in (
        ([None], r"texts\[0\] is NoneType"),
        (["Page", detector.label("Page"), b"Page"], r"texts\[2\] is bytes"),
        ("Page", "not one str"),
        (b"Page", "not one bytes"),
    ):
        with pytest.raises(TypeError, match=said):
            list(detector.label_many(texts))


def test_presets_keep_more_and_less(detector):
    for text in PAGES[:20]:
        page = detector.label(text)
        plain = detector.keep_mask(page, [Label.EDITORIAL])
        generous = detector.keep_mask(page, [Label.EDITORIAL], preset=Preset.RECALL)
        strict = detector.keep_mask(page, [Label.EDITORIAL], preset=Preset.PRECISION)
        assert (strict <= plain).all()
        assert (plain <= generous).all()


def test_min_confidence_is_the_probability_of_the_labels_kept(detector):
    page = detector.label(PAGES[1])
    kept = detector.keep_mask(page, [Label.EDITORIAL, Label.PROMO], min_confidence=0.9)
    assert np.array_equal(kept, page.scores[:, :2].sum(axis=1) >= 0.9)


def test_an_explanation_is_of_the_label_that_was_given(detector):
    page = detector.label(PAGES[2])
    for index, paragraph in enumerate(page.paragraphs):
        explanation = detector.explain(page, index)
        assert explanation.label == paragraph.label
        assert explanation.confidence == pytest.approx(paragraph.confidence)
        assert 0 <= explanation.alone <= 1
        weights = [abs(reason.weight) for reason in explanation.reasons]
        assert weights == sorted(weights, reverse=True)
        assert explanation.sentence()


def test_words_that_speak_are_named(detector):
    page = detector.label("Subscribe to our newsletter")
    words = [reason.what for reason in detector.explain(page, 0, most=40).reasons if reason.kind == "words"]
    assert any("newsletter" in word or "subscribe" in word.lower() for word in words)


def test_explaining_beyond_the_page_is_refused(detector):
    with pytest.raises(IndexError, match="page of 1"):
        detector.explain(detector.label("one"), 1)


def test_the_bundled_model_is_loaded_once():
    assert Detector.load() is Detector.load()
