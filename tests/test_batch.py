from __future__ import annotations

import json
import os
import threading

import pytest

from detector.batch import SUFFIXES, Failure, Tally, at_most_one_page, expand, label, read, whole_file
from detector.formats.jsonl import Fields


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "b.txt").write_text("Second", encoding="utf-8")
    (tmp_path / "a.txt").write_text("First", encoding="utf-8")
    (tmp_path / "c.bin").write_text("Not text", encoding="utf-8")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "d.jsonl").write_text('{"text": "Third", "id": 3, "lang": "en"}\n', encoding="utf-8")
    return tmp_path


def run(*paths, input_format="auto", names=Fields(), warn=lambda message: None):  # noqa: B008
    failures: list[Failure] = []
    pages = list(read([str(path) for path in paths], input_format, names, failures.append, warn))
    return pages, failures


def test_a_folder_is_read_in_order_of_name(folder):
    pages, failures = run(folder)
    assert [page.text for page in pages] == ["First", "Second", "Third"]
    assert not failures


def test_a_glob_is_expanded_here_too(folder):
    (folder / "folder.txt").mkdir()
    found = expand([str(folder / "*.txt")], lambda message: None)
    assert list(found) == [str(folder / "a.txt"), str(folder / "b.txt")]


def test_a_folder_says_what_it_skips(folder):
    (folder / "E.TXT").write_text("Fifth", encoding="utf-8")
    (folder / "archive.gz").touch()
    (folder / "site.md").mkdir()
    warnings: list[str] = []
    pages, failures = run(folder, warn=warnings.append)
    assert [page.text for page in pages] == ["Fifth", "First", "Second", "Third"]
    assert not failures
    assert warnings == [f"{folder}: 2 files skipped, not named {', '.join(SUFFIXES)}"]


@pytest.mark.parametrize(
    ("paths", "input_format", "one"),
    [
        (["a.txt"], "auto", True),
        (["-"], "auto", True),
        (["-"], "jsonl", False),
        (["none.txt"], "auto", True),
        (["a.txt", "b.txt"], "auto", False),
        (["sub"], "auto", False),
        (["*.txt"], "auto", False),
        (["sub/d.jsonl"], "auto", False),
        (["PAGES.NDJSON"], "auto", False),
        (["sub/d.jsonl"], "text", True),
    ],
)
def test_what_holds_one_page_at_most(folder, monkeypatch, paths, input_format, one):
    monkeypatch.chdir(folder)
    assert at_most_one_page(paths, input_format) == one


@pytest.mark.parametrize(
    "start",
    [b"<!DOCTYPE html>", b"\xef\xbb\xbf\n <html lang=en>", b'<?xml version="1.0"?>\n<!doctype HTML PUBLIC "-//W3C">'],
)
def test_html_is_told_by_its_first_bytes(folder, start):
    path = folder / "a.txt"
    path.write_bytes(start + b"<p>A <b>word</b><p>More")
    assert run(path)[0][0].text == "A word\n\nMore"
    assert run(path, input_format="text")[0][0].text.endswith("<p>A <b>word</b><p>More")
    path.write_bytes(b"<htmlish>" + start)
    assert "<htmlish>" in run(path)[0][0].text


def test_what_names_nothing_fails_and_costs_nothing_else(folder):
    (folder / "empty").mkdir()
    pages, failures = run(folder / "none.txt", folder / "none*.txt", folder / "empty", folder / "a.txt")
    assert [page.text for page in pages] == ["First"]
    assert [failure.reason.split(";")[0] for failure in failures] == [
        "no such file or folder",
        "no such file or folder",
        f"a folder without {', '.join(SUFFIXES)} files",
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
        ("One", "7", {"id": 7, "lang": "en"}),
        ("Two", f"{path}:7", {}),
    ]
    assert [failure.record for failure in failures] == [3, 4, 5, 6]
    assert "--text-field" in failures[2].reason


def test_counts_add_up(detector, folder):
    tally = Tally(failed=2)
    pages = list(label(detector, run(folder)[0], tally))
    assert (tally.labelled, tally.pages, tally.characters) == (3, 5, 16)
    assert sum(tally.paragraphs.values()) == sum(map(len, pages)) == 3
    assert str(tally).startswith("5 pages: 3 labelled, 2 failed; 3 paragraphs: ")


def test_a_failure_says_where():
    failure = Failure("pages.jsonl", 3, "not JSON")
    assert str(failure) == "pages.jsonl, record 3: not JSON"
    assert json.loads(failure.as_json()) == {"file": "pages.jsonl", "record": 3, "reason": "not JSON"}


def test_a_file_name_that_is_not_utf8_can_be_reported(tmp_path):
    failure = Failure(os.fsdecode(b"caf\xe9.txt"), None, "no such file")
    with whole_file(tmp_path / "errors.jsonl") as file:
        file.write(failure.as_json())
    assert json.loads((tmp_path / "errors.jsonl").read_text(encoding="utf-8"))["file"] == "caf\udce9.txt"


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


def test_a_link_is_written_through(tmp_path):
    target, link = tmp_path / "folder" / "out.txt", tmp_path / "link.txt"
    target.parent.mkdir()
    link.symlink_to(target)
    with whole_file(link) as file:
        file.write("whole")
    assert link.is_symlink()
    assert target.read_text() == "whole"


def test_a_pipe_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read_there: list[str] = []
    reader = threading.Thread(target=lambda: read_there.append(pipe.read_text()), daemon=True)
    reader.start()
    with whole_file(pipe) as file:
        file.write("whole")
    assert pipe.is_fifo()
    reader.join(timeout=10)
    assert read_there == ["whole"]


def test_nobody_elses_files_are_touched(tmp_path):
    (tmp_path / "out.txt.partial").write_text("mine")
    target = tmp_path / "out.txt"
    with whole_file(target) as first, whole_file(target) as second:
        first.write("first")
        second.write("second")
    assert target.read_text() == "first"
    assert (tmp_path / "out.txt.partial").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


def test_text_that_utf8_cannot_hold_is_written_escaped(tmp_path):
    with whole_file(tmp_path / "out.txt") as file:
        file.write("\ud83d")
    assert (tmp_path / "out.txt").read_bytes() == rb"\ud83d"
