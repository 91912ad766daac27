"""The trained weights: paragraph stage, page stage; load, save, check.

A model is a folder of two files: ``weights.npz`` (numpy arrays, read with ``allow_pickle=False``) and
``card.json`` (format, version, data, scores, a hash of the weights). Loading it runs no code from it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.context import OFFSETS, Floats, context, revision, softmax
from detector.features import FAMILIES, HASH_BITS, NO_BUCKET, SHAPES, Tokens, ngram_buckets, shape, tokenize
from detector.labels import CODES, LABELS
from detector.page import Page

FORMAT = "banner-detector model"
FORMAT_VERSION = 1
WEIGHTS_FILE, CARD_FILE = "weights.npz", "card.json"
PARAGRAPH_OUTPUTS = len(OFFSETS) * len(LABELS)
# Below this many n-grams numpy sums the rows; importing scipy.sparse would take longer than the sum.
_SMALL = 100_000


class ModelError(ValueError):
    """A model folder that cannot be used; the message names the file, what is wrong and what to do."""


@dataclass(frozen=True)
class Layer:
    """A dense layer: ``weights`` (inputs, outputs), ``bias`` (outputs)."""

    weights: Floats
    bias: Floats


@dataclass(frozen=True)
class Network:
    """A perceptron with one hidden layer of rectified units; the input's standardisation is folded in."""

    hidden: Layer
    output: Layer

    def logits(self, rows: Floats) -> Floats:
        """Logits (n, 4) for ``rows`` (n, inputs)."""
        hidden = rows @ self.hidden.weights
        hidden += self.hidden.bias
        np.maximum(hidden, 0, out=hidden)
        return np.asarray(hidden @ self.output.weights + self.output.bias, dtype=np.float32)


@dataclass(frozen=True)
class Model:
    """The weights of both stages, as they are stored.

    ``buckets`` (k) are the hash buckets that the model knows, ascending; ``idf`` (k) their inverse document
    frequencies; ``ngrams`` (k, 20; int8) their weights in units of ``ngram_scale`` (20); ``shapes``
    (levels, 20) the weights of the shape levels; ``bias`` (20). ``first`` and ``second`` are the networks of
    the page stage's two passes; ``temperature`` (1) and ``prior`` (4) calibrate the result.
    """

    buckets: NDArray[np.int32]
    idf: Floats
    ngrams: NDArray[np.int8]
    ngram_scale: Floats
    shapes: Floats
    bias: Floats
    first: tuple[Network, ...]
    second: tuple[Network, ...]
    temperature: Floats
    prior: Floats
    card: Mapping[str, Any]

    @cached_property
    def slots(self) -> NDArray[np.int32]:
        """For each hash bucket its row in :attr:`table`; row 0 is that of all unknown ones."""
        slots = np.zeros(1 << HASH_BITS, dtype=np.int32)
        slots[self.buckets] = np.arange(1, len(self.buckets) + 1, dtype=np.int32)
        slots[NO_BUCKET] = 0
        return slots

    @cached_property
    def table(self) -> Floats:
        """Rows (k + 1, 21): idf times the weights, and idf squared, whose sum is the row's squared norm."""
        table = np.zeros((len(self.buckets) + 1, PARAGRAPH_OUTPUTS + 1), dtype=np.float32)
        np.multiply(self.ngrams, self.ngram_scale, out=table[1:, :-1])
        table[1:, :-1] *= self.idf[:, None]
        table[1:, -1] = self.idf**2
        return table

    def scores(self, pages: Sequence[Page]) -> list[Floats]:
        """Calibrated probabilities (paragraphs, 4) for each page."""
        sizes = np.array([len(page) for page in pages], dtype=np.int64)
        if not sizes.sum():
            return [np.zeros((0, len(LABELS)), dtype=np.float32) for _ in pages]
        tokens = tokenize(pages)
        form = shape(tokens, pages)
        logits = self.paragraph_logits(tokens, form.levels)
        blanks = np.concatenate([page.blanks for page in pages])
        rows = context(logits, form.numbers, blanks, sizes)
        return np.split(self.page_scores(rows, sizes), np.cumsum(sizes)[:-1])

    def paragraph_logits(self, tokens: Tokens, levels: NDArray[np.int32]) -> Floats:
        """The paragraph stage: logits (n, 20) from each paragraph's own words and shape."""
        sums = self.ngram_sums(tokens)
        norms = np.sqrt(np.maximum(sums[:, -1:], 1e-12))
        logits = sums[:, :-1] / norms + self.bias
        offsets = np.cumsum([0, *SHAPES.values()])
        for i in range(len(SHAPES)):
            logits += self.shapes[offsets[i] + levels[:, i]]
        return np.asarray(logits, dtype=np.float32)

    def ngram_sums(self, tokens: Tokens) -> Floats:
        """For each paragraph the sum of its n-grams' rows of :attr:`table`."""
        rows = self.slots[ngram_buckets(tokens)].ravel()
        bounds = tokens.first * len(FAMILIES)
        if len(rows) < _SMALL:
            sums = np.zeros((len(bounds) - 1, self.table.shape[1]), dtype=np.float32)
            filled = np.flatnonzero(np.diff(bounds))
            if len(filled):
                sums[filled] = np.add.reduceat(self.table[rows], bounds[:-1][filled], axis=0)
            return sums
        import scipy.sparse

        ones = np.ones(len(rows), dtype=np.float32)
        counts = scipy.sparse.csr_array((ones, rows, bounds), shape=(len(bounds) - 1, len(self.table)))
        return np.asarray(counts @ self.table)

    def page_scores(self, rows: Floats, sizes: NDArray[np.int64]) -> Floats:
        """The page stage: calibrated probabilities (n, 4) from :func:`context` rows of all pages."""
        logits = mean_logits(self.first, rows)
        if self.second:
            logits = mean_logits(self.second, np.hstack([rows, revision(softmax(logits), sizes)]))
        return softmax(logits / self.temperature + self.prior)

    def save(self, folder: Path) -> None:
        """Write the model to ``folder``, replacing what model is there; each file appears whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = io.BytesIO()
        np.savez_compressed(weights, **_to_arrays(self))
        data = weights.getvalue()
        card = dict(self.card) | {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "labels": CODES,
            "hash_bits": HASH_BITS,
            "families": list(FAMILIES),
            "weights_sha256": hashlib.sha256(data).hexdigest(),
            "weights_bytes": len(data),
        }
        _replace(folder / WEIGHTS_FILE, data)
        _replace(folder / CARD_FILE, (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode())

    @classmethod
    def load(cls, folder: Path) -> Model:
        """Read and check the model in ``folder``; raises :class:`ModelError` if it is not a whole, known one."""
        card = _read_card(folder / CARD_FILE)
        path = folder / WEIGHTS_FILE
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror}); a model is a folder with both files") from None
        if hashlib.sha256(data).hexdigest() != card["weights_sha256"]:
            raise ModelError(
                f"{path}: damaged or of another model ({len(data):,} bytes, {card['weights_bytes']:,} expected by"
                f" {CARD_FILE}); copy the folder again or retrain with 'python -m training train'"
            )
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                return _from_arrays(dict(arrays), card)
        except (ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
            raise ModelError(f"{path}: not the weights of a model ({error}); retrain with 'python -m training train'") from None


def mean_logits(networks: Sequence[Network], rows: Floats) -> Floats:
    """The mean of the networks' logits (n, 4)."""
    total = networks[0].logits(rows)
    for network in networks[1:]:
        total += network.logits(rows)
    return total / np.float32(len(networks))


def _to_arrays(model: Model) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        "buckets": np.diff(model.buckets, prepend=np.int32(0)),
        "idf": model.idf,
        "ngrams": model.ngrams,
        "ngram_scale": model.ngram_scale,
        "shapes": model.shapes,
        "bias": model.bias,
        "temperature": model.temperature,
        "prior": model.prior,
    }
    for name, networks in (("first", model.first), ("second", model.second)):
        for i, network in enumerate(networks):
            for part, layer in (("hidden", network.hidden), ("output", network.output)):
                arrays[f"{name}.{i}.{part}.weights"] = layer.weights
                arrays[f"{name}.{i}.{part}.bias"] = layer.bias
    return arrays


def _from_arrays(arrays: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> Model:
    def layer(prefix: str) -> Layer:
        return Layer(
            arrays[f"{prefix}.weights"].astype(np.float32), arrays[f"{prefix}.bias"].astype(np.float32)
        )

    def networks(name: str) -> tuple[Network, ...]:
        count = len({key.split(".")[1] for key in arrays if key.startswith(name + ".")})
        return tuple(Network(layer(f"{name}.{i}.hidden"), layer(f"{name}.{i}.output")) for i in range(count))

    model = Model(
        buckets=np.cumsum(arrays["buckets"], dtype=np.int32),
        idf=arrays["idf"].astype(np.float32),
        ngrams=arrays["ngrams"],
        ngram_scale=arrays["ngram_scale"],
        shapes=arrays["shapes"],
        bias=arrays["bias"],
        first=networks("first"),
        second=networks("second"),
        temperature=arrays["temperature"],
        prior=arrays["prior"],
        card=card,
    )
    known = len(model.buckets)
    wanted = {
        "idf": (known,),
        "ngrams": (known, PARAGRAPH_OUTPUTS),
        "ngram_scale": (PARAGRAPH_OUTPUTS,),
        "shapes": (sum(SHAPES.values()), PARAGRAPH_OUTPUTS),
        "bias": (PARAGRAPH_OUTPUTS,),
        "temperature": (1,),
        "prior": (len(LABELS),),
    }
    for name, want in wanted.items():
        if arrays[name].shape != want:
            raise ValueError(f"array {name} has shape {arrays[name].shape}, {want} expected")
    if not model.first:
        raise ValueError("it has no page stage")
    return model


def _read_card(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"{path}: cannot be read ({error.strerror}); a model is a folder with {CARD_FILE} and {WEIGHTS_FILE}"
        ) from None
    except ValueError as error:
        raise ModelError(f"{path}: not JSON ({error}); copy the model folder again") from None
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ModelError(f"{path}: not the card of a {FORMAT}; name a folder that 'python -m training train' wrote")
    if card.get("format_version") != FORMAT_VERSION:
        raise ModelError(
            f"{path}: format version {card.get('format_version')}, this release reads {FORMAT_VERSION};"
            " upgrade banner-detector or retrain the model"
        )
    ours = {"labels": CODES, "hash_bits": HASH_BITS, "families": list(FAMILIES)}
    for key, value in ours.items():
        if card.get(key) != value:
            raise ModelError(f"{path}: its {key} are {card.get(key)!r}, this release has {value!r}; retrain the model")
    if not {"weights_sha256", "weights_bytes"} <= card.keys():
        raise ModelError(f"{path}: it lacks the hash of {WEIGHTS_FILE}; copy the model folder again")
    return card


def _replace(path: Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    os.replace(partial, path)
