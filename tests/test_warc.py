from __future__ import annotations

import gzip

import pytest

from tests.corpus import HTML, TEXT, conversion, label, response, texts, warcinfo

RENDERED = "The council met on Tuesday.\n\nSubscribe to our newsletter!"
PAGE = HTML.encode()


@pytest.mark.parametrize("suffix", [".warc", ".warc.gz"])
def test_responses_are_pages(tmp_path, suffix):
    records = [
        warcinfo(),
        response(PAGE, uri="http://a.example/1"),
        response("<meta charset=koi8-r><p>Дорога".encode("koi8-r"), kind="text/html"),
        response(TEXT.encode(), kind="text/plain", uri="http://a.example/2"),
        response(gzip.compress(PAGE), encoding="gzip"),
    ]
    pack = gzip.compress if suffix.endswith(".gz") else bytes
    (tmp_path / f"a{suffix}").write_bytes(b"".join(map(pack, records)))
    found, told = label(tmp_path)
    assert not told.failures
    assert texts(found) == [RENDERED, "Дорога", TEXT, RENDERED]
    first = found[0]
    assert (first["id"], first["url"]) == ("<urn:uuid:http://a.example/1>", "http://a.example/1")
    assert first["date"] == "2026-01-02T03:04:05Z"


def test_what_is_no_page_is_counted_apart(tmp_path):
    records = [
        response(b"\x89PNG", kind="image/png"),
        response(PAGE, status="404 Not Found"),
        response(b"", status="301 Moved Permanently"),
        conversion(TEXT),
        response(PAGE),
    ]
    (tmp_path / "a.warc").write_bytes(b"".join(records))
    found, told = label(tmp_path)
    assert texts(found) == [RENDERED]
    assert (told.tallies[0].skipped, told.failures) == (3, [])


@pytest.mark.parametrize("name", ["a.wet", "a.warc.wet.gz", "CC-MAIN.WET.GZ"])
def test_conversions_are_pages_of_text(tmp_path, name):
    data = warcinfo() + conversion(TEXT, uri="http://a.example/1") + conversion("日本語のページ")
    (tmp_path / name).write_bytes(gzip.compress(data) if name.lower().endswith(".gz") else data)
    found, told = label(tmp_path / name)
    assert texts(found) == [TEXT, "日本語のページ"]
    assert (found[0]["url"], told.failures) == ("http://a.example/1", [])


@pytest.mark.parametrize("error", [-20, -5, 5, 20, 500, 1_000_000])
def test_a_wrong_length_costs_one_record(tmp_path, error):
    names = [f"http://a.example/{i}" for i in range(5)]
    records = [conversion(TEXT, uri=uri, error=error if i == 2 else 0) for i, uri in enumerate(names)]
    (tmp_path / "a.wet").write_bytes(b"".join(records))
    found, told = label(tmp_path)
    assert [record["url"] for record in found] == names[:2] + names[3:]
    (failure,) = told.failures
    assert failure.record == 3
    assert "Content-Length is wrong" in failure.reason


def test_what_is_no_record_costs_itself(tmp_path):
    headless = conversion(TEXT).replace(b"Content-Length", b"Content-Size")
    data = conversion("One") + b"<html>rubbish\r\n" * 20_000 + conversion("Two") + headless + conversion("Three")
    (tmp_path / "a.wet").write_bytes(data)
    found, told = label(tmp_path)
    assert texts(found) == ["One", "Two", "Three"]
    assert [(failure.record, "no WARC header" in failure.reason) for failure in told.failures] == [(2, True), (4, True)]


def test_a_record_that_is_too_long_is_passed_over(tmp_path):
    long = response(b"<p>x" * 500_000)
    bomb = response(gzip.compress(bytes(50_000_000)), encoding="gzip")
    (tmp_path / "a.warc").write_bytes(response(PAGE) + long + bomb + response(PAGE))
    found, told = label(tmp_path, limit=1_000_000)
    assert texts(found) == [RENDERED] * 2
    assert [failure.record for failure in told.failures] == [2, 3]
    assert all("more than 1,000,000 bytes" in reason for reason in told.reasons)


def test_a_crawl_that_breaks_off_keeps_what_is_whole(tmp_path):
    records = [gzip.compress(response(PAGE)) for _ in range(3)]
    (tmp_path / "a.warc.gz").write_bytes(b"".join(records)[:-40])
    (tmp_path / "b.warc").write_bytes((response(PAGE) * 3)[:-40])
    found, told = label(tmp_path)
    assert texts(found) == [RENDERED] * 4
    assert [failure.record for failure in told.failures] == [3, 3]


def test_a_broken_response_costs_itself(tmp_path):
    (tmp_path / "a.warc").write_bytes(response(b"no gzip", encoding="gzip") + response(PAGE))
    found, told = label(tmp_path)
    assert texts(found) == [RENDERED]
    assert [failure.record for failure in told.failures] == [1]
