from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sys

import pytest

from detector.batch import Writing, label_all
from detector.formats.compression import CODECS
from detector.sources import DamagedError, opened
from tests.corpus import HTML, TEXT, Told, jsonl, label, plan, texts, warcinfo

PAGES = 2_000


@pytest.fixture
def plain(tmp_path):
    return jsonl(tmp_path / "pages.jsonl", PAGES)


@pytest.fixture(params=CODECS, ids=lambda codec: codec.name)
def codec(request):
    return request.param


def test_what_is_compressed_is_read_and_written(plain, codec, tmp_path):
    expected = io.BytesIO()
    label_all(plan(plain), Told(), expected)
    packed = tmp_path / f"packed.jsonl{codec.suffix}"
    packed.write_bytes(codec.member(plain.read_bytes()))
    out = tmp_path / f"out.jsonl{codec.suffix}"
    label_all(plan(packed, writing=Writing(suffix=codec.suffix), output=out), Told(), None)
    with opened(str(out)) as source:
        assert source.read(1 << 30) == expected.getvalue()
        assert source.consumed == out.stat().st_size < len(expected.getvalue())


def test_other_tools_write_many_members_and_read_ours(plain, codec, tmp_path):
    lines = plain.read_bytes().splitlines(keepends=True)
    packed = tmp_path / f"packed.jsonl{codec.suffix}"
    packed.write_bytes(codec.member(b"".join(lines[:70])) + codec.member(b"".join(lines[70:])))
    assert len(label(packed)[0]) == PAGES


@pytest.mark.parametrize(
    ("suffix", "unpack"), [(".gz", gzip.decompress), (".bz2", bz2.decompress), (".xz", lzma.decompress)]
)
def test_the_standard_library_reads_what_is_written(tmp_path, suffix, unpack):
    path = jsonl(tmp_path / "pages.jsonl", 5_000)
    out = tmp_path / f"out.jsonl{suffix}"
    label_all(plan(path, writing=Writing(suffix=suffix), output=out), Told(), None)
    assert unpack(out.read_bytes()).count(b"\n") == 5_000


def test_data_that_break_off_cost_only_what_is_missing(plain, codec, tmp_path):
    members = [codec.member(line) for line in plain.read_bytes().splitlines(keepends=True)[:100]]
    packed = tmp_path / f"packed.jsonl{codec.suffix}"
    packed.write_bytes(b"".join(members)[: -len(members[-1]) // 2])
    records, told = label(packed)
    assert [record["id"] for record in records] == [f"page-{i}" for i in range(99)]
    (failure,) = told.failures
    assert (failure.file, failure.record) == (str(packed), 100)
    assert f"the {codec.name} data break off" in failure.reason


def test_damaged_data_cost_only_what_follows(plain, codec, tmp_path):
    members = [codec.member(line) for line in plain.read_bytes().splitlines(keepends=True)[:100]]
    wrong = bytearray(members[50])
    # Of the sum that is checked at the end; xz has it before its index.
    wrong[-30 if codec.name == "xz" else -4] ^= 0xFF
    packed = tmp_path / f"packed.jsonl{codec.suffix}"
    packed.write_bytes(b"".join([*members[:50], bytes(wrong), *members[51:]]))
    records, told = label(packed)
    assert [record["id"] for record in records][:50] == [f"page-{i}" for i in range(50)]
    assert len(records) <= 51
    (failure,) = told.failures
    assert f"damaged {codec.name} data" in failure.reason


def test_what_is_not_what_its_suffix_says(codec, tmp_path):
    (tmp_path / f"page.txt{codec.suffix}").write_text(TEXT)
    (tmp_path / "z.txt").write_text(TEXT)
    records, told = label(tmp_path)
    assert len(records) == 1
    assert f"damaged {codec.name} data" in told.reasons[0]


def test_a_bomb_is_a_failed_page(codec, tmp_path):
    (tmp_path / f"bomb.txt{codec.suffix}").write_bytes(codec.member(bytes(50_000_000)))
    (tmp_path / f"bomb.jsonl{codec.suffix}").write_bytes(
        codec.member(bytes(50_000_000)) + codec.member(b'\n{"text": "A"}')
    )
    records, told = label(tmp_path, limit=1_000_000)
    assert texts(records) == ["A"]
    assert [("more than 1,000,000 bytes" in reason) for reason in told.reasons] == [True, True]


def test_standard_input_is_told_by_its_first_bytes(plain, codec, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(codec.member(plain.read_bytes())))))
    assert len(label("-", input_format="jsonl")[0]) == PAGES


def test_a_file_that_shrinks_is_no_whole_page(tmp_path):
    path = tmp_path / "pages.jsonl"
    path.write_bytes(b'{"text": "One"}\n' * 100_000)
    with opened(str(path)) as source:
        source.read(16)
        os.truncate(path, 160)
        with pytest.raises(DamagedError, match="shrank from 1,600,000 to"):
            list(iter(lambda: source.read(1 << 20), b""))


def test_remote_files_are_read_through_fsspec(tmp_path):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe(
        {
            "/crawl/a.jsonl.gz": gzip.compress(b'{"text": "One"}\n'),
            "/crawl/b.html": HTML.encode(),
            "/crawl/c.bin": b"",
            "/crawl/d.wet": warcinfo(),
        }
    )
    try:
        records, told = label("memory://crawl/")
        assert texts(records) == ["One", "The council met on Tuesday.\n\nSubscribe to our newsletter!"]
        assert records[0]["id"] == "memory:///crawl/a.jsonl.gz:1"
        assert "1 file skipped" in told.notes[0]
        assert texts(label("memory://crawl/*.gz")[0]) == ["One"]
        assert label("memory://crawl/none.txt", "memory://none/*.txt", "what://a.example/b")[1].reasons == [
            "cannot be read (/crawl/none.txt)",
            "no such file or folder; check the name",
            "Protocol not known: what; check the address",
        ]
    finally:
        memory.rm("/crawl", recursive=True)


@pytest.mark.parametrize("name", ["page.txt", "page.html"])
def test_a_page_that_breaks_off_is_no_page(name, codec, tmp_path):
    whole = codec.member((HTML if name.endswith("html") else TEXT).encode() * 300)
    path = tmp_path / f"{name}{codec.suffix}"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    told = Told()
    tally = label_all(plan(path), told, io.BytesIO())
    assert (tally.labelled, tally.failed) == (0, 1)
    assert "break off" in told.failures[0].reason
