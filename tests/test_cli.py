from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from detector import Label, __version__
from detector.cli import main
from tests.corpus import jsonl, response

DATA = Path(__file__).parent.parent / "data" / "pages"
PAGE = "en-drumsallagh-bus"


def run(*arguments, stdin: bytes | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COLUMNS": "100", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "detector.cli", *map(str, arguments)]
    ran = subprocess.run(command, input=stdin, capture_output=True, check=False, env=environment)
    assert ran.returncode == code, ran.stderr.decode()
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
    assert ran.stderr == ""
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
    assert len(lines) == len(records(run("label", page))[0]["paragraphs"])
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
    ran = run("label", tmp_path / "bad.txt", page, "none.txt", "--errors", lane, code=1)
    assert len(records(ran)) == 1
    assert "bad.txt: a NUL byte at offset 1" in ran.stderr
    assert "3 pages: 1 labelled, 2 failed" in ran.stderr
    assert [json.loads(line)["file"] for line in lane.read_text().splitlines()] == [
        str(tmp_path / "bad.txt"),
        "none.txt",
    ]


def test_clean_counts_what_failed(page, tmp_path):
    ran = run("clean", page, tmp_path / "none.txt", tmp_path / "none.jsonl", code=1)
    assert len(records(ran)) == 1
    assert "3 pages: 1 labelled, 2 failed" in ran.stderr


def test_what_was_mended_or_skipped_is_said_and_is_no_error(tmp_path):
    (tmp_path / "cut.txt").write_bytes(b"The council met on Tuesday evening.\xe2\x80")
    (tmp_path / "picture.png").touch()
    ran = run("label", tmp_path)
    assert records(ran)[0]["text"] == "The council met on Tuesday evening.\ufffd"
    assert f"detector: {tmp_path / 'cut.txt'}: not all UTF-8: 2 bytes, the first at offset 35," in ran.stderr
    assert f"detector: {tmp_path}: 1 file skipped" in ran.stderr


def test_output_appears_whole(page, tmp_path):
    out = tmp_path / "labels.jsonl"
    ran = run("label", page, "-o", out)
    assert ran.stdout == ""
    assert "1 pages: 1 labelled, 0 failed" in ran.stderr
    assert json.loads(out.read_text(encoding="utf-8"))["id"] == str(page)
    assert not list(tmp_path.glob("*.partial"))


def test_an_output_that_cannot_be_written_is_one_line(page, tmp_path):
    ran = run("label", page, "-o", tmp_path / "no" / "where.jsonl", code=1)
    assert ran.stderr.count("\n") == 1
    assert f"{Path('no') / 'where.jsonl'}: there is no folder {tmp_path / 'no'}; make it first" in ran.stderr
    ran = run("label", page, "-o", tmp_path, code=1)
    assert ran.stderr == f"detector: {tmp_path} is a folder: name a file, as in {tmp_path / 'labels.jsonl'}\n"


def test_output_and_errors_cannot_be_one_file(page, tmp_path):
    out = tmp_path / "out.jsonl"
    (tmp_path / "link").symlink_to(out)
    ran = run("label", page, "-o", out, "--errors", tmp_path / "link", code=2)
    assert "two files" in ran.stderr
    assert not out.exists()


def test_lone_surrogates_cost_nothing(tmp_path):
    path = tmp_path / "pages.jsonl"
    path.write_text('{"text": "broken \\ud83d emoji", "id": "a\\tb\\nc"}\n{"text": "Good"}\n', encoding="utf-8")
    out = tmp_path / "labels.tsv"
    run("label", path, "--output-format", "tsv", "-o", out)
    lines = out.read_text(encoding="utf-8").splitlines()
    assert [line.split("\t")[0] for line in lines] == ["a b c", f"{path}:2"]
    assert lines[0].endswith("broken \\ud83d emoji")


def test_a_page_of_html_is_read_as_one(tmp_path):
    markup = "<p>The council <b>met</b> on Tuesday.</p><p>Subscribe!</p>"
    text = "The council met on Tuesday.\n\nSubscribe!"
    (tmp_path / "page.HTM").write_text(markup)
    assert records(run("label", tmp_path))[0]["text"] == text
    assert records(run("label", "-", stdin=b"<!doctype html>" + markup.encode()))[0]["text"] == text
    assert records(run("label", "-", "--input-format", "html", stdin=markup.encode()))[0]["text"] == text
    assert run("explain", tmp_path / "page.HTM").stdout.count("↳") == 2
    lines = json.dumps({"html": markup, "id": "p"}).encode()
    (record,) = records(run("label", "-", "--input-format", "jsonl", "--html-field", "html", stdin=lines))
    assert (record["id"], record["text"], record["html"]) == ("p", text, markup)


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
    assert sizes[-1] > 0
    assert run("clean", page, "--min-confidence", "1").stdout == ""


def test_clean_writes_records_wherever_there_may_be_several_pages(page, tmp_path):
    lines = tmp_path / "pages.ndjson"
    lines.write_text('{"text": "One"}\n{"text": "Two"}\n')
    for paths, number in (([page, page], 2), ([lines], 2), ([tmp_path / "*.txt"], 1), ([tmp_path], 3)):
        found = records(run("clean", *paths))
        assert [list(record) for record in found] == [["id", "url", "text", "model"]] * number
        ran = run("clean", *paths, "--output-format", "text", code=2)
        assert "one page" in ran.stderr


def test_clean_writes_one_page_as_markdown(page, tmp_path):
    html = tmp_path / "page.html"
    html.write_text("<h1>Ferry</h1><p>The council <b>met</b> on <a href='/t'>Tuesday</a>.</p>")
    ran = run("clean", html, "--output-format", "markdown", "--min-confidence", "0")
    assert ran.stdout == "# Ferry\n\nThe council **met** on [Tuesday](/t).\n"
    text = run("clean", page, "--output-format", "markdown").stdout
    assert text == run("clean", page, "--output-format", "text").stdout
    assert "one page" in run("clean", html, html, "--output-format", "markdown", code=2).stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--recall", "--precision"], "exclude one another"),
        (["--recall", "--min-confidence", "0.5"], "exclude one another"),
        (["--recall", "--keep", "promo"], "thresholds for editorial"),
        (["--precision", "--keep", "editorial", "--keep", "promo"], "thresholds for editorial"),
    ],
)
def test_clean_refuses_thresholds_that_mean_nothing(page, options, message):
    assert message in run("clean", page, *options, code=2).stderr


def test_a_preset_may_name_its_own_label(page):
    assert run("clean", page, "--recall", "--keep", "editorial").stdout == run("clean", page, "--recall").stdout


@pytest.mark.parametrize("command", ["explain", "view"])
def test_what_shows_one_page_refuses_more(page, tmp_path, command):
    (tmp_path / "pages.jsonl").write_text('{"text": "One"}\n')
    for path in (tmp_path, tmp_path / "*.txt", tmp_path / "pages.jsonl"):
        assert "one page" in run(command, path, code=2).stderr


def test_explain_gives_reasons(page):
    ran = run("explain", page)
    assert ran.stdout.count("↳") == len(records(run("label", page))[0]["paragraphs"])


def test_view_writes_one_html_file(page, tmp_path):
    assert "editorial" in run("view", page).stdout
    out = tmp_path / "page.html"
    run("view", page, "-o", out)
    document = out.read_text(encoding="utf-8")
    assert document.startswith("<!doctype html>")
    assert "http" not in document.split("</style>")[0]
    picture = tmp_path / "page.svg"
    run("view", page, "-o", picture)
    assert "<svg" in picture.read_text(encoding="utf-8")
    assert "url(" not in picture.read_text(encoding="utf-8").replace("url(#", "")
    hostile = tmp_path / "hostile.txt"
    hostile.write_text("<script>alert(1)</script>\n", encoding="utf-8")
    run("view", hostile, "-o", out)
    assert "neither .html nor .svg" in run("view", page, "-o", tmp_path / "page.png", code=2).stderr
    assert "<script>" not in out.read_text(encoding="utf-8")


def test_info_is_the_card():
    card = json.loads(run("info").stdout)
    assert {"name", "version", "date", "licence", "data", "scores", "weights_bytes"} <= card.keys()
    assert card["weights_bytes"] <= 10_000_000


def test_a_model_that_is_none(page, tmp_path):
    ran = run("label", page, "--model", tmp_path, code=1)
    assert ran.stderr.startswith("detector: ")
    assert "card.json: cannot be read" in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["label"], ["label", "x", "--input-format", "pdf"], ["frobnicate"]])
def test_wrong_usage_exits_with_two(arguments):
    run(*arguments, code=2)


def test_help_shows_examples():
    for command in ("label", "clean", "explain", "view", "info"):
        ran = run(command, "--help")
        assert f"detector {command}" in ran.stdout.split("Example")[1]
    assert "Exit codes" in run("--help").stdout
    assert run("--version").stdout.strip() == __version__


@pytest.mark.parametrize(("reader", "chars"), [("head -c 100", 100), ("true", 0)])
def test_a_reader_that_goes_away_is_no_error(tmp_path, reader, chars):
    for number in range(300):
        (tmp_path / f"{number}.txt").write_text("The council met on Tuesday.\n" * 50)
    command = f"{sys.executable} -m detector.cli label {tmp_path} | {reader}"
    ran = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert len(ran.stdout) == chars


def test_a_reader_that_goes_away_before_the_last_flush_is_no_error():
    command = f"{sys.executable} -m detector.cli info | true"
    ran = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_line_ends_are_not_translated(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, newline="\r\n"))
    monkeypatch.setattr(sys, "argv", ["detector", "--version"])
    with pytest.raises(SystemExit):
        main()
    sys.stdout.flush()
    assert written.getvalue() == __version__.encode() + b"\n"


def test_formats_go_by_suffix(page, tmp_path):
    for name, start in (
        ("a.tsv", str(page).encode()),
        ("b.jsonl", b'{"id"'),
        ("c.parquet", b"PAR1"),
        ("d.jsonl.gz", b"\x1f\x8b"),
    ):
        run("label", page, "-o", tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    out = tmp_path / "e.tsv"
    run("label", page, "-o", out, "--output-format", "jsonl")
    assert json.loads(out.read_text(encoding="utf-8"))["id"] == str(page)
    run("clean", page, "-o", tmp_path / "f.jsonl")
    run("clean", page, "-o", tmp_path / "g.txt.gz")
    assert json.loads((tmp_path / "f.jsonl").read_text(encoding="utf-8"))["text"] + "\n" == run("clean", page).stdout
    assert gzip.decompress((tmp_path / "g.txt.gz").read_bytes()).decode() == run("clean", page).stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output-format", "parquet"], "name it with -o"),
        (["-o", "out.parquet.gz"], "name it with -o"),
        (["-o", "s3://bucket/out.jsonl"], "remote"),
        (["--output-format", "dolma"], "JSON Lines"),
        (["--jobs", "-1"], "--jobs"),
        (["--jobs", "100000"], "--jobs"),
        (["--max-page-bytes", "0"], "--max-page-bytes"),
    ],
)
def test_outputs_that_cannot_be_are_refused(page, options, message):
    assert message in run("label", page, *options, code=2).stderr


def test_an_output_that_promises_another_format_is_refused(page, tmp_path):
    assert (
        "name .parquet, .jsonl, .ndjson, .tsv, or --output-format" in run("label", page, "-o", "a.csv", code=2).stderr
    )
    assert "name .parquet, .jsonl, .ndjson, .txt, .md," in run("clean", page, "-o", "a.tsv.gz", code=2).stderr
    run("label", page, "-o", tmp_path / "a.csv", "--output-format", "tsv")


def test_what_a_run_writes_into_its_own_folder_is_not_read(page, tmp_path):
    for options in ([], ["--overwrite"]):
        ran = run("label", tmp_path, "-o", tmp_path / "out.jsonl", "--errors", tmp_path / "errors.jsonl", *options)
        assert "1 pages: 1 labelled, 0 failed" in ran.stderr
    assert f"{tmp_path / 'out.jsonl'}: not read, for it is written" in ran.stderr


def test_standard_input_is_read_once(page):
    ran = run("label", "-", page, "-", stdin=b"One", code=1)
    assert [record["id"] for record in records(ran)] == ["-", str(page)]
    assert "detector: -: standard input is read once; name - once" in ran.stderr


def test_a_json_document_is_no_text_unnoticed(tmp_path):
    path = tmp_path / "page.json"
    path.write_text('{"text": "One"}')
    assert "--input-format jsonl reads an object a line" in run("label", path).stderr
    assert run("label", path, "--input-format", "jsonl").stderr == ""


def test_closed_streams_are_said(page, tmp_path):
    out = tmp_path / "out.jsonl"
    for command, code, said in (
        (f"label - -o {out} <&-", 1, "standard input is closed; name a file"),
        (f"label {page} >&-", 2, "standard output is closed: name a file with -o"),
        (f"label {page} -o {out} >&-", 0, "1 labelled"),
    ):
        command = f"{sys.executable} -m detector.cli {command}"
        ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        assert (ran.returncode, said in ran.stderr, "Traceback" in ran.stderr) == (code, True, False)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("seconds", [0.5, 0.8, 1.5])
def test_a_run_that_is_ended_ends_in_order(tmp_path, number, code, seconds):
    path = jsonl(tmp_path / "in.jsonl", 30_000)
    command = [sys.executable, "-m", "detector.cli", "label", path, "-o", tmp_path / "out.jsonl", "-j", "2"]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    # Once the run is under way; then its workers are started one by one.
    while not (tmp_path / ".out.jsonl.journal").exists() and running.poll() is None:
        time.sleep(0.01)
    time.sleep(seconds - 0.5)
    if number == signal.SIGINT:
        os.killpg(running.pid, number)
    else:
        running.send_signal(number)
    _, said = running.communicate(timeout=60)
    assert running.returncode == code
    assert "Traceback" not in said
    assert not (tmp_path / "out.jsonl").exists()


def test_dolma_attributes_are_written(tmp_path):
    path = tmp_path / "0000.json.gz"
    path.write_bytes(gzip.compress(b'{"id": "a", "text": "The council met on Tuesday."}\n'))
    out = tmp_path / "attributes.json.gz"
    run("label", path, "--output-format", "dolma", "-o", out)
    assert json.loads(gzip.decompress(out.read_bytes()))["id"] == "a"
    assert "--html-field" in run("label", path, "--output-format", "dolma", "--html-field", "h", code=2).stderr


def test_an_output_that_is_there_is_kept(page, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text("mine")
    ran = run("label", page, "-o", out, code=1)
    assert ran.stderr == f"detector: {out} is there: --overwrite replaces it, or give another name\n"
    assert out.read_text() == "mine"
    run("label", page, "-o", out, "--overwrite")
    assert run("label", page, "-o", out, "--resume").stderr == (
        f"detector: {out} is whole: nothing to do; --overwrite labels anew\n"
    )
    ran = run("label", page, "-o", out, "--resume", "--url-field", "uri", code=1)
    assert ran.stderr == (
        f"detector: {out} is whole, and its run was another one (--url-field was url, is uri):"
        " give the same again, another output, or --overwrite to label anew\n"
    )
    assert "name it with -o" in run("label", page, "--resume", code=1).stderr


def test_where_nothing_could_be_labelled_there_is_no_output(page, tmp_path):
    out = tmp_path / "out.jsonl"
    for arguments in (["label", "none.txt"], ["clean", "none.txt"], ["label", page, "--max-page-bytes", "9"]):
        ran = run(*arguments, "-o", out, code=1)
        assert f"detector: nothing could be labelled: {out} is not written" in ran.stderr
    run("view", "none.txt", "-o", tmp_path / "page.html", code=1)
    assert list(tmp_path.iterdir()) == [page]


def test_the_log_is_json_lines_for_machines(page, tmp_path):
    (tmp_path / "cut.txt").write_bytes(b"The council met on Tuesday evening.\xe2\x80")
    ran = run("label", page, "none.txt", tmp_path / "cut.txt", "--json-log", code=1)
    log = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [entry["event"] for entry in log] == ["failure", "note", "summary"]
    assert (log[0]["file"], log[0]["record"]) == ("none.txt", None)
    assert (log[2]["pages"], log[2]["labelled"], log[2]["failed"]) == (3, 2, 1)
    ran = run("label", page, "-o", tmp_path / "no" / "where", "--json-log", code=1)
    (entry,) = map(json.loads, ran.stderr.splitlines())
    assert (entry["event"], "no folder" in entry["message"]) == ("error", True)


def test_a_page_that_is_too_long_is_named(page):
    ran = run("label", page, "--max-page-bytes", "100", code=1)
    assert f"{page}: more than 100 bytes; raise --max-page-bytes" in ran.stderr


def test_a_missing_package_is_named_with_its_extra(tmp_path):
    (tmp_path / "a.parquet").touch()
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    for name in ("fastwarc", "pyarrow"):
        (blocked / f"{name}.py").write_text(f"raise ImportError(name={name!r})")
    (tmp_path / "a.txt").write_text("One")
    (tmp_path / "b.warc").write_bytes(response(b"<p>Two"))
    environment = os.environ | {"PYTHONPATH": str(blocked)}
    command = [sys.executable, "-m", "detector.cli", "label", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ran.returncode == 1
    assert "a.parquet: Parquet needs pyarrow: pip install 'banner-detector[parquet]'" in ran.stderr
    assert "b.warc: WARC needs fastwarc: pip install 'banner-detector[warc]'" in ran.stderr
    assert json.loads(ran.stdout)["text"] == "One"


TEN_FAULTS = (
    b"{broken\n",
    b"[1]\n",
    b'"text"\n',
    b'{"id": 1}\n',
    b'{"text": null}\n',
    b'{"text": 5}\n',
    b'{"text": "caf\xe9"}\n',
    b'{"text": "a", "x": NaN}\n',
    b'{"text": "cut off\n',
    b'{"text": "' + b"x" * 5_000 + b'"}\n',
)


def test_ten_faults_each_cost_their_record_alone(tmp_path):
    path, lane, out = tmp_path / "in.jsonl", tmp_path / "errors.jsonl", tmp_path / "out.jsonl"
    with path.open("wb") as file:
        for i in range(1_000):
            file.write(TEN_FAULTS[i // 10 % 10] if i % 10 == 5 else b'{"text": "Number %d of the street."}\n' % i)
    ran = run("label", path, "-o", out, "--errors", lane, "--max-page-bytes", 4_000, code=1)
    assert "1,000 pages: 900 labelled, 100 failed" in ran.stderr
    failures = [json.loads(line) for line in lane.read_text(encoding="utf-8").splitlines()]
    assert [failure["record"] for failure in failures] == list(range(6, 1_000, 10))
    reasons = [failure["reason"].split("(")[0] for failure in failures]
    assert reasons[:10] * 10 == reasons
    expected = (
        "not JSON",
        "a JSON list",
        "a JSON str",
        "no text",
        "no text",
        "the field 'text' holds",
        "byte 13",
        "NaN is",
        "not JSON",
    )
    assert [reason.startswith(start) for reason, start in zip(reasons, expected, strict=False)] == [True] * 9
    assert "--max-page-bytes" in reasons[9]
    assert len(out.read_text(encoding="utf-8").splitlines()) == 900


def test_the_suffix_of_the_output_tells_its_format(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        "<html><h1>The ferry sails again</h1><p>It had been laid up since the storm, the board said.</p></html>"
    )
    run("clean", page, "-o", tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text(encoding="utf-8").startswith("# The ferry")
    run("clean", page, page, "-o", tmp_path / "pages.md", code=2)
    run("clean", page, "-o", tmp_path / "page.md", "--resume", "--overwrite", code=2)
