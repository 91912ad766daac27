from __future__ import annotations

import json

import numpy as np
import pytest

from detector import Detector, Label, SiteMemory, segment
from detector.labels import LABELS
from tests.test_cli import records, run

LETTER = "Dear readers, this small paper lives from what you give. If you can, put a few coins into our tin today."
WORDS = ["the", "ferry", "harbour", "council", "bridge", "storm", "lantern", "orchard", "winter", "school", "market"]


def article(number: int, sentences: int = 4) -> list[tuple[str, float]]:
    """Paragraphs that no other number gives, each surely editorial."""
    rng = np.random.default_rng(number)
    return [(" ".join([f"Part {number}-{part}:", *rng.choice(WORDS, 14)]) + ".", 0.99) for part in range(sentences)]


def page(address: str | None, *paragraphs: tuple[str, float]):
    """A labelled page: texts, each with how editorial it was read; promo has most of the rest."""
    read = segment("\n\n".join(text for text, _ in paragraphs)).with_record(None, address, {})
    rows = [[p, (1 - p) * 0.8, (1 - p) * 0.1, (1 - p) * 0.1] for _, p in paragraphs]
    return read.with_scores(np.array(rows, dtype=np.float32))


def site(pages: int, *furniture: tuple[str, float], host: str = "paper.example"):
    return [page(f"https://{host}/{number}", *article(number), *furniture) for number in range(pages)]


def editorial(page, text: str) -> float:
    (found,) = [paragraph for paragraph in page.paragraphs if paragraph.text == text]
    return found.scores[Label.EDITORIAL]


def test_a_letter_beside_many_articles_is_no_longer_editorial_and_the_articles_are():
    pages = SiteMemory().update(site(10, (LETTER, 0.9)))
    for number, seen in enumerate(pages):
        assert seen.labels == (Label.EDITORIAL,) * 4 + (Label.PROMO,)
        assert [editorial(seen, text) for text, _ in article(number)] == pytest.approx([0.99] * 4)
        assert np.allclose(seen.scores.sum(axis=1), 1, atol=1e-5)


def test_the_more_articles_the_less_editorial():
    seen = [editorial(SiteMemory().update(site(pages, (LETTER, 0.9)))[0], LETTER) for pages in (2, 3, 5, 9, 20)]
    assert seen == sorted(seen, reverse=True)
    assert seen[0] == pytest.approx(0.9)


@pytest.mark.parametrize("pages", [2, 3])
def test_what_two_or_three_pages_share_stays_as_editorial_as_it_was_read(pages):
    seen = SiteMemory().update(site(pages, (LETTER, 0.6)))
    assert [editorial(page, LETTER) for page in seen] == pytest.approx([0.6] * pages)


@pytest.mark.parametrize("changed", [0, 1])
def test_an_article_under_many_addresses_is_one_article(changed):
    versions = [page(f"https://paper.example/{n}", *article(7), *article(100 + n, changed)) for n in range(30)]
    for seen in SiteMemory().update([*versions, *site(5)]):
        assert set(seen.labels) == {Label.EDITORIAL}
        assert seen.scores[:, 0].min() == pytest.approx(0.99)


def test_a_storys_background_in_some_of_many_articles_stays():
    background = ("The bridge fell in the storm of 1987; since then the council and the valley have argued.", 0.9)
    pages = [
        page(f"https://paper.example/{n}", *article(n), *([background] if n % 40 == 0 else [])) for n in range(400)
    ]
    seen = SiteMemory().update(pages)
    assert editorial(seen[0], background[0]) == pytest.approx(0.9)


def test_headings_that_articles_share_stay():
    pages = SiteMemory().update(site(20, ("Ingredients", 0.9)))
    assert editorial(pages[0], "Ingredients") == pytest.approx(0.9)


def test_readings_of_one_paragraph_steady_each_other():
    footer = "Imprint and privacy"
    pages = [page(f"https://paper.example/{n}", *article(n), (footer, 0.7 if n == 3 else 0.02)) for n in range(8)]
    assert LABELS[pages[3].scores[-1].argmax()] is Label.EDITORIAL
    seen = SiteMemory().update(pages)
    assert all(page.labels[-1] is Label.PROMO for page in seen)


@pytest.mark.parametrize("address", [None, "", "no address", "http://[broken"])
def test_pages_without_a_host_are_left_as_they_are(address):
    pages = [page(address, *article(n), (LETTER, 0.9)) for n in range(10)]
    assert all(seen is given for seen, given in zip(SiteMemory().update(pages), pages, strict=True))


def test_what_stands_twice_on_a_page_says_nothing():
    pages = site(10, (LETTER, 0.9), (LETTER, 0.8))
    assert all(seen is given for seen, given in zip(SiteMemory().update(pages), pages, strict=True))


def test_hosts_know_nothing_of_one_another():
    pages = [page for n in range(10) for page in site(1, (LETTER, 0.9), host=f"blog-{n}.example")]
    assert all(seen is given for seen, given in zip(SiteMemory().update(pages), pages, strict=True))
    both = site(2, (LETTER, 0.9)) + site(4, (LETTER, 0.9), host="www.paper.example")[2:]
    assert editorial(SiteMemory().update(both)[0], LETTER) < 0.9


def test_memory_is_bounded_and_the_host_seen_last_is_kept():
    memory = SiteMemory(hosts=2, paragraphs=20)
    for host in ("a.example", "b.example", "c.example"):
        memory.learn(site(50, (LETTER, 0.9), host=host))
    first, last = (memory.recall(site(1, (LETTER, 0.9), host=host))[0] for host in ("a.example", "c.example"))
    assert editorial(first, LETTER) == pytest.approx(0.9)
    assert editorial(last, LETTER) < 0.1
    kept = sum(array.nbytes for s in memory._sites.values() for array in vars(s).values() if hasattr(array, "nbytes"))
    assert kept == 2 * 20 * 36


def test_the_host_seen_longest_ago_is_forgotten():
    memory = SiteMemory(hosts=2)
    for host in ("a.example", "b.example", "a.example", "c.example"):
        memory.learn(site(20, (LETTER, 0.9), host=host))
    seen = {host: editorial(memory.recall(site(1, (LETTER, 0.9), host=host))[0], LETTER) for host in memory._sites}
    assert list(seen) == ["a.example", "c.example"]
    assert max(seen.values()) < 0.1


def test_what_was_seen_twice_outlasts_what_was_seen_once():
    memory = SiteMemory(paragraphs=20)
    pages = site(30, (LETTER, 0.9))
    rare = [page if n < 2 or n > 27 else given for n, (page, given) in enumerate(zip(pages, site(30), strict=True))]
    memory.learn(rare)
    assert editorial(memory.recall(pages)[0], LETTER) < 0.7


def test_recalling_teaches_nothing():
    memory = SiteMemory()
    memory.learn(site(3, (LETTER, 0.9)))
    once = memory.recall(site(9, (LETTER, 0.9)))
    again = memory.recall(site(9, (LETTER, 0.9)))
    assert [editorial(p, LETTER) for p in once] == [editorial(p, LETTER) for p in again]


def test_pages_without_labels_are_refused():
    with pytest.raises(ValueError, match="no labels yet"):
        SiteMemory().learn([segment("one").with_record(None, "https://paper.example/", {})])


def crawl(pages: int):
    return [given.with_record(str(n), given.url, {}) for n, given in enumerate(site(pages, (LETTER, 0.9)))]


def test_one_pass_teaches_as_it_goes_and_two_teach_before(tiny):
    detector = Detector(tiny.model)
    pages = crawl(200)
    alone = list(detector.label_stream(pages))
    assert all(np.array_equal(a.scores, b.scores) for a, b in zip(alone, detector.label_many(pages), strict=True))
    one = list(detector.label_many(pages, site_memory=True))
    memory = detector.learn_sites(iter(pages))
    two = list(detector.label_stream(pages, site_memory=memory))
    assert [page.id for page in one] == [page.id for page in two] == [page.id for page in pages]
    assert editorial(two[0], LETTER) < editorial(one[0], LETTER) < editorial(alone[0], LETTER)
    expected = SiteMemory()
    expected.learn(alone)
    assert all(np.array_equal(a.scores, b.scores) for a, b in zip(two, expected.recall(alone), strict=True))


def test_plain_texts_have_no_site(tiny):
    detector = Detector(tiny.model)
    texts = [page.text for page in crawl(5)]
    alone, together = detector.label_many(texts), detector.label_many(texts, site_memory=True)
    assert all(np.array_equal(a.scores, b.scores) for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize("command", ["label", "clean"])
def test_the_command_line_has_it(command, tiny, tiny_folder, tmp_path):
    pages = crawl(12)
    dump = tmp_path / "crawl.jsonl"
    lines = [json.dumps({"id": page.id, "url": page.url, "text": page.text}) for page in pages]
    dump.write_text("\n".join(lines), encoding="utf-8")
    written = records(run(command, dump, "--site-memory", "--model", tiny_folder))
    labelled = list(Detector(tiny.model).label_stream(pages, site_memory=True))
    assert len(written) == len(labelled)
    for record, page in zip(written, labelled, strict=True):
        if command == "clean":
            assert record["text"] == page.keep("editorial")
        else:
            assert [p["label"] for p in record["paragraphs"]] == list(page.labels)
    assert records(run(command, dump, "--model", tiny_folder)) != written
