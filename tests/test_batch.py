from __future__ import annotations

import json

import pytest

from detector.batch import Failure, Tally, expand, label, read, whole_file
from detector.formats.jsonl import Fields


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "b.txt").write_text("Second", encoding="utf-8")
    (tmp_path / "a.txt").write_text("First", encoding="utf-8")
    (tmp_path / "c.bin").write_text("Not text", encoding="utf-8")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "d.jsonl").write_text('{"text": "Third", "id": 3, "lang": "en"}\n', encoding="utf-8")
    return tmp_path


def run(*paths, input_format="auto", names=Fields()):  # noqa: B008
    failures: list[Failure] = []
    pages = list(read([str(path) for path in paths], input_format, names, failures.append))
    return pages, failures


def test_a_folder_is_read_in_order_of_name(folder):
    pages, failures = run(folder)
    assert [page.text for page in pages] == ["First", "Second", "Third"]
    assert not failures


def test_a_glob_is_expanded_here_too(folder):
    assert [str(path) for path in expand([str(folder / "*.txt")])] == [str(folder / "a.txt"), str(folder / "b.txt")]


def test_what_names_nothing_fails_and_costs_nothing_else(folder):
    (folder / "empty").mkdir()
    pages, failures = run(folder / "none.txt", folder / "none*.txt", folder / "empty", folder / "a.txt")
    assert [page.text for page in pages] == ["First"]
    assert [failure.reason.split(";")[0] for failure in failures] == [
        "no such file or folder",
        "no such file or folder",
        "a folder without .txt, .text, .md, .jsonl, .ndjson files",
    ]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("né en été".encode(), "né en été"),
        (b"\xef\xbb\xbfword", "word"),
        ("naïve".encode("utf-16"), "naïve"),
        ("語".encode("utf-32"), "語"),
        ("Le député a été réélu à l'unanimité, a-t-on appris. C'était prévu.".encode("cp1252"), "Le député a été"),
        ("Привет, это обычный русский текст про город и людей.".encode("cp1251"), "Привет, это"),
        (b"", ""),
    ],
)
def test_encodings_are_told(tmp_path, data, text):
    path = tmp_path / "page.txt"
    path.write_bytes(data)
    pages, failures = run(path)
    assert not failures
    assert pages[0].text.startswith(text)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"abc\0def", "a NUL byte at offset 3"), (b"\xff\xfea\x00\x00\xd8b\x00", "not the UTF-16 that its byte order")],
)
def test_what_is_not_text_is_reported_with_its_place(tmp_path, data, reason):
    path = tmp_path / "page.txt"
    path.write_bytes(data)
    pages, failures = run(path)
    assert not pages
    assert failures[0].file == str(path)
    assert reason in failures[0].reason


def test_an_empty_file_is_an_empty_page(tmp_path):
    (tmp_path / "empty.txt").touch()
    pages, failures = run(tmp_path / "empty.txt")
    assert (len(pages), len(pages[0]), failures) == (1, 0, [])


def test_records_pass_fields_through_and_broken_ones_are_named(tmp_path):
    path = tmp_path / "pages.jsonl"
    lines = [
        '{"body": "One", "id": 7, "lang": "en"}',
        "",
        "{oops",
        "[1]",
        '{"id": 8}',
        '{"body": 5}',
        '{"body": "Two"}',
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    pages, failures = run(path, names=Fields(text="body"))
    assert [(page.text, page.id, page.fields) for page in pages] == [
        ("One", "7", {"lang": "en"}),
        ("Two", f"{path}:7", {}),
    ]
    assert [failure.record for failure in failures] == [3, 4, 5, 6]
    assert "--text-field" in failures[2].reason


def test_counts_add_up(detector, folder):
    tally = Tally()
    pages = list(label(detector, run(folder)[0], tally))
    tally.failed += 2
    assert (tally.labelled, tally.pages, tally.characters) == (3, 5, 16)
    assert sum(tally.paragraphs.values()) == sum(map(len, pages))
    assert str(tally).startswith("5 pages: 3 labelled, 2 failed; 3 paragraphs: ")


def test_a_failure_says_where():
    failure = Failure("pages.jsonl", 3, "not JSON")
    assert str(failure) == "pages.jsonl, record 3: not JSON"
    assert json.loads(failure.as_json()) == {"file": "pages.jsonl", "record": 3, "reason": "not JSON"}


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "out.txt"

    def interrupted():
        with whole_file(target) as file:
            file.write("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    with whole_file(target) as file:
        file.write("whole")
    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]
    assert target.read_text() == "whole"
