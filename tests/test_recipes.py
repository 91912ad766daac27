from __future__ import annotations

import gzip
import io
import subprocess
import sys
from pathlib import Path

import pytest
from markdownify import markdownify
from resiliparse.extract.html2text import extract_plain_text

from recipes import after_justext, after_resiliparse, after_trafilatura, markdown, wet

ROOT = Path(__file__).parents[1]
LETTER = (ROOT / "tests" / "cases" / "letter.html").read_text(encoding="utf-8")
"""An article with a newsletter box and a donation letter in prose, teasers below; no model was trained on it."""
ARTICLE = (
    "If you want to cross the Esk at Sandhaven",
    "The service has run this way since 1922",
    "“I told them it leaves when somebody rings,”",
    "The authority counted passengers for a week in June.",
    "Mr Inch has filled in the form.",
    "On Wednesday the rope was pulled nine times.",
)
NOISE = (
    "never miss a story from the harbour",
    "please become a supporter today",
    "Support the Lantern from",
    "You can unsubscribe at any time",
    "Harbour crane sold twice",
    "Privacy policy",
)
READER = "Title: The ferry\n\nURL Source: https://lantern.example/ferry\n\nMarkdown Content:\n\n"


def record(kind, url, body):
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nContent-Length: {len(body)}\r\n\r\n"
    return gzip.compress(head.encode() + body + b"\r\n\r\n")


def wet_file(*texts):
    """A WET file as Common Crawl has them: what it is, then a conversion a page, each record gzipped on its own."""
    pages = [record("conversion", f"https://lantern.example/{i}", text.encode()) for i, text in enumerate(texts)]
    return io.BytesIO(record("warcinfo", "", b"Software-Info: an invented crawl\r\n") + b"".join(pages))


def clean_wet(html):
    [(_, text)] = wet.clean(wet_file(extract_plain_text(html, list_bullets=False)))
    return text


def clean_markdown(html):
    return markdown.clean(READER + markdownify(html, heading_style="ATX"))


@pytest.mark.parametrize(
    "clean",
    [
        after_trafilatura.clean,
        after_resiliparse.clean,
        lambda html: after_justext.clean(html, "English"),
        clean_wet,
        clean_markdown,
    ],
    ids=["trafilatura", "resiliparse", "justext", "wet", "markdown"],
)
def test_the_article_stays_and_the_letter_the_box_and_the_teasers_go(clean):
    text = clean(LETTER)
    assert [start for start in ARTICLE if start not in text] == []
    assert [noise for noise in NOISE if noise in text] == []


def test_an_extractor_that_finds_nothing_gives_an_empty_page():
    assert after_trafilatura.clean("<html><body></body></html>") == ""
    assert after_resiliparse.clean("<html><body></body></html>") == ""
    assert after_justext.clean("<html><body></body></html>", "English") == ""


def test_justext_keeps_its_own_verdict_beside_the_label():
    html = "<p>The council met\n  on Tuesday to vote on the ferry and the bell.</p><p>Sign up to our newsletter</p>"
    (article, article_label), (box, box_label) = after_justext.labelled(html, "English")
    assert (article_label, box_label) == ("editorial", "promo")
    assert (article.is_boilerplate, box.is_boilerplate) == (True, True), "it calls both too short"


def test_wet_records_come_out_in_order_with_their_addresses():
    texts = [f"{ARTICLE[1]}, says page {number}, and there is still no bridge over the Esk." for number in range(150)]
    found = list(wet.clean(wet_file(*texts)))
    assert [url for url, _ in found] == [f"https://lantern.example/{number}" for number in range(150)]
    assert [text for _, text in found] == texts


def test_wet_from_the_shell(tmp_path):
    path = tmp_path / "crawl.wet.gz"
    path.write_bytes(wet_file("\n".join([*ARTICLE, "Subscribe to our newsletter"])).getvalue())
    ran = subprocess.run([sys.executable, ROOT / "recipes" / "wet.py", path], capture_output=True, check=True)
    address, _, *lines = ran.stdout.decode().splitlines()
    assert address == "# https://lantern.example/0"
    assert ARTICLE[1] in lines
    assert "Subscribe to our newsletter" not in lines


def test_what_is_kept_of_markdown_is_still_markdown():
    page = (
        "# The *ferry* that runs on a bell\n\n"
        "The service has run since [1922](https://lantern.example/1922 'a title'), when the last\n"
        "bridge went out with the ice. There is no timetable.\n\n"
        "1. Walk to the end of the slip.\n2. Pull the rope twice and wait for the boat.\n\n"
        "| Day | Crossings |\n| --- | --- |\n| Monday | 12 |\n\n"
        "[Sign up to our free weekly newsletter!](https://lantern.example/news)\n"
    )
    blocks = [block.words for block in markdown.blocks(page)]
    assert blocks[:2] == [
        "The ferry that runs on a bell",
        "The service has run since 1922, when the last bridge went out with the ice. There is no timetable.",
    ]
    kept = markdown.clean(page)
    assert kept.startswith(page.split("1. Walk")[0].rstrip())
    assert "1. Walk to the end of the slip.\n2. Pull the rope" in kept
    assert "newsletter" not in kept


def test_list_items_of_one_length_are_not_taken_for_wrapped_lines():
    page = "\n".join(f"* [{'Harbour news and notes ' * 3}{number:02}](/{number})" for number in range(12))
    assert len(markdown.labelled(page)) == 12
