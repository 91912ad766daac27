from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from training.network import Batch, NetworkSettings, learn, loss_and_gradients, start

SETTINGS = NetworkSettings(width=5, channels=6, dilations=(1, 2, 4, 1), word_rate=0.05, rate=0.02)


UNLEARNED = 3


def batch(rng: np.random.Generator) -> Batch:
    n = 23
    words = np.where(rng.random((n, 20)) < 0.3, rng.random((n, 20)), 0).astype(np.float32)
    words[:, 15:] = 0  # never met
    words = sp.csr_matrix(words)
    levels = rng.integers(0, 7, (n, 2)).astype(np.int32)
    numbers = rng.normal(size=(n, 3)).astype(np.float32)
    sizes = np.array([9, 0, 1, 13])
    return Batch(
        words=words,
        prior=rng.normal(size=(20, 3)).astype(np.float32),
        learned=np.arange(20) != UNLEARNED,
        levels=levels,
        numbers=numbers,
        sizes=sizes,
        targets=rng.integers(0, 4, n),
        weights=rng.random(n).astype(np.float32) + 0.1,
    )


def parameters(rng: np.random.Generator):
    values = start(20, 3, 7, 3, 4, SETTINGS, rng)
    return {name: value + rng.normal(0, 0.1, value.shape).astype(np.float32) for name, value in values.items()}


def test_gradients_are_those_of_the_loss():
    rng = np.random.default_rng(0)
    values, pages = parameters(rng), batch(rng)
    values = {name: value.astype(np.float64) for name, value in values.items()}
    _, gradients, met = loss_and_gradients(values, pages, SETTINGS, None)
    for name, value in values.items():
        direction = rng.normal(size=value.shape)
        if name == "words":
            direction[UNLEARNED] = 0
        slope = float((gradients[name] * (direction[met] if name == "words" else direction)).sum())
        losses = [
            loss_and_gradients(values | {name: value + step * direction}, pages, SETTINGS, None)[0]
            for step in (1e-6, -1e-6)
        ]
        assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(slope, rel=1e-4, abs=1e-7), name


def test_words_that_were_not_met_or_are_not_learned_stay_as_they_are():
    rng = np.random.default_rng(1)
    values, pages = parameters(rng), batch(rng)
    met = np.unique(pages.words.indices[pages.words.data > 0])
    unmet = np.array([UNLEARNED, *range(15, 20)])
    met = met[met != UNLEARNED]
    before = values["words"].copy()
    after = learn(values, [[lambda: pages]], 1, SETTINGS, rng, lambda epoch, loss: None)
    assert np.array_equal(before[unmet], after["words"][unmet])
    assert not np.array_equal(before[met], after["words"][met])


def test_what_can_be_learned_is_learned():
    rng = np.random.default_rng(2)
    pages = batch(rng)
    losses = []
    calm = NetworkSettings(
        width=8,
        channels=12,
        dilations=(1, 2, 4, 1),
        word_rate=0.05,
        rate=0.02,
        word_dropout=0,
        row_dropout=0,
        vector_dropout=0,
        dropout=0,
        smoothing=0,
    )
    values = start(20, 3, 7, 3, 4, calm, rng)
    epochs = [[lambda: pages] * 20 for _ in range(15)]
    learn(values, epochs, 15, calm, rng, lambda epoch, loss: losses.append(loss))
    assert losses[-1] < 0.3 * losses[0]
