from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.site import PAGES

EXAMPLES = Path(__file__).parents[1] / "examples"


def check(lines):
    records = [json.loads(line) for line in lines]
    assert sorted(int(record["url"].rsplit("/", 1)[1]) for record in records) == list(range(PAGES))
    assert all(record["clean_text"] for record in records)
    return records


@pytest.mark.parametrize("name", ["httpx", "crawlee"])
def test_an_asyncio_crawler_labels_every_page_once(site, name, tmp_path):
    command = [sys.executable, EXAMPLES / f"crawl_{name}.py", site]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    check(ran.stdout.splitlines())
    assert ran.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_the_scrapy_example_labels_every_page_once(site, tmp_path):
    command = [sys.executable, EXAMPLES / "crawl_scrapy.py", site, "pages.jsonl"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    records = check((tmp_path / "pages.jsonl").read_text(encoding="utf-8").splitlines())
    assert all(record["paragraphs"] and record["text"] for record in records)
    assert f"'detector/pages': {PAGES}," in ran.stderr
    assert "ERROR" not in ran.stderr
