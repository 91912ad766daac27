from __future__ import annotations

import numpy as np

from detector.features import Features
from detector.segment import segment
from training.prior import STRENGTH, Prior
from training.vectors import DIRECTIONS, LEAST_GROUPS_PAIR, Vocabulary, prior_arrays, vocabulary

TEXTS = [(f"host{i}", "Read more, dear reader!\n日本の朝") for i in range(LEAST_GROUPS_PAIR)]


def ngrams(text, family):
    return Features.of([segment(text)]).ngrams.buckets[:, family].tolist()


def test_words_that_hosts_share_and_whole_words_of_the_encoder():
    known = vocabulary([*TEXTS, ("alone", "Solitary Read")], ["▁Subscribe", "▁ab", "scribe", "日本", "朝"])
    assert known.words["read"] == LEAST_GROUPS_PAIR + 1
    assert "solitary" not in known.words
    assert known.words["subscribe"] == 0
    assert "ab" not in known.words
    assert known.pairs["read more"] == known.pairs["日本"] == LEAST_GROUPS_PAIR
    assert "more dear" not in known.pairs, "a comma stands between them"


def test_vectors_stand_where_the_model_looks_for_them(tmp_path):
    rng = np.random.default_rng(0)
    words = {f"word{chr(97 + i % 26)}{chr(97 + i // 26)}": i for i in range(100)}
    known = Vocabulary(words | {"read": 9, "more": 9}, {"read more": 9})
    arrays = prior_arrays(known, lambda texts: rng.normal(size=(len(texts), 80)).astype(np.float32))
    np.savez_compressed(tmp_path / "prior.npz", **arrays)
    prior = Prior.load(tmp_path / "prior.npz")
    assert prior.vectors.shape == (103, DIRECTIONS)
    assert (np.diff(prior.buckets) > 0).all()
    assert np.isclose(prior.vectors.std(axis=0).mean(), STRENGTH, rtol=0.01)
    held = set(prior.buckets.tolist())
    assert set(ngrams("read more", 0)) <= held
    assert ngrams("Read more", 1)[0] in held
    assert not set(ngrams("other", 0)) & held
