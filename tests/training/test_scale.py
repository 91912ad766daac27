from __future__ import annotations

import pytest

from tests.corpus import label, texts
from training.benchmarks.scale import WRITERS, pages_of_text


def test_a_made_corpus_has_its_size_and_is_the_same_again():
    pages = list(pages_of_text(200_000))
    assert pages == list(pages_of_text(200_000))
    assert 200_000 <= sum(len(page.encode()) for page in pages) < 300_000
    assert len(set(pages)) == len(pages)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_made_corpus_is_read_back_in_every_format(tmp_path, kind):
    path = tmp_path / kind
    written = WRITERS[kind](path, 50_000)
    records, told = label(path)
    assert not told.failures
    assert texts(records) == written
