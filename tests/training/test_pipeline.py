from __future__ import annotations

import numpy as np

from detector import segment
from detector.features import Features
from detector.html import parse_html
from detector.network import softmax
from tests.conftest import TINY
from training.corpus import DATA, read_own_pages
from training.fit import fit
from training.pipeline import HashedTfidf, PageFeatures
from training.prior import Prior


def test_the_exported_model_gives_the_pipelines_scores(tiny):
    pages = [segment(document.text) for document in read_own_pages()[:40]]
    pages += [parse_html(path.read_bytes()) for path in sorted((DATA / "pages").glob("*.html"))]
    calibrated = softmax(
        np.log(np.maximum(tiny.pipeline.predict_proba(pages), 1e-30)) / tiny.calibration.temperature
        + tiny.calibration.prior
    )
    exported = np.vstack(tiny.model.scores(pages))
    assert np.allclose(calibrated, exported, atol=2e-3)
    assert (calibrated.argmax(axis=1) == exported.argmax(axis=1)).mean() > 0.999


def test_the_same_data_and_settings_give_the_same_model(tiny, tiny_sources, tmp_path):
    again = fit(tiny_sources, TINY, lambda message: None)
    for model, folder in ((tiny.model, "one"), (again.model, "two")):
        model.save(tmp_path / folder)
    for name in ("weights.npz", "card.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


NO_PRIOR = Prior(np.zeros(0, dtype=np.int32), np.zeros((0, 2), dtype=np.float32))


def test_words_of_the_prior_are_known_and_not_learned():
    pages = [segment(text) for text in ("alpha beta", "alpha beta", "alpha", "beta beta beta")]
    rows = PageFeatures().transform(pages)
    alpha, beta, gamma = (int(Features.of([segment(word)]).ngrams.buckets[0, 0]) for word in ("alpha", "beta", "gamma"))
    buckets = np.array(sorted((beta, gamma)), dtype=np.int32)
    prior = Prior(buckets, np.array([[1, 2], [3, 4]], dtype=np.float32))
    tfidf = HashedTfidf(prior, least_groups=3, group_share=0.0).fit(
        rows, np.array([0, 1, 2, 0]), np.zeros(4, dtype=int)
    )
    at = {bucket: i for i, bucket in enumerate(tfidf.buckets_.tolist())}
    assert [bool(tfidf.learned_[at[bucket]]) for bucket in (alpha, beta, gamma)] == [True, False, False]
    assert np.array_equal(tfidf.prior_[[at[bucket] for bucket in buckets.tolist()]], prior.vectors)
    assert not tfidf.prior_[at[alpha]].any()
    # They add to a row, but not to its norm.
    row = tfidf.transform(rows).tfidf[0].toarray()[0]
    learned = row[tfidf.learned_]
    assert np.linalg.norm(learned) <= 1 + 1e-6
    assert row[at[beta]] > 0


def test_only_n_grams_of_several_groups_have_weights():
    pages = [segment(text) for text in ("alpha beta", "alpha beta", "alpha", "beta beta beta")]
    rows = PageFeatures().transform(pages)
    tfidf = HashedTfidf(NO_PRIOR, least_groups=3, group_share=0.0).fit(
        rows, np.array([0, 1, 2, 0]), np.zeros(4, dtype=int)
    )
    alpha, beta = (int(Features.of([segment(word)]).ngrams.buckets[0, 0]) for word in ("alpha", "beta"))
    assert alpha in tfidf.buckets_
    assert beta not in tfidf.buckets_


def test_a_language_with_many_groups_asks_for_more():
    pages = [segment("alpha")] * 4 + [segment("gamma")] * 30
    rows = PageFeatures().transform(pages)
    groups, languages = np.arange(34), np.zeros(34, dtype=int)
    alpha = int(Features.of([segment("alpha")]).ngrams.buckets[0, 0])
    assert alpha in HashedTfidf(NO_PRIOR, 3, 0.02).fit(rows, groups, languages).buckets_
    assert alpha not in HashedTfidf(NO_PRIOR, 3, 0.1).fit(rows, groups, languages).buckets_
    languages[:4] = 1
    assert alpha in HashedTfidf(NO_PRIOR, 3, 0.1).fit(rows, groups, languages).buckets_
