from __future__ import annotations

import gzip
import json
import subprocess

import pytest

from training.corpus import read_html, read_pages
from training.rebuild import rebuild, strip_text, write_jsonl

HTML = "<html><body><nav><ul><li>Home<li>News</ul></nav><h1>Title</h1><p>Body é</p></body></html>"


@pytest.fixture
def clone(tmp_path):
    folder = tmp_path / "clones" / "pages"
    folder.mkdir(parents=True)
    (folder / "a.html").write_text(HTML, encoding="utf-8")
    (folder / "b.html.gz").write_bytes(gzip.compress(HTML.encode()))
    git = ["git", "-C", str(folder), "-c", "user.name=n", "-c", "user.email=e@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "pages"]):
        subprocess.run([*git, *command], check=True)
    return folder, subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()


def record(commit: str, path: str, text: str) -> dict:
    lines = [line for line in text.split("\n") if line.strip()]
    own = {"id": path, "source": "owner/pages", "commit": commit, "path": path, "url": "u", "host": "h", "lang": "en"}
    return own | {"page_type": None, "text": text, "labels": "B" * len(lines)}


def test_stripped_labels_rebuild_the_corpus(clone, tmp_path):
    folder, commit = clone
    text = "  Home\n  News\n\nTitle\n\nBody é"
    records = [record(commit, "a.html", text), record(commit, "b.html.gz", text)]
    write_jsonl(tmp_path / "train.jsonl.gz", records)
    stripped = strip_text(tmp_path / "train.jsonl.gz")
    assert "Body" not in json.dumps(stripped)
    (tmp_path / "labels").mkdir()
    write_jsonl(tmp_path / "labels" / "train.jsonl.gz", stripped)
    (folder / "a.html").unlink()  # what was committed counts, not the working tree
    outcome = rebuild(tmp_path / "labels" / "train.jsonl.gz", tmp_path / "clones", tmp_path / "out.jsonl.gz", print)
    assert (outcome.rebuilt, outcome.failed) == (2, ())
    rebuilt = read_pages(tmp_path / "out.jsonl.gz")
    assert [page.text.split() for page in rebuilt] == [text.split()] * 2
    assert [page.labels for page in rebuilt] == ["BBBB"] * 2
    for page in rebuilt:
        assert read_html(tmp_path, page) == HTML.encode()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"path": "none.html"}, "has no none.html"),
        ({"source": "owner/other"}, "no clone of owner/other"),
        ({"text": "  Home\n  News\n\nOther\n\nBody é"}, "its line 3 is not the one"),
    ],
)
def test_what_cannot_be_rebuilt_is_left_out_and_named(clone, tmp_path, change, says):
    _, commit = clone
    good = record(commit, "a.html", "Home\nNews\nTitle\nBody é")
    write_jsonl(tmp_path / "train.jsonl.gz", [good, good | {"id": "bad"} | change])
    write_jsonl(tmp_path / "labels.jsonl.gz", strip_text(tmp_path / "train.jsonl.gz"))
    outcome = rebuild(tmp_path / "labels.jsonl.gz", tmp_path / "clones", tmp_path / "out.jsonl.gz", print)
    assert outcome.rebuilt == 1
    assert len(outcome.failed) == 1
    assert "record 2 (bad)" in outcome.failed[0]
    assert says in outcome.failed[0]


def test_the_same_records_give_the_same_bytes(tmp_path):
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        write_jsonl(tmp_path / name, [{"id": 1}])
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
