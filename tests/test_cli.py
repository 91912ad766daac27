from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from detector import Label, __version__

DATA = Path(__file__).parent.parent / "data" / "pages"
PAGE = "en-drumsallagh-bus"


def run(*arguments, stdin: bytes | None = None, cwd=None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COLUMNS": "100", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "detector.cli", *map(str, arguments)]
    ran = subprocess.run(command, input=stdin, capture_output=True, check=False, cwd=cwd, env=environment)
    return subprocess.CompletedProcess(command, ran.returncode, ran.stdout.decode(), ran.stderr.decode())


@pytest.fixture
def page(tmp_path) -> Path:
    path = tmp_path / "page.txt"
    path.write_bytes((DATA / f"{PAGE}.txt").read_bytes())
    return path


def records(ran) -> list[dict]:
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_label_writes_json_lines_when_piped(page):
    ran = run("label", page)
    assert (ran.returncode, ran.stderr) == (0, "")
    (record,) = records(ran)
    assert list(record) == ["id", "url", "text", "paragraphs", "model"]
    assert record["id"] == str(page)
    assert record["text"] == page.read_text(encoding="utf-8")
    assert record["model"].startswith(__version__ + "+")
    spans = [(p["start"], p["end"]) for p in record["paragraphs"]]
    assert spans == sorted(spans)
    assert {p["label"] for p in record["paragraphs"]} <= set(Label)
    assert all(0.25 <= p["confidence"] <= 1 for p in record["paragraphs"])


def test_label_reads_standard_input(page):
    ran = run("label", "-", stdin=page.read_bytes())
    assert records(ran)[0]["text"] == page.read_text(encoding="utf-8")
    assert records(ran)[0]["id"] == "-"


def test_label_as_tsv_and_as_table(page):
    lines = run("label", page, "--output-format", "tsv").stdout.splitlines()
    assert all(len(line.split("\t")) == 6 for line in lines)
    table = run("label", page, "--output-format", "table").stdout
    assert "editorial" in table
    assert "The bus to the mart goes everywhere" in table


def test_fields_pass_through(tmp_path):
    path = tmp_path / "pages.jsonl"
    path.write_text('{"body": "One", "key": "k1", "link": "http://a.example/", "lang": "en"}\n', encoding="utf-8")
    (record,) = records(run("label", path, "--text-field", "body", "--id-field", "key", "--url-field", "link"))
    assert (record["id"], record["url"], record["lang"], record["text"]) == ("k1", "http://a.example/", "en", "One")


def test_one_bad_file_costs_nothing_else(page, tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"a\0b")
    lane = tmp_path / "errors.jsonl"
    ran = run("label", tmp_path / "bad.txt", page, "none.txt", "--errors", lane)
    assert ran.returncode == 1
    assert len(records(ran)) == 1
    assert "bad.txt: a NUL byte at offset 1" in ran.stderr
    assert "3 pages: 1 labelled, 2 failed" in ran.stderr
    assert [json.loads(line)["file"] for line in lane.read_text().splitlines()] == [
        str(tmp_path / "bad.txt"),
        "none.txt",
    ]


def test_output_appears_whole(page, tmp_path):
    out = tmp_path / "labels.jsonl"
    ran = run("label", page, "-o", out)
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "1 pages: 1 labelled, 0 failed" in ran.stderr
    assert json.loads(out.read_text(encoding="utf-8"))["id"] == str(page)
    assert not list(tmp_path.glob("*.partial"))


def test_an_output_that_cannot_be_written_is_one_line(page, tmp_path):
    ran = run("label", page, "-o", tmp_path / "no" / "where.jsonl")
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1
    assert "No such file or directory" in ran.stderr


def test_clean_keeps_what_is_editorial(page):
    cleaned = run("clean", page).stdout
    labelled = records(run("label", page))[0]
    text = labelled["text"]
    for paragraph in labelled["paragraphs"]:
        words = text[paragraph["start"] : paragraph["end"]]
        assert (words in cleaned) == (paragraph["label"] == "editorial")


def test_clean_keeps_other_labels_and_presets(page):
    promo = run("clean", page, "--keep", "promo").stdout
    assert "The bus to the mart goes" not in promo
    both = run("clean", page, "--keep", "promo", "--keep", "editorial").stdout
    assert len(both) > len(promo)
    sizes = [len(run("clean", page, *option).stdout) for option in (["--precision"], [], ["--recall"])]
    assert sizes == sorted(sizes)
    assert run("clean", page, "--min-confidence", "1").stdout == ""


def test_clean_writes_records_for_several_pages(page):
    found = records(run("clean", page, page))
    assert [list(record) for record in found] == [["id", "url", "text", "model"]] * 2


def test_clean_refuses_two_thresholds(page):
    ran = run("clean", page, "--recall", "--precision")
    assert ran.returncode == 2
    assert "exclude one another" in ran.stderr


def test_explain_gives_reasons(page):
    ran = run("explain", page)
    assert ran.returncode == 0
    assert ran.stdout.count("↳") == len(records(run("label", page))[0]["paragraphs"])


def test_view_writes_one_html_file(page, tmp_path):
    assert "editorial" in run("view", page).stdout
    out = tmp_path / "page.html"
    assert run("view", page, "-o", out).returncode == 0
    document = out.read_text(encoding="utf-8")
    assert document.startswith("<!doctype html>")
    assert "http" not in document.split("</style>")[0]
    hostile = tmp_path / "hostile.txt"
    hostile.write_text("<script>alert(1)</script>\n", encoding="utf-8")
    run("view", hostile, "-o", out)
    assert "<script>" not in out.read_text(encoding="utf-8")


def test_info_is_the_card():
    card = json.loads(run("info").stdout)
    assert {"name", "version", "date", "licence", "data", "scores", "weights_bytes"} <= card.keys()
    assert card["weights_bytes"] <= 10_000_000


def test_a_model_that_is_none(page, tmp_path):
    ran = run("label", page, "--model", tmp_path)
    assert ran.returncode == 1
    assert ran.stderr.startswith("detector: ")
    assert "card.json: cannot be read" in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["label"], ["label", "x", "--input-format", "pdf"], ["frobnicate"]])
def test_wrong_usage_exits_with_two(arguments):
    assert run(*arguments).returncode == 2


def test_help_shows_examples():
    for command in ("label", "clean", "explain", "view", "info"):
        ran = run(command, "--help")
        assert ran.returncode == 0
        assert f"detector {command}" in ran.stdout.split("Example")[1]
    assert "Exit codes" in run("--help").stdout
    assert run("--version").stdout.strip() == __version__


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    for number in range(300):
        (tmp_path / f"{number}.txt").write_text("The council met on Tuesday.\n" * 50)
    command = f"{sys.executable} -m detector.cli label {tmp_path} | head -c 100"
    ran = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    assert len(ran.stdout) == 100
