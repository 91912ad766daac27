"""Learning the page network: gradients by hand, in numpy, so that training needs no framework.

Word vectors and network are learned together, by Adam (Kingma and Ba 2015) with decoupled weight decay
(Loshchilov and Hutter 2019), from pages composed anew each epoch. What is learned of a word is updated only when
the word is met (lazy Adam), since a batch holds one word in ten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from detector.network import SUMMARY_AFTER, Edges, Floats, Ints, Layer, Network, convolve, page_means, rectify, softmax

Parameters = dict[str, Floats]

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
CLIP = 1.0
"""Largest norm of a batch's gradient; what exceeds it is scaled down (Pascanu et al. 2013)."""
WARM_UP = 100
FLOOR = 0.02
"""Steps until the full learning rate; the share of it that is left at the end of the linear decay."""


@dataclass(frozen=True)
class NetworkSettings:
    """Size of the network and how it is learned."""

    width: int = 48
    channels: int = 96
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 1)
    word_rate: float = 4e-3
    rate: float = 2e-3
    decay: float = 1e-2
    word_dropout: float = 0.5
    row_dropout: float = 0.15
    vector_dropout: float = 0.2
    dropout: float = 0.2
    smoothing: float = 0.03
    """Share of each target that is spread over all labels (Szegedy et al. 2016)."""
    averaged: int = 6
    """The parameters are the mean of those after each of the last epochs (Izmailov et al. 2018)."""
    own_weight: float = 0.3
    """Weight of the loss of a paragraph's own words read alone, beside the loss of the page's reading."""


@dataclass(frozen=True)
class Batch:
    """Paragraphs of a few pages: TF-IDF ``words`` (n, k), each word's ``prior`` (k, d) and whether it is ``learned``
    as well (k), ``levels`` (n, features; columns of the shape table), ``numbers`` (n, 27), ``sizes`` of the pages,
    ``targets`` (n) and ``weights`` (n).
    """

    words: sp.csr_matrix
    prior: Floats
    learned: NDArray[np.bool_]
    levels: NDArray[np.int32]
    numbers: Floats
    sizes: Ints
    targets: Ints
    weights: Floats


def start(
    words: int, prior: int, levels: int, numbers: int, labels: int, settings: NetworkSettings, rng: np.random.Generator
) -> Parameters:
    """Parameters before the first step: uniform by fan-in (He et al. 2015), small vectors for words and shapes."""

    def dense(rows: int, columns: int, fan_in: int | None = None) -> Floats:
        bound = 1 / np.sqrt(fan_in or rows)
        return rng.uniform(-bound, bound, (rows, columns)).astype(np.float32)

    def small(rows: int) -> Floats:
        return rng.normal(0, 0.05, (rows, settings.width)).astype(np.float32)

    channels = settings.channels
    parameters = {
        "words": small(words),
        "prior": dense(prior, settings.width),
        "shapes": small(levels),
        "numbers": dense(numbers, settings.width),
        "vector.bias": np.zeros(settings.width, dtype=np.float32),
        "own": dense(settings.width, labels),
        "entry": dense(settings.width, channels),
        "summary": dense(channels, channels),
        "output": dense(channels, labels),
    }
    for name, size in (("own", labels), ("entry", channels), ("summary", channels), ("output", labels)):
        parameters[f"{name}.bias"] = np.zeros(size, dtype=np.float32)
    for i in range(len(settings.dilations)):
        parameters[f"convolution.{i}"] = dense(channels, 3 * channels, 3 * channels)
        parameters[f"convolution.{i}.bias"] = np.zeros(channels, dtype=np.float32)
    return parameters


def vectors(
    parameters: Mapping[str, Floats], words: sp.csr_matrix, levels: NDArray[np.int32], numbers: Floats
) -> Floats:
    """Paragraph vectors (n, width): the sum of what words, shape levels and numbers say."""
    result: Floats = np.asarray(words @ parameters["words"])
    result += numbers @ parameters["numbers"] + parameters["vector.bias"]
    for column in levels.T:
        result += parameters["shapes"][column]
    return result


def network_of(parameters: Mapping[str, Floats], dilations: tuple[int, ...]) -> Network:
    """The page network with these parameters."""

    def layer(name: str) -> Layer:
        return Layer(parameters[name], parameters[f"{name}.bias"])

    convolutions = tuple(layer(f"convolution.{i}") for i in range(len(dilations)))
    return Network(layer("own"), layer("entry"), convolutions, dilations, layer("summary"), layer("output"))


def loss_and_gradients(
    parameters: Mapping[str, Floats], batch: Batch, settings: NetworkSettings, rng: np.random.Generator | None
) -> tuple[float, Parameters, Ints]:
    """Weighted mean cross-entropy, its gradients, and which rows of ``words`` the gradient ``words`` is of.

    With ``rng``, dropout is applied (Srivastava et al. 2014).
    """
    trace = _forward(parameters, batch, settings, _Dropout(rng))
    logits, own_logits = (
        trace.rows @ parameters["output"] + parameters["output.bias"],
        trace.own_in @ parameters["own"] + parameters["own.bias"],
    )
    loss, error = _cross_entropy(logits, batch, settings.smoothing)
    own_loss, own_error = _cross_entropy(own_logits, batch, 0.0)
    own_error *= np.float32(settings.own_weight)
    gradients: Parameters = {
        "output": trace.rows.T @ error,
        "output.bias": error.sum(axis=0),
        "own": trace.own_in.T @ own_error,
        "own.bias": own_error.sum(axis=0),
    }
    flow = _convolutions_back(parameters, batch, settings, trace, error @ parameters["output"].T, gradients)
    flow = flow * trace.entered
    gradients["entry"], gradients["entry.bias"] = trace.entry_in.T @ flow, flow.sum(axis=0)
    flow = (flow @ parameters["entry"].T) * trace.entry_mask + (own_error @ parameters["own"].T) * trace.own_mask
    gradients["numbers"], gradients["vector.bias"] = batch.numbers.T @ flow, flow.sum(axis=0)
    gradients["prior"] = trace.prior.T @ flow
    gradients["shapes"] = _scatter(batch.levels, flow, len(parameters["shapes"]))
    met, gradients["words"] = _word_gradient(trace.words, flow, batch.learned)
    return loss + settings.own_weight * own_loss, gradients, met


@dataclass(frozen=True)
class _Trace:
    """What a forward pass leaves for the way back: inputs of each layer, and what dropout and rectifiers let pass."""

    edges: Edges
    words: sp.csr_matrix
    prior: Floats
    own_in: Floats
    own_mask: Floats
    entry_in: Floats
    entry_mask: Floats
    entered: NDArray[np.bool_]
    inputs: list[Floats]
    passed: list[Floats]
    means: Floats
    summary: Floats
    rows: Floats


def _forward(parameters: Mapping[str, Floats], batch: Batch, settings: NetworkSettings, drop: _Dropout) -> _Trace:
    edges = Edges.of(batch.sizes)
    # What is known beforehand cannot be learned by heart: whole rows of it are dropped, no single words.
    prior = np.asarray(drop.rows(batch.words, settings.row_dropout) @ batch.prior)
    words = drop.words(drop.rows(batch.words, settings.row_dropout), settings.word_dropout)
    vector = vectors(parameters, words, batch.levels, batch.numbers) + prior @ parameters["prior"]
    own_mask = drop.mask(vector.shape, settings.vector_dropout)
    entry_mask = drop.mask(vector.shape, settings.vector_dropout)
    entry_in = vector * entry_mask
    rows = rectify(_floats(entry_in @ parameters["entry"] + parameters["entry.bias"]))
    entered = rows > 0
    inputs, passed = [], []
    means = summary = np.zeros((0, rows.shape[1]), dtype=np.float32)
    for i, dilation in enumerate(settings.dilations):
        inputs.append(rows)
        heard = convolve(rows, parameters[f"convolution.{i}"], dilation, edges)
        heard = rectify(heard + parameters[f"convolution.{i}.bias"])
        mask = drop.mask(heard.shape, settings.dropout)
        passed.append(mask * (heard > 0))
        rows = rows + heard * mask
        if i + 1 == SUMMARY_AFTER:
            means = page_means(rows, batch.sizes)
            summary = rectify(_floats(means @ parameters["summary"] + parameters["summary.bias"]))
            rows = rows + summary[edges.page]
    return _Trace(
        edges=edges,
        words=words,
        prior=prior,
        own_in=_floats(vector * own_mask),
        own_mask=own_mask,
        entry_in=_floats(entry_in),
        entry_mask=entry_mask,
        entered=entered,
        inputs=inputs,
        passed=passed,
        means=means,
        summary=summary,
        rows=rows,
    )


def _convolutions_back(
    parameters: Mapping[str, Floats],
    batch: Batch,
    settings: NetworkSettings,
    trace: _Trace,
    flow: Floats,
    gradients: Parameters,
) -> Floats:
    """From the gradient of the last layer's output to that of the first one's input; fills in ``gradients``."""
    sizes = batch.sizes[:, None].astype(np.float32)
    for i in reversed(range(len(settings.dilations))):
        if i + 1 == SUMMARY_AFTER:
            back = page_means(flow, batch.sizes) * sizes * (trace.summary > 0)
            gradients["summary"], gradients["summary.bias"] = trace.means.T @ back, back.sum(axis=0)
            share = back @ parameters["summary"].T / np.maximum(sizes, 1)
            flow = _floats(flow + share[trace.edges.page])
        back = flow * trace.passed[i]
        told = _convolve_back(back, settings.dilations[i], trace.edges)
        gradients[f"convolution.{i}"] = trace.inputs[i].T @ told
        gradients[f"convolution.{i}.bias"] = back.sum(axis=0)
        flow = flow + told @ parameters[f"convolution.{i}"].T
    return flow


class _Dropout:
    """Masks that are 0 or 1 / (1 - rate); all ones without a generator."""

    def __init__(self, rng: np.random.Generator | None) -> None:
        self.rng = rng

    def mask(self, shape: tuple[int, ...], rate: float) -> Floats:
        if self.rng is None:
            return np.ones(shape, dtype=np.float32)
        kept = self.rng.random(shape, dtype=np.float32) >= rate
        return kept.astype(np.float32) / np.float32(1 - rate)

    def rows(self, words: sp.csr_matrix, rate: float) -> sp.csr_matrix:
        """All words of some rows unread: only their surroundings can tell their labels then."""
        if self.rng is None:
            return words
        read = self.rng.random(words.shape[0], dtype=np.float32) >= rate
        return _with_data(words, words.data * np.repeat(read, np.diff(words.indptr)))

    def words(self, words: sp.csr_matrix, rate: float) -> sp.csr_matrix:
        """Some words unread; what is read is scaled so that a row keeps its expected norm, not its expected sum."""
        if self.rng is None:
            return words
        kept = self.rng.random(len(words.data), dtype=np.float32) >= rate
        return _with_data(words, words.data * kept / np.float32(np.sqrt(1 - rate)))


def _with_data(words: sp.csr_matrix, data: NDArray[Any]) -> sp.csr_matrix:
    return sp.csr_matrix((data, words.indices, words.indptr), shape=words.shape)


def _floats(values: NDArray[Any]) -> Floats:
    """Tell the type checker what it loses on products; the precision stays (tests check gradients in float64)."""
    return values


def _cross_entropy(logits: NDArray[Any], batch: Batch, smoothing: float) -> tuple[float, Floats]:
    """Weighted mean cross-entropy and its gradient by the logits."""
    n = np.float32(max(len(batch.targets), 1))
    scores = softmax(_floats(logits))
    wanted = np.full_like(scores, smoothing / scores.shape[1])
    wanted[np.arange(len(batch.targets)), batch.targets] += 1 - smoothing
    loss = -(wanted * np.log(np.maximum(scores, 1e-30))).sum(axis=1) * batch.weights
    return float(loss.sum() / n), (scores - wanted) * (batch.weights / n)[:, None]


def _convolve_back(back: Floats, dilation: int, edges: Edges) -> Floats:
    """What :func:`detector.network.convolve` does, the other way: from what was heard to what was said."""
    told = np.concatenate([np.zeros_like(back), back, np.zeros_like(back)], axis=1)
    channels = back.shape[1]
    if dilation < len(back):
        told[:-dilation, :channels] = back[dilation:]
        told[dilation:, 2 * channels :] = back[:-dilation]
    told[edges.after < dilation, :channels] = 0
    told[edges.before < dilation, 2 * channels :] = 0
    return told


def _scatter(levels: NDArray[np.int32], flow: Floats, count: int) -> Floats:
    n, features = levels.shape
    ones = np.ones(levels.size, dtype=np.float32)
    onehot = sp.csr_matrix((ones, levels.ravel(), np.arange(n + 1) * features), shape=(n, count))
    return np.asarray(onehot.T @ flow)


def _word_gradient(words: sp.csr_matrix, flow: Floats, learned: NDArray[np.bool_]) -> tuple[Ints, Floats]:
    """The learned words met in the batch, and the gradient of their vectors."""
    met, column = np.unique(words.indices, return_inverse=True)
    table = sp.csr_matrix((words.data, column, words.indptr), shape=(words.shape[0], len(met)))
    kept = learned[met]
    return met[kept].astype(np.int64), np.asarray(table.T @ flow)[kept]


class _Adam:
    """Adam with decoupled weight decay on the dense parameters and lazy moments on the words."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.first = {name: np.zeros_like(value) for name, value in parameters.items()}
        self.second = {name: np.zeros_like(value) for name, value in parameters.items()}
        self.steps = 0

    def step(self, gradients: Parameters, met: Ints, settings: NetworkSettings, pace: float) -> None:
        """One step; ``pace`` (0 to 1) scales the learning rates."""
        self.steps += 1
        correction = np.sqrt(1 - BETA2**self.steps) / (1 - BETA1**self.steps)
        dense = [gradient for name, gradient in gradients.items() if name != "words"]
        norm = float(np.sqrt(sum(float((gradient**2).sum()) for gradient in dense)))
        clip = np.float32(min(1.0, CLIP / max(norm, 1e-12)))
        for name, gradient in gradients.items():
            if name == "words":
                self._move(name, met, gradient, settings.word_rate * pace * correction)
                continue
            self.parameters[name] *= np.float32(1 - settings.rate * pace * settings.decay)
            self._move(name, slice(None), gradient * clip, settings.rate * pace * correction)

    def _move(self, name: str, rows: Ints | slice, gradient: Floats, rate: float) -> None:
        first, second = self.first[name], self.second[name]
        mean = BETA1 * first[rows] + (1 - BETA1) * gradient
        square = BETA2 * second[rows] + (1 - BETA2) * gradient**2
        first[rows], second[rows] = mean, square
        self.parameters[name][rows] -= (rate * mean / (np.sqrt(square) + EPSILON)).astype(np.float32)


def learn(
    parameters: Parameters,
    epochs: Iterable[Sequence[Callable[[], Batch]]],
    count: int,
    settings: NetworkSettings,
    rng: np.random.Generator,
    report: Callable[[int, float], None],
) -> Parameters:
    """Take a step a batch over ``count`` epochs; ``report`` is told of each epoch and its mean loss."""
    optimiser = _Adam(parameters)
    first_averaged = count - max(1, min(settings.averaged, count))
    total = {name: np.zeros_like(value) for name, value in parameters.items()}
    for number, batches in enumerate(epochs):
        losses = []
        for i, batch in enumerate(batches):
            done = (number + i / len(batches)) / count
            pace = min(1.0, (optimiser.steps + 1) / WARM_UP) * (1 - done) + FLOOR
            loss, gradients, met = loss_and_gradients(parameters, batch(), settings, rng)
            optimiser.step(gradients, met, settings, pace)
            losses.append(loss)
        report(number, float(np.mean(losses)))
        if number >= first_averaged:
            for name, value in parameters.items():
                total[name] += value / np.float32(count - first_averaged)
    return total
