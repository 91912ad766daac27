from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from detector.batch import SUFFIXES, Failure, Tally, WorkerError, Writing, at_most_one_page, label_all
from detector.batch import pool as pool_module
from detector.batch.chunks import CHUNK_BYTES, Position, Reading, chunks_of
from detector.batch.inputs import Input, find, fingerprint
from detector.formats import Fields
from detector.formats.jsonl import paragraph_records
from detector.memory import SiteMemory
from detector.segment import segment
from tests.corpus import HTML, TEXT, Told, jsonl, label, plan, texts


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "b.txt").write_text("Second", encoding="utf-8")
    (tmp_path / "a.txt").write_text("First", encoding="utf-8")
    (tmp_path / "c.bin").write_text("Not text", encoding="utf-8")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "d.jsonl").write_text('{"text": "Third", "id": 3, "lang": "en"}\n', encoding="utf-8")
    return tmp_path


def ignore(message: str) -> None:
    pass


def test_a_folder_is_read_in_order_of_name(folder):
    records, told = label(folder)
    assert texts(records) == ["First", "Second", "Third"]
    assert not told.failures


def test_a_glob_is_expanded_here_too(folder):
    (folder / "folder.txt").mkdir()
    found = find([str(folder / "*.txt")], ignore)
    assert [each.path for each in found] == [str(folder / "a.txt"), str(folder / "b.txt")]
    assert [each.size for each in found] == [5, 6]


def test_a_folder_says_what_it_skips(folder):
    (folder / "E.TXT").write_text("Fifth", encoding="utf-8")
    (folder / "archive.gz").touch()
    (folder / "one.json").touch()
    (folder / "site.md").mkdir()
    records, told = label(folder)
    assert texts(records) == ["Fifth", "First", "Second", "Third"]
    assert not told.failures
    assert told.notes == [f"{folder}: 3 files skipped, not named {', '.join(SUFFIXES)}"]


@pytest.mark.parametrize(
    ("paths", "input_format", "one"),
    [
        (["a.txt"], "auto", True),
        (["a.html.gz"], "auto", True),
        (["-"], "auto", True),
        (["-"], "jsonl", False),
        (["none.txt"], "auto", True),
        (["a.txt", "b.txt"], "auto", False),
        (["sub"], "auto", False),
        (["*.txt"], "auto", False),
        (["sub/d.jsonl"], "auto", False),
        (["PAGES.NDJSON"], "auto", False),
        (["pages.json.gz"], "auto", False),
        (["pages.warc.gz"], "auto", False),
        (["s3://bucket/pages.parquet"], "auto", False),
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
    assert texts(label(path)[0]) == ["A word\n\nMore"]
    assert texts(label(path, input_format="text")[0])[0].endswith("<p>A <b>word</b><p>More")
    path.write_bytes(b"<htmlish>" + start)
    assert "<htmlish>" in texts(label(path)[0])[0]


def test_what_names_nothing_fails_and_costs_nothing_else(folder):
    (folder / "empty").mkdir()
    records, told = label(folder / "none.txt", folder / "none*.txt", folder / "empty", folder / "a.txt")
    assert texts(records) == ["First"]
    assert [reason.split(";")[0] for reason in told.reasons] == [
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
    records, told = label(path)
    assert not told.failures
    assert texts(records)[0].startswith(text)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"abc\0def", "a NUL byte at offset 3"), (b"\xff\xfea\x00\x00\xd8b\x00", "not the UTF-16 that its byte order")],
)
def test_what_is_not_text_is_reported_with_its_place(tmp_path, data, reason):
    path = tmp_path / "page.txt"
    path.write_bytes(data)
    records, told = label(path)
    assert not records
    assert told.failures[0].file == str(path)
    assert reason in told.failures[0].reason


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
    records, told = label(path, names=Fields(text="body"))
    assert [(record["text"], record["id"], record.get("lang")) for record in records] == [
        ("One", 7, "en"),
        ("Two", f"{path}:7", None),
    ]
    assert [failure.record for failure in told.failures] == [3, 4, 5, 6]
    assert "--text-field" in told.failures[2].reason


def test_a_line_may_be_longer_than_what_is_read_at_once(tmp_path):
    long = "The road past the mill was mended. " * 30_000
    path = tmp_path / "pages.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in ("One", long, "Two")), encoding="utf-8")
    assert texts(label(path)[0]) == ["One", long, "Two"]


def test_a_line_that_is_too_long_costs_nothing_else(tmp_path):
    path = tmp_path / "pages.jsonl"
    for length in (2_000, 1_000_000):
        path.write_text(
            "".join(json.dumps({"text": text}) + "\n" for text in ("One", "x " * (length // 2), "Two")),
            encoding="utf-8",
        )
        records, told = label(path, limit=1_000)
        assert texts(records) == ["One", "Two"]
        assert [(failure.record, "--max-page-bytes" in failure.reason) for failure in told.failures] == [(2, True)]
    path.write_text('{"text": "One"}\n' + "x" * 1_000_000, encoding="utf-8")
    records, told = label(path, limit=1_000)
    assert (texts(records), [failure.record for failure in told.failures]) == (["One"], [2])


def test_a_page_that_is_too_long_is_not_read(tmp_path):
    (tmp_path / "a.txt").write_text("x" * 1_001, encoding="utf-8")
    (tmp_path / "b.txt").write_text("x" * 1_000, encoding="utf-8")
    records, told = label(tmp_path, limit=1_000)
    assert len(records) == 1
    assert told.reasons == ["more than 1,000 bytes; raise --max-page-bytes if that is a page"]


def test_where_chunks_end_does_not_depend_on_where_a_run_begins(tmp_path):
    paths = [jsonl(tmp_path / f"{i}.jsonl", 4_000, 4_000 * i) for i in range(3)]
    (tmp_path / "page.txt").write_text(TEXT)
    inputs = find([*map(str, paths), "none.txt", str(tmp_path / "page.txt")], ignore)
    whole = list(chunks_of(inputs, Reading()))
    assert len(whole) > 2
    assert all(chunk.size >= CHUNK_BYTES for chunk in whole[:-1])
    for i, chunk in enumerate(whole):
        assert list(chunks_of(inputs, Reading(), chunk.end)) == whole[i + 1 :]
    assert whole[-1].end == Position(len(inputs))
    assert whole[-1].consumed == sum(each.size for each in inputs if isinstance(each, Input))


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text("Other", encoding="utf-8"),
        lambda path: path.rename(path.with_name("z.txt")),
        lambda path: os.utime(path, ns=(1, 1)),
    ],
)
def test_a_fingerprint_tells_other_inputs(folder, change):
    before = fingerprint(find([str(folder)], ignore))
    assert fingerprint(find([str(folder)], ignore)) == before
    change(folder / "b.txt")
    assert fingerprint(find([str(folder)], ignore)) != before


def test_workers_give_the_same_bytes_in_the_same_order(tmp_path):
    jsonl(tmp_path / "a.jsonl", 9_000)
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write("{broken\n")
    jsonl(tmp_path / "b.jsonl", 3, 9_000)
    outputs = []
    for jobs in (1, 2):
        out, errors = tmp_path / f"{jobs}.out", tmp_path / f"{jobs}.err"
        tally = label_all(
            plan(tmp_path / "a.jsonl", tmp_path / "b.jsonl", jobs=jobs, output=out, errors=errors), Told(), None
        )
        assert (tally.labelled, tally.failed) == (9_003, 1)
        outputs.append((out.read_bytes(), errors.read_bytes()))
    assert outputs[0] == outputs[1]
    ids = [json.loads(line)["id"] for line in outputs[0][0].splitlines()]
    assert ids == [f"page-{i}" for i in range(9_003)]


def test_a_worker_that_dies_ends_the_run_with_a_word(tmp_path, monkeypatch):
    path = jsonl(tmp_path / "a.jsonl", 9_000)
    monkeypatch.setattr(pool_module, "_start", os._exit)
    monkeypatch.setattr(pool_module, "_work", os.getpid)
    with pytest.raises(WorkerError, match="fewer --jobs"):
        label_all(plan(path, jobs=2, output=tmp_path / "out.jsonl"), Told(), None)
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]


def test_names_of_odd_signs_are_read_and_reported_on_one_line(tmp_path):
    odd = ["a b", "line\nend", "caf\udce9", "[1]*?", "-", "日本"]
    for name in odd:
        Path(tmp_path, f"{name}.txt").write_text(f"About {odd.index(name)}", encoding="utf-8")
    records, told = label(*(f"{tmp_path}/{name}.txt" for name in odd), f"{tmp_path}/none\n.txt")
    assert texts(records) == [f"About {i}" for i in range(len(odd))]
    assert records[1]["id"] == f"{tmp_path}/line\nend.txt"
    assert str(told.failures[0]) == f"{tmp_path}/none\\n.txt: no such file or folder; check the name"


def test_a_tally_can_be_written_down():
    tally = Tally(labelled=3, failed=2, skipped=1, characters=16, bytes=20)
    tally.paragraphs.update(promo=2, editorial=1)
    assert Tally.of(json.loads(json.dumps(tally.as_dict()))) == tally
    assert str(tally) == (
        "5 pages: 3 labelled, 2 failed, 1 records skipped that are no pages; 3 paragraphs:"
        " 1 editorial, 2 promo, 0 related-links, 0 boilerplate"
    )


def test_a_failure_says_where():
    failure = Failure("pages.jsonl", 3, "not JSON")
    assert str(failure) == "pages.jsonl, record 3: not JSON"
    assert json.loads(failure.as_json()) == {"file": "pages.jsonl", "record": 3, "reason": "not JSON"}


def test_tsv_has_a_line_a_paragraph(tmp_path):
    (tmp_path / "a.html").write_text(HTML)
    out = tmp_path / "out.tsv"
    tally = label_all(plan(tmp_path / "a.html", writing=Writing("tsv"), output=out), Told(), None)
    assert len(out.read_text(encoding="utf-8").splitlines()) == tally.paragraphs.total() == 2


def crawl(path: Path) -> Path:
    """Pages of two hosts by turns, each with an article of its own and the site's letter."""
    with path.open("w", encoding="utf-8") as file:
        for i in range(40):
            text = f"The council of ward {i} met on Tuesday to mend road {i * 7}.\n\nDear readers, we need you {i % 2}."
            file.write(json.dumps({"text": text, "url": f"https://www.{'ab'[i % 2]}.example/{i}"}) + "\n")
    return path


def test_site_memory_lasts_beyond_a_chunk_and_learns_before_it_tells(tmp_path, monkeypatch, detector):
    path = crawl(tmp_path / "in.jsonl")
    monkeypatch.setattr("detector.batch.chunks.CHUNK_BYTES", 500)
    monkeypatch.setattr("detector.formats.jsonl.PIECE_BYTES", 500)
    records, _ = label(path, site_memory=True)
    pages = [segment(record["text"]).with_record(None, record["url"], {}) for record in records]
    expected = SiteMemory().update(list(detector.label_stream(pages)))
    found = [[p["confidence"] for p in record["paragraphs"]] for record in records]
    assert found == [[p["confidence"] for p in paragraph_records(page)] for page in expected]
    alone, _ = label(path)
    assert [record["paragraphs"][0] for record in records] == [record["paragraphs"][0] for record in alone]
    assert records[0]["paragraphs"][1] != alone[0]["paragraphs"][1]


@pytest.mark.parametrize("jobs", [2, 3])
def test_site_memory_says_the_same_for_any_number_of_workers(tmp_path, monkeypatch, jobs):
    path = crawl(tmp_path / "in.jsonl")
    monkeypatch.setattr("detector.batch.chunks.SITE_CHUNK_BYTES", 2_000)
    monkeypatch.setattr("detector.formats.jsonl.PIECE_BYTES", 500)
    assert label(path, site_memory=True, jobs=jobs)[0] == label(path, site_memory=True)[0]
