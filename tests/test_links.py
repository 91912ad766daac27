from __future__ import annotations

import pytest

from detector.links import domain, link_tokens, site_of


@pytest.mark.parametrize(
    ("host", "registered"),
    [("www.example.com", "example.com"), ("news.example.co.uk:80", "example.co.uk"), ("localhost", "localhost")],
)
def test_domains(host, registered):
    assert domain(host) == registered


@pytest.mark.parametrize("url", ["", None, "no url", "http://[broken", "/path"])
def test_what_is_no_url_has_no_site(url):
    assert site_of(url) == ""


def test_where_links_lead():
    assert "link=own" in link_tokens("/news/2024/a-long-way-home", "example.org")
    assert "link=own" in link_tokens("https://shop.example.org/", "example.org")
    assert {"link=away", "away=example.com"} <= link_tokens("//ads.example.com/x?utm_source=y", "example.org")
    assert "link=absolute" in link_tokens("https://example.com/", "")
    assert link_tokens("#top", "example.org") == link_tokens("", "") == {"link=#"}
    assert link_tokens("mailto:a@example.org", "example.org") == {"link=mailto"}


def test_what_paths_and_queries_say():
    tokens = link_tokens("/newsletter/sign-up/the-seven-day-wonder?utm_source=box&utm_medium=", "example.org")
    assert {"to=newsletter", "to=sign", "to=up", "depth=3", "slug=3", "by=utm_source", "by=utm_medium"} <= tokens
    assert "slug=00" in link_tokens("/2024", "example.org")


def test_data_in_place_of_a_target_is_cut():
    assert len(link_tokens("/" + "a-" * 1_000_000, "example.org")) < 12
