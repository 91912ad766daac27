from __future__ import annotations

from detector import Detector
from training.corpus import Document, read_own_pages
from training.memory import WAYS, made_sites, measure, quoted, several, table, under_two_addresses

HOSTS = [Document(str(n), "en", group, "Title\n", "E") for n, group in enumerate("aabccc")]


def test_pages_whose_host_has_others():
    assert [document.group for document in several(HOSTS)] == list("aaccc")


def furniture(page: Document) -> list[str]:
    return [text for text, label in zip(page.texts(), page.labels, strict=True) if label != "E"]


def test_made_sites_are_one_pages_furniture_around_others_articles():
    frames = {page.id: page for page in read_own_pages()}
    pages = made_sites([])
    assert len({page.group for page in pages}) > 1
    for page in pages:
        assert len(page.lines()) == len(page.labels)
        frame, article = (frames[name] for name in page.id.split("+"))
        assert furniture(page) == furniture(frame)
        assert page.labels.count("E") == article.labels.count("E")
        assert frame.group != article.group


def test_background_is_told_again():
    pages = made_sites([])[:3]
    assert [len(page.labels) for page in quoted(pages)] == [len(page.labels) + n for n, page in enumerate(pages)]
    assert all(len(page.lines()) == len(page.labels) for page in quoted(pages))


def test_every_way_is_measured(tiny):
    pages = under_two_addresses(made_sites([])[:6])
    assert len({page.url for page in pages}) == 12
    results = measure(Detector(tiny.model), pages)
    assert tuple(results) == WAYS
    assert all(result["pages"] == 12 for result in results.values())
    assert all(way in table("made", results) for way in WAYS)
