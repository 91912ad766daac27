"""The page network: paragraph vectors in, label logits out, each paragraph read in its page's context.

A stack of dilated convolutions over the paragraphs of a page with residual connections (after van den Oord et
al. 2016, WaveNet, and Strubell et al. 2017, who label text with it): layer by layer a paragraph hears neighbours
farther away, up to :attr:`Network.reach` paragraphs; a mean over the page tells what kind of page it is. All
pages of a batch are computed at once; nothing crosses from one page into another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

SUMMARY_AFTER = 3
"""Convolutions before the page's mean is taken: by then a paragraph's vector knows its widget."""


@dataclass(frozen=True)
class Layer:
    """A dense layer: ``weights`` (inputs, outputs), ``bias`` (outputs)."""

    weights: Floats
    bias: Floats

    def __call__(self, rows: Floats) -> Floats:
        """Affine map of ``rows`` (n, inputs)."""
        result = rows @ self.weights
        result += self.bias
        return result


@dataclass(frozen=True)
class Network:
    """The weights of the page network.

    ``own`` reads a paragraph's vector alone: its logits tell what its own words say. ``entry`` maps vectors to
    channels; ``convolutions`` are layers from channels to three times as many (what a paragraph says to the one
    ``dilation`` after it, to itself, and to the one ``dilation`` before it), with the bias of the sum;
    ``summary`` maps the page's mean; ``output`` gives the logits of the four labels.
    """

    own: Layer
    entry: Layer
    convolutions: tuple[Layer, ...]
    dilations: tuple[int, ...]
    summary: Layer
    output: Layer

    @property
    def reach(self) -> int:
        """How many paragraphs away a neighbour is still heard one by one."""
        return sum(self.dilations)

    def logits(self, vectors: Floats, sizes: Ints) -> Floats:
        """Logits (n, 4) of paragraphs with ``vectors`` (n, width); ``sizes`` are the pages' numbers of them."""
        edges = Edges.of(sizes)
        rows = rectify(self.entry(vectors))
        for index, (layer, dilation) in enumerate(zip(self.convolutions, self.dilations, strict=True)):
            heard = convolve(rows, layer.weights, dilation, edges)
            heard += layer.bias
            rows += rectify(heard)
            if index + 1 == SUMMARY_AFTER:
                rows += rectify(self.summary(page_means(rows, sizes)))[edges.page]
        return self.output(rows)


@dataclass(frozen=True)
class Edges:
    """For each paragraph of a batch its ``page``, and how many stand ``before`` and ``after`` it there."""

    page: Ints
    before: Ints
    after: Ints

    @classmethod
    def of(cls, sizes: Ints) -> Edges:
        """The edges of pages of these sizes, one after another."""
        page = np.repeat(np.arange(len(sizes)), sizes)
        before = np.arange(len(page)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return cls(page, before, sizes[page] - 1 - before)


def convolve(rows: Floats, weights: Floats, dilation: int, edges: Edges) -> Floats:
    """Sum what each paragraph hears from its two neighbours at ``dilation`` and from itself.

    The columns of ``weights`` (channels, 3 * channels) are what a paragraph says to the one after it, to itself, and
    to the one before it. Three narrow products stay in the cache where one wide one would not.
    """
    channels = rows.shape[1]
    heard = rows @ weights[:, channels : 2 * channels]
    if dilation < len(rows):
        said = rows @ weights[:, :channels]
        said[edges.after < dilation] = 0
        heard[dilation:] += said[:-dilation]
        said = rows @ weights[:, 2 * channels :]
        said[edges.before < dilation] = 0
        heard[:-dilation] += said[dilation:]
    return heard


def page_means(rows: Floats, sizes: Ints) -> Floats:
    """Means (pages, channels) over the paragraphs of each page; zeros for an empty one."""
    means = np.zeros((len(sizes), rows.shape[1]), dtype=rows.dtype)
    filled = sizes > 0
    starts = (np.cumsum(sizes) - sizes)[filled]
    if len(starts):
        means[filled] = np.add.reduceat(rows, starts, axis=0) / sizes[filled, None]
    return means


def rectify(rows: Floats) -> Floats:
    """Set what is below 0 to 0, in place."""
    return np.maximum(rows, 0, out=rows)


def softmax(logits: Floats) -> Floats:
    """Probabilities of each row."""
    exps = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exps / exps.sum(axis=1, keepdims=True))
