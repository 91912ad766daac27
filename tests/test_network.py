from __future__ import annotations

import dataclasses

import numpy as np

from detector.network import SUMMARY_AFTER, Layer, Network
from training.network import NetworkSettings, network_of, start

SETTINGS = NetworkSettings(width=5, channels=6, dilations=(1, 2, 4, 1))


def network(seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    parameters = start(10, 2, 4, 3, 4, SETTINGS, rng)
    for value in parameters.values():
        value += rng.normal(0, 0.1, value.shape).astype(np.float32)
    return network_of(parameters, SETTINGS.dilations)


def slowly(net: Network, vectors: np.ndarray) -> np.ndarray:
    """One page, paragraph by paragraph, as the class describes it."""
    channels = net.entry.bias.shape[0]
    rows = np.maximum(vectors @ net.entry.weights + net.entry.bias, 0)
    for i, (layer, dilation) in enumerate(zip(net.convolutions, net.dilations, strict=True)):
        heard = np.zeros_like(rows)
        for n in range(len(rows)):
            heard[n] = rows[n] @ layer.weights[:, channels : 2 * channels] + layer.bias
            if n >= dilation:
                heard[n] += rows[n - dilation] @ layer.weights[:, :channels]
            if n + dilation < len(rows):
                heard[n] += rows[n + dilation] @ layer.weights[:, 2 * channels :]
        rows = rows + np.maximum(heard, 0)
        if i + 1 == SUMMARY_AFTER:
            rows = rows + np.maximum(rows.mean(axis=0) @ net.summary.weights + net.summary.bias, 0)
    return rows @ net.output.weights + net.output.bias


def test_it_computes_what_it_says():
    net, rng = network(), np.random.default_rng(1)
    for size in (1, 2, 3, 9, 40):
        vectors = rng.normal(size=(size, 5)).astype(np.float32)
        assert np.allclose(net.logits(vectors, np.array([size])), slowly(net, vectors), atol=1e-4)


def test_nothing_crosses_from_page_to_page():
    net, rng = network(), np.random.default_rng(2)
    sizes = np.array([7, 0, 1, 20, 3, 0])
    vectors = rng.normal(size=(sizes.sum(), 5)).astype(np.float32)
    together = np.split(net.logits(vectors, sizes), np.cumsum(sizes)[:-1])
    for part, rows in zip(together, np.split(vectors, np.cumsum(sizes)[:-1]), strict=True):
        if len(rows):
            assert np.allclose(part, net.logits(rows, np.array([len(rows)])), atol=1e-4)


def test_a_neighbour_is_heard_within_reach_and_no_farther():
    net, rng = network(), np.random.default_rng(3)
    silent = Layer(np.zeros_like(net.summary.weights), np.zeros_like(net.summary.bias))
    net = dataclasses.replace(net, summary=silent)
    vectors = rng.normal(size=(40, 5)).astype(np.float32)
    changed = vectors.copy()
    changed[20] += 5
    differs = np.abs(net.logits(vectors, np.array([40])) - net.logits(changed, np.array([40]))).max(axis=1) > 1e-6
    heard = np.flatnonzero(differs)
    assert heard.min() == 20 - net.reach
    assert heard.max() == 20 + net.reach
