from __future__ import annotations

import gzip
import json
import sys

import pytest
from typer.testing import CliRunner

from training.benchmarks.contenders import Contender, contenders, installed
from training.benchmarks.speed import html_speed, text_speed
from training.cli import app
from training.corpus import CorpusError, Document
from training.extraction import trained_hosts

BODY = "The mill at the ford ground its last grain on Friday, and the miller hung up his apron for good. " * 3
HTML = f"""<html><head><title>The mill</title></head><body><nav><a href=/>Home</a> <a href=/news>News</a></nav>
<main><article><h1>The mill stops</h1><p>{BODY}</p><p>{BODY}</p></article></main>
<footer><p>© The Ford Gazette</p></footer></body></html>"""


def run(*arguments, code: int = 0):
    ran = CliRunner().invoke(app, list(map(str, arguments)))
    assert ran.exit_code == code, ran.output
    return ran


@pytest.fixture
def corpus(tmp_path):
    """A page whose host is free, one whose host models learn from, and a labelled one."""
    hosts = {"a": "a.example", "b": min(trained_hosts())}
    weak = [
        {"id": key, "host": host, "page_type": "article", "main_content": f"The mill stops\n{BODY}\n{BODY}"}
        for key, host in hosts.items()
    ]
    dev = {"id": "c", "lang": "en", "host": "c.example", "text": f"Home\nThe mill stops\n{BODY}\n", "labels": "BEE"}
    for name, records in (("weak", weak), ("dev", [dev]), ("train", [dev])):
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (tmp_path / f"{name}.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "html").mkdir()
    for key in "abc":
        (tmp_path / "html" / f"{key}.html.gz").write_bytes(gzip.compress(HTML.encode()))
    return tmp_path


def test_every_extractor_finds_the_article(detector):
    texts = {each.name: each.make()(HTML) for each in installed(contenders(detector))[0]}
    assert {"detector", "detector --recall", "resiliparse"} <= texts.keys()
    assert [name for name, text in texts.items() if BODY[:40] not in " ".join(text.split())] == []
    # --recall rather keeps too much.
    assert [name for name, text in texts.items() if "Gazette" in text] in ([], ["detector --recall"])


def test_what_is_not_installed_is_named_and_left_out(detector):
    missing = Contender("Nobody's", "no_such_module", lambda: str)
    present, names = installed([missing, *contenders(detector)])
    assert names[0] == "Nobody's"
    assert missing not in present


def test_extract_reads_a_clone_of_the_article_benchmark(corpus, tmp_path):
    truth = {"a": {"articleBody": f"The mill stops\n{BODY}\n{BODY}", "url": "https://a.example/mill"}}
    (tmp_path / "ground-truth.json").write_text(json.dumps(truth))
    ran = run("benchmark", "extract", "--suite", "aeb", "--root", corpus)
    assert "1 pages of 1 hosts; 0 pages of 0 hosts left out" in ran.stdout
    assert "accuracy" in ran.stdout


def test_extract_leaves_out_hosts_that_models_learn_from(corpus, tmp_path):
    out = tmp_path / "out.json"
    ran = run("benchmark", "extract", "--suite", "wcxb", "--corpus", corpus, "--json", out)
    assert "1 pages of 1 hosts; 1 pages of 1 hosts left out" in ran.stdout
    found = json.loads(out.read_text())
    assert (found["pages_in_suite"], found["pages_measured"]) == (2, 1)
    assert found["by_page_type"]["all"]["detector"]["f1"] > 0.9
    assert [page["id"] for page in found["pages"]] == ["a"]


@pytest.mark.parametrize(
    ("suite", "sources", "message"),
    [
        ("wcxb", [], "name either"),
        ("wcxb", ["--root", "--corpus"], "name either"),
        ("aeb", ["--corpus"], "no pages of aeb"),
    ],
)
def test_extract_wants_one_source(corpus, suite, sources, message):
    options = [part for name in sources for part in (name, corpus)]
    ran = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["benchmark", "extract", "--suite", suite, *map(str, options)])
    assert ran.exit_code == 2
    assert message in ran.output


def test_extract_says_when_nothing_is_left(corpus):
    record = {"id": "b", "host": min(trained_hosts()), "page_type": "article", "main_content": BODY}
    (corpus / "weak.jsonl.gz").write_bytes(gzip.compress(json.dumps(record).encode()))
    ran = run("benchmark", "extract", "--suite", "wcxb", "--corpus", corpus, code=1)
    assert isinstance(ran.exception, CorpusError)
    assert "nothing is left" in str(ran.exception)


def test_after_names_the_extra_that_it_needs(corpus, monkeypatch):
    monkeypatch.setitem(sys.modules, "trafilatura", None)
    ran = run("benchmark", "after", "--corpus", corpus, code=1)
    assert "pip install 'banner-detector[benchmark]'" in ran.stderr


def test_align_counts_lines(corpus):
    ran = run("align", "--corpus", corpus)
    assert "dev: 66.667 % of 3 labelled lines align; 1 of 1 pages have HTML" in ran.stdout
    assert "c: 1 of 3 do not" in ran.stdout


def test_speed_is_of_all_contenders_on_the_same_input(detector, monkeypatch):
    monkeypatch.setattr("training.benchmarks.speed.ROUNDS", 1)
    page = Document("c", "en", "c.example", f"Home\nThe mill stops\nThe mill stops\nHome\n{BODY}\n", "BEEBE")
    text = text_speed([page, page], detector).as_json()
    assert text["lines"] == 10
    assert len(text["contenders"]) >= 4
    shown = html_speed([HTML, HTML], detector)
    html = shown.as_json()
    assert (html["pages"], next(iter(html["contenders"]))) == (2, "detector, label_html")
    assert "resiliparse" in html["contenders"]
    assert all(figures["pages_per_second"] > 0 for figures in html["contenders"].values())
    assert "one core" in str(shown)
