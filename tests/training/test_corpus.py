from __future__ import annotations

import gzip
import json
from collections import Counter

import pytest

from detector import segment
from detector.html import parse_html
from detector.labels import CODES
from training.corpus import (
    DATA,
    CorpusError,
    Document,
    Rendering,
    align,
    article_zone,
    corpus_hash,
    read_bank,
    read_html,
    read_own_pages,
    read_pages,
)

RECORD = {"id": "a", "lang": "en", "host": "a.example", "text": "One\n\n  Two\n", "labels": "EB", "page_type": None}


def write(path, *records):
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
    return path


def test_pages_are_read(tmp_path):
    (document,) = read_pages(write(tmp_path / "train.jsonl.gz", RECORD))
    assert (document.group, document.page_type, document.targets().tolist()) == ("a.example", "", [0, 3])
    assert [document.text[start:end] for start, end in document.lines()] == ["One", "  Two"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"labels": "E"}, "2 non-blank lines but labels"),
        ({"labels": "EX"}, "give one of E, P, R, B"),
        ({"host": None}, "host"),
    ],
)
def test_a_bad_record_is_named(tmp_path, change, says):
    record = {key: value for key, value in (RECORD | change).items() if value is not None}
    with pytest.raises(CorpusError, match=f"record 2.*{says}"):
        read_pages(write(tmp_path / "train.jsonl.gz", RECORD, record))


def test_a_missing_or_truncated_file_is_named(tmp_path):
    path = write(tmp_path / "train.jsonl.gz", *[RECORD] * 100)
    path.write_bytes(path.read_bytes()[:-20])
    for broken in (path, tmp_path / "none.jsonl"):
        with pytest.raises(CorpusError, match=broken.name):
            read_pages(broken)


def test_lines_and_paragraphs_find_each_other():
    for document in read_own_pages():
        page = segment(document.text)
        assert len(document.line_of(page)) == len(page)
        for line, paragraph in enumerate(document.paragraph_of(page).tolist()):
            start, end = document.lines()[line]
            assert page.starts[paragraph] < end
            assert page.ends[paragraph] > start


def test_the_article_zone_reaches_from_the_first_to_the_last_editorial_line():
    document = Document("a", "en", "g", "Menu\nTitle\nAd\n\nBody\nFooter\n", "BEPEB")
    zone = article_zone(document)
    assert zone is not None
    assert (zone.text, zone.labels) == ("Title\nAd\n\nBody", "EPE")
    assert article_zone(Document("a", "en", "g", "Menu\n", "B")) is None


def test_parts_keep_a_publication_together_and_the_hash_tells_texts_apart():
    pages = [Document(str(n), "en", "same", "x", "E") for n in range(5)]
    assert len({page.part_of(7, "one") for page in pages}) == 1
    assert corpus_hash(pages) == corpus_hash(list(pages))
    assert corpus_hash(pages) != corpus_hash(pages[::-1])


def test_the_project_has_the_data_that_it_promises():
    pages, widgets, passages = read_own_pages(), read_bank(DATA / "widgets"), read_bank(DATA / "passages")
    assert len(pages) >= 80
    assert len({page.lang for page in pages}) >= 15
    assert len(widgets) >= 700
    assert len({widget.lang for widget in widgets}) >= 25
    assert len(passages) >= 300
    assert all(set(passage.labels) == {"E"} for passage in passages)
    for documents in (pages, widgets, passages):
        assert Counter(document.id for document in documents).most_common(1)[0][1] == 1
    groups = {widget.group for widget in widgets}
    assert not groups & {page.group for page in pages}


def test_no_text_is_in_the_labels_of_the_corpus():
    for path in sorted((DATA / "labels").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                assert set(record) == {
                    "id", "source", "commit", "path", "url", "host", "lang", "page_type", "labels", "hashes",
                }  # fmt: skip
                assert set(record["labels"]) <= set(CODES)
                assert len(record["hashes"]) == 6 * len(record["labels"])


def test_hold_outs_for_several_purposes_are_independent():
    pages = read_own_pages()
    both = [page for page in pages if page.part_of(4, "evaluation") and page.part_of(8, "calibration") == 0]
    assert len(both) > len(pages) / 16


@pytest.mark.parametrize(
    ("rendered", "labelled", "line_of"),
    [
        ("abc", "abc", [0, 1, 2]),
        ("xabxcx", "abc", [-1, 0, 1, -1, 2, -1]),
        ("ac", "abc", [0, 2]),
        ("aXc", "abc", [0, -1, 2]),
        ("", "abc", []),
        ("abc", "", [-1, -1, -1]),
    ],
)
def test_rendered_lines_find_the_labelled_ones(rendered, labelled, line_of):
    assert align(list(rendered), list(labelled)).tolist() == line_of


def test_html_originals_are_rendered_as_they_were_labelled():
    known = 0
    for document in read_own_pages():
        html = read_html(DATA / "pages", document)
        if html is not None:
            page = parse_html(html)
            line_of = align([paragraph.text for paragraph in page.paragraphs], document.texts())
            # One line of two pages holds buttons or letters in a row, which are paragraphs of their own here.
            assert len(set(line_of[line_of >= 0])) >= len(document.labels) - 1, document.id
            assert Rendering.of(document, html).targets[line_of >= 0].tolist() == [
                document.targets()[line] for line in line_of[line_of >= 0]
            ]
            known += 1
    assert known >= 15


def test_a_menu_that_one_side_lacks_does_not_lose_the_rest():
    menu = [f"Section {number}" for number in range(200)]
    body = ["The mill stops", "Share", "It ground its last grain.", "Share"]
    assert align([*menu, *body], body).tolist() == [-1] * 200 + [0, 1, 2, 3]
    assert align(body, [*menu, *body]).tolist() == [200, 201, 202, 203]


def test_lines_that_moved_are_aligned_in_one_order():
    line_of = align(["a", "b", "c", "d", "e"], ["d", "a", "b", "c", "e"])
    assert line_of.tolist() == [1, 2, 3, -1, 4]
