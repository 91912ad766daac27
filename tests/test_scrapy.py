from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from scrapy.utils.test import get_crawler

from detector import ModelError
from detector.integrations.scrapy import LabelMiddleware, LabelPipeline
from tests.site import PAGES, sentence

ROOT = Path(__file__).parents[1]
SELECT = "twisted.internet.selectreactor.SelectReactor"
ASYNCIO = "twisted.internet.asyncioreactor.AsyncioSelectorReactor"
NEWSLETTER = "The council met on Tuesday to vote on the ferry.\n\nSubscribe to our newsletter, it is free!"


def process(settings, *items):
    """What comes out of a pipeline with these settings, and the crawler's stats."""
    crawler = get_crawler(settings_dict=settings)
    pipeline = LabelPipeline.from_crawler(crawler)

    async def all_at_once():
        return await asyncio.gather(*(pipeline.process_item(item) for item in items))

    out = asyncio.run(all_at_once())
    pipeline.close_spider()
    return out, crawler.stats.get_stats()


def number_of(url):
    return int(url.rsplit("/", 1)[1])


def check_spans(item):
    covered = "".join(item["text"][p["start"] : p["end"]] for p in item["paragraphs"])
    assert "".join(covered.split()) == "".join(item["text"].split())
    kept = [item["text"][p["start"] : p["end"]] for p in item["paragraphs"] if p["label"] == "editorial"]
    assert "".join("".join(kept).split()) == "".join(item["clean_text"].split())


def crawl(site, out, reactor, stop_after=0):
    """What a crawl of the site says of itself, and its log."""
    command = [sys.executable, "-W", "error", "-m", "tests.crawl", site, str(out), reactor, str(stop_after)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    return json.loads(out.read_text(encoding="utf-8")), ran.stderr


@pytest.mark.parametrize("reactor", [ASYNCIO, SELECT], ids=["asyncio", "select"])
def test_a_crawl_labels_every_kind_of_item_and_bad_ones_cost_nothing_else(site, tmp_path, reactor):
    result, log = crawl(site, tmp_path / "out.json", reactor)
    labelled = [item for item in result["items"] if item.get("paragraphs")]
    assert sorted(number_of(item["url"]) for item in labelled) == list(range(PAGES))
    assert {item["kind"] for item in labelled} == {"dict", "DeclaredItem", "DataItem", "AttrsItem"}
    for item in labelled:
        check_spans(item)
        assert sentence(number_of(item["url"])) in item["text"]
        assert item["seen"] == len(item["paragraphs"])
    # The picture, HTML that is a number, a class without the fields; an item that is no page.
    assert len(result["items"]) == PAGES + 4
    stats = result["stats"]
    assert (stats["detector/failed"], stats["detector/skipped"]) == (3, 1)
    assert stats["detector/pages"] == 2 * PAGES, "once by the middleware, once by the pipeline"
    assert stats["detector/seconds"] > 0
    counts = Counter(p["label"] for item in labelled for p in item["paragraphs"])
    assert {label: stats[f"detector/paragraphs/{label}"] for label in counts} == {k: 2 * n for k, n in counts.items()}
    assert log.count("not labelled:") == 3
    assert "/picture: not labelled: the field 'html' is no HTML (a NUL byte at offset 8)" in log
    assert "NarrowItem has no field 'text': declare it, or set DETECTOR_TEXT_FIELD" in log


def test_a_crawl_that_is_stopped_labels_every_item_that_the_spider_gave(site, tmp_path):
    result, _ = crawl(site, tmp_path / "out.json", ASYNCIO, stop_after=6)
    assert 6 <= len(result["items"]) == result["given"] < PAGES
    assert all(item["paragraphs"] for item in result["items"] if "seen" in item)


def test_text_is_labelled_before_html_and_stays_as_it_is():
    [item], _ = process({}, {"text": NEWSLETTER, "html": "<p>another text"})
    assert item["text"] == NEWSLETTER
    assert item["clean_text"] == "The council met on Tuesday to vote on the ferry."
    assert [p["label"] for p in item["paragraphs"]] == ["editorial", "promo"]


def test_fields_and_labels_are_settings():
    settings = {
        "DETECTOR_KEEP": "promo, boilerplate",
        "DETECTOR_TEXT_FIELD": "body",
        "DETECTOR_CLEAN_FIELD": "noise",
        "DETECTOR_LABELS_FIELD": "",
    }
    [item], _ = process(settings, {"body": NEWSLETTER})
    assert item == {"body": NEWSLETTER, "noise": "Subscribe to our newsletter, it is free!"}


def test_the_html_field_is_a_setting():
    [item], _ = process({"DETECTOR_HTML_FIELD": "raw"}, {"raw": "<p>The council met.</p>".encode("utf-16")})
    assert item["text"] == "The council met."


def test_a_model_of_ones_own(tiny_folder, tiny):
    [item], _ = process({"DETECTOR_MODEL": str(tiny_folder)}, {"text": NEWSLETTER})
    [bundled], _ = process({}, {"text": NEWSLETTER})
    assert item["paragraphs"] != bundled["paragraphs"]


@pytest.mark.parametrize("component", [LabelPipeline, LabelMiddleware])
def test_a_model_that_is_not_there_stops_the_crawl_before_it_starts(component, tmp_path):
    crawler = get_crawler(settings_dict={"DETECTOR_MODEL": str(tmp_path)})
    with pytest.raises(ModelError, match="card"):
        component.from_crawler(crawler)


def test_a_label_that_does_not_exist_stops_the_crawl_before_it_starts():
    crawler = get_crawler(settings_dict={"DETECTOR_KEEP": ["editorials"]})
    with pytest.raises(ValueError, match=r"DETECTOR_KEEP: 'editorials' .* labels are editorial, promo"):
        LabelPipeline.from_crawler(crawler)


def test_text_that_is_not_text_is_passed_on_and_counted():
    (bad, good), stats = process({}, {"text": b"bytes"}, {"text": "The council met."})
    assert bad == {"text": b"bytes"}
    assert good["paragraphs"]
    assert all(p["confidence"] == round(p["confidence"], 4) for p in good["paragraphs"])
    assert (stats["detector/failed"], stats["detector/pages"]) == (1, 1)


def test_without_scrapy_one_line_says_what_to_install():
    for name in ("scrapy", "scrapy.utils.asyncio"):
        code = f"import sys; sys.modules[{name!r}] = None; import detector.integrations.scrapy"
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert f"(for Scrapy 2.14 or newer) needs {name}: pip install 'banner-detector[scrapy]'" in ran.stderr
        assert "\nDuring handling" not in ran.stderr
