from __future__ import annotations

import json

import numpy as np
import pytest

from detector.formats import RecordError
from detector.formats.jsonl import Fields, cleaned_record, dump, labelled_line, labelled_record, parse, tsv_lines
from detector.formats.text import decode

FRENCH = "Le café naïve est ouvert à l’été — “bienvenue” à Zürich. " * 5


def decoded(data: bytes) -> tuple[str, list[str]]:
    warnings: list[str] = []
    return decode(data, warnings.append), warnings


@pytest.mark.parametrize("bad", [b"\xe9", b"\xff", b"\xed\xa0\xbd"])
def test_a_few_bad_bytes_leave_the_rest_of_a_page_alone(bad):
    start, end = FRENCH[:100], FRENCH[100:]
    text, warnings = decoded(start.encode() + bad + end.encode())
    assert text == start + "\ufffd" * len(bad) + end
    (warning,) = warnings
    assert f"offset {len(start.encode())}," in warning
    assert f"{len(bad)} byte" in warning


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"The council met on Tuesday evening. \xe2\x80", "The council met on Tuesday evening. \ufffd"),
        ((FRENCH + "é").encode()[:-1], FRENCH + "\ufffd"),
    ],
)
def test_a_page_cut_inside_a_character_is_still_utf8(data, text):
    found, warnings = decoded(data)
    assert found == text
    assert len(warnings) == 1


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Le député a été réélu à l'unanimité, a-t-on appris. C'était prévu.", "cp1252"),
        ("Привет, это обычный русский текст про город и людей. " * 3, "koi8-r"),
        ("ประชุมสภาเทศบาลเมื่อวันอังคารมีมติให้ปรับปรุงถนนสายหลัก " * 3, "cp874"),
        ("市议会星期二开会，决定修缮主要街道和桥梁。" * 3, "gb18030"),
        ("시의회는 화요일에 회의를 열고 도로를 고치기로 했다. " * 3, "euc-kr"),
        ("市議会は火曜日に会議を開き、道路を直すことに決めた。" * 3, "shift_jis"),
    ],
)
def test_other_encodings_are_not_taken_for_broken_utf8(text, encoding):
    assert decoded(text.encode(encoding)) == (text, [])


def labelled(line: dict, names: Fields = Fields()):  # noqa: B008
    page = parse(json.dumps(line).encode(), names, "file:1")
    return page.with_scores(np.full((len(page), 4), 0.25, dtype=np.float32))


@pytest.mark.parametrize("id", [5, "5", "", 1.5, True, {"n": 1}, [1]])
def test_an_id_keeps_its_type(id):
    page = labelled({"text": "One", "id": id})
    assert page.id == (id if isinstance(id, str) else json.dumps(id))
    for record in (labelled_record(page, "m"), cleaned_record(page, "", "m")):
        assert (type(record["id"]), record["id"]) == (type(id), id)
        assert next(iter(record)) == "id"


def test_a_record_without_an_id_is_named_by_its_place():
    assert labelled({"text": "One"}).id == "file:1"
    assert labelled_record(labelled({"text": "One", "id": None}), "m")["id"] == "file:1"


def test_fields_that_clash_are_kept_under_input():
    names = Fields(text="body", id="key")
    read = {"body": "One", "text": "raw", "id": "orig", "key": 5, "model": "gpt", "paragraphs": [1], "lang": "en"}
    record = labelled_record(labelled(read, names), "m")
    assert (record["id"], record["text"], record["model"], record["lang"]) == (5, "One", "m", "en")
    assert record["input"] == {"text": "raw", "id": "orig", "model": "gpt", "paragraphs": [1]}
    again = cleaned_record(labelled(record), "", "m")
    assert again["id"] == 5
    assert again["input"] == {name: record[name] for name in ("input", "model", "paragraphs")}


def test_html_is_read_from_its_field_and_passes_through():
    page = labelled({"html": "<p>One<p>Two", "text": "raw", "url": "http://a.example/"}, Fields(html="html"))
    record = labelled_record(page, "m")
    assert page.markup is not None
    assert (record["text"], record["url"]) == ("One\n\nTwo", "http://a.example/")
    assert (record["html"], record["input"]) == ("<p>One<p>Two", {"text": "raw"})
    with pytest.raises(RecordError, match="--html-field"):
        labelled({"text": "raw"}, Fields(html="html"))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_numbers_that_json_cannot_hold_are_refused(number):
    with pytest.raises(RecordError, match=f"{number} is no number"):
        parse(f'{{"text": "One", "x": [{number}]}}'.encode(), Fields(), "file:1")
    with pytest.raises(ValueError, match="JSON"):
        dump({"x": float(number)})


@pytest.mark.parametrize(
    "read",
    [
        {"text": 'One "two"\n\nThree', "id": "a", "x": [1.5, {"y": None}]},
        {"text": "", "url": "http://a.example/"},
        {"text": "One", "id": 5, "model": "gpt"},
    ],
)
def test_a_line_is_the_record(read):
    page = labelled(read)
    assert labelled_line(page, "m") == dump(labelled_record(page, "m"))


def test_json_lines_are_utf8():
    assert parse(b'\xef\xbb\xbf{"text": "caf\xc3\xa9"}', Fields(), "file:1").text == "café"
    with pytest.raises(RecordError, match="byte 13 of the line is not UTF-8"):
        parse(b'{"text": "caf\xe9 ouvert"}', Fields(), "file:1")
    with pytest.raises(RecordError, match="UTF-8"):
        parse('{"text": "One"}'.encode("utf-16"), Fields(), "file:1")


def test_a_line_of_tsv_has_six_cells():
    lines = list(tsv_lines(labelled({"text": "One\ttwo\nThree", "id": "a\tb\nc"})))
    assert [line.split("\t")[0] for line in lines] == ["a b c", "a b c"]
    assert all(line.count("\t") == 5 and line.count("\n") == 1 for line in lines)
