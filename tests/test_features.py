from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from detector import segment
from detector.features import (
    FAMILIES,
    MAX_CHARS,
    RUN_CHARS,
    SHAPE_OFFSETS,
    SHAPES,
    Features,
    _elsewhere,
    _tables_of_powers,
)

WORD = FAMILIES.index("word")


def read(*texts: str) -> Features:
    return Features.of([segment(text) for text in texts])


def words_of(features: Features, paragraph: int) -> list[int]:
    return features.ngrams.take(np.array([paragraph])).buckets[:, WORD].tolist()


def test_a_word_has_one_bucket_wherever_it_stands():
    features = read("Donate now\nPlease donate", "x\n\nto DONATE")
    assert words_of(features, 0)[0] == words_of(features, 1)[1] == words_of(features, 3)[1]


def test_other_words_have_other_buckets():
    features = read("donate monthly annual newsletter subscribe members letter press")
    assert len(set(words_of(features, 0))) == 8


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("don't stop", 4), ("支援する", 4), ("후원하기 지금", 2), ("สนับสนุน", 8), ("€10/month", 4), ("１２３ ABC", 2)],
)
def test_what_makes_a_token(text, tokens):
    assert len(words_of(read(text), 0)) == tokens


def test_numbers_are_alike_and_full_width_letters_are_folded():
    features = read("12\n2024\nABC\nａｂｃ")
    first, second, third, fourth = (words_of(features, i) for i in range(4))
    assert third == fourth
    assert len(first) == len(second) == 1


def test_a_page_is_read_alike_alone_and_in_a_batch():
    pages = ["Read more\n\nThe town council met.", "", "Jetzt spenden\n10 €\n20 €", "語" * 50]
    together = read(*pages)
    alone = [read(page) for page in pages if page]
    assert np.array_equal(together.ngrams.buckets, np.vstack([part.ngrams.buckets for part in alone]))
    assert np.array_equal(together.words.buckets, np.concatenate([part.words.buckets for part in alone]))
    assert np.array_equal(together.levels, np.vstack([part.levels for part in alone]))
    assert np.allclose(together.numbers, np.vstack([part.numbers for part in alone]))
    assert np.array_equal(placed(together), np.vstack([placed(part) for part in alone]))


def placed(features: Features) -> np.ndarray:
    return features.page_levels()


def test_levels_stay_within_their_tables():
    features = read("x" * 100_000, "A\n" * 50, "…", "1\n\n\n\n2", "\t\t\t\t\t\t\t\t\t\t\t\t\tdeep", "語")
    levels = np.hstack([features.levels, placed(features)])
    assert (levels >= 0).all()
    assert (levels < np.array(list(SHAPES.values()))).all()
    assert SHAPE_OFFSETS[-1] == sum(SHAPES.values())


def test_a_page_longer_than_a_run_is_read_in_runs():
    line = "The council met on Tuesday and the harbour master of Skellmouth spoke. " * 20
    features = read("\n".join([line] * (2 * RUN_CHARS // len(line))))
    assert len(features.lengths) == 2 * RUN_CHARS // len(line)
    assert len({tuple(words_of(features, i)) for i in (0, 500, len(features.lengths) - 1)}) == 1
    assert set(features.repeats.tolist()) == {len(features.lengths)}


ODD = [
    "a1 B2!",
    "12 Äpfel: 3,50 €",
    "ＡＢＣ １２",
    "語語 ABC。",
    "²½ Ⅷ x",
    "\ud800 😀 𝐀bc",
    "Ab-CD'ef",
    "…",
    "ที่ 5",
    "İı ǅ",
]


@pytest.mark.parametrize("text", ODD)
def test_shares_are_those_of_counting_signs_one_by_one(text):
    def share(is_one):
        return sum(map(is_one, text)) / len(text)

    def is_capital(char):
        return ord(char) < 0xFFFF and char.isalpha() and len(char.lower()) == 1 and char.lower() != char

    numbers = dict(zip(("digits", "signs", "capitals"), read(text).numbers[0, 3:6].tolist(), strict=True))
    assert numbers["digits"] == pytest.approx(share(lambda char: unicodedata.category(char)[0] == "N"))
    assert numbers["capitals"] == pytest.approx(share(is_capital))
    letters = share(lambda char: char.isalnum() or char.isspace() or unicodedata.category(char)[0] == "M")
    assert numbers["signs"] == pytest.approx(1 - letters, abs=share(lambda char: ord(char) > 0xFFFF) + 1e-6)


def test_powers_are_powers():
    powers, inverses = _tables_of_powers()
    for exponent in (0, 1, 2, 3, 64, 65, 1000, RUN_CHARS - 1, RUN_CHARS):
        assert int(powers[exponent]) == pow(int(powers[1]), exponent, 2**64)
        assert int(powers[exponent]) * int(inverses[exponent]) % 2**64 == 1


def test_words_are_counted_elsewhere_on_their_page_and_in_its_running_text():
    pages = ["harbour one\n" + "harbour tide " * 12 + "\nTide harbour", "", "tide", "one one\n語"]
    words = [[word.lower() for word in line.split()] for page in pages for line in page.splitlines()]
    features = read(*pages)
    line = np.repeat(np.arange(len(words)), np.diff(features.words.first))
    body = (features.lengths > 120)[line]
    elsewhere, in_body = _elsewhere(features.words, features.page[line], body)
    place = [
        (int(features.page[i]), word, bool(features.lengths[i] > 120)) for i, ws in enumerate(words) for word in ws
    ]
    assert elsewhere.tolist() == [sum(a[:2] == b[:2] for b in place) - 1 for a in place]
    assert in_body.tolist() == [sum(a[:2] == b[:2] and b[2] for b in place) - a[2] for a in place]


def test_blank_lines_and_repeats_are_of_the_page():
    features = read("Menu\nHome\n\nHome\nBody", "Home")
    assert placed(features).tolist() == [[0, 0, 0], [0, 1, 1], [1, 0, 1], [0, 1, 0], [0, 1, 0]]


def test_a_long_paragraph_is_read_up_to_a_limit():
    text = "word " * MAX_CHARS
    assert len(words_of(read(text), 0)) == MAX_CHARS // 5


def related(features: Features) -> np.ndarray:
    rarity = np.ones(len(features.words.buckets), dtype=np.float32)
    return features.page_numbers(rarity)


def test_cohesion_counts_rare_words_that_the_running_text_shares():
    body = (
        "The harbour master of Skellmouth closed the harbour after the storm broke the wall, and Skellmouth waited for"
        " the spring tide. "
    )
    rows = related(read(f"{body}\nSkellmouth harbour\nDonate monthly\nDonate monthly"))
    assert rows[1].tolist() == pytest.approx([0, 1, 1, 0, np.log1p(2) / 3, 1])
    assert rows[2].tolist() == pytest.approx([np.log(2), 1, 0, 0, np.log1p(2) / 3, 0])


def test_cohesion_does_not_look_at_other_pages():
    assert related(read("Skellmouth harbour\nharbour", "harbour"))[:, 1].tolist() == [0.5, 1, 0]


def test_words_taken_are_the_words_of_those_paragraphs():
    taken = read("one two\nthree\n\nfour 5 six!").words.take(np.array([2, 0]))
    whole = read("four six\none two").words
    assert taken.first.tolist() == whole.first.tolist() == [0, 2, 4]
    assert taken.buckets.tolist() == whole.buckets.tolist()


def test_places_on_the_page_and_in_the_group():
    features = Features.of([segment("a b\n\nc\nd e f"), segment(""), segment("x")])
    places = features.place_numbers()
    assert places[:, 0].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 0])
    assert np.expm1(places[:, 1]).tolist() == pytest.approx([0, 1, 2, 0])
    assert np.expm1(places[:, 2]).tolist() == pytest.approx([2, 1, 0, 0])
    assert np.exp(places[:, 4]).tolist() == pytest.approx([1, 2, 2, 1])
    assert places[:, 6].tolist() == pytest.approx([0, 0, 0.5, 0])
    assert Features.of([segment("")]).place_numbers().shape == (0, places.shape[1])
