"""The trained weights: word vectors, shape vectors, page network; load, save, check, score.

A model is a folder of two files: ``weights.npz`` (numpy arrays, read with ``allow_pickle=False``) and
``card.json`` (format, version, data, scores, a hash of the weights). Loading it runs no code from it.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.features import (
    COMMON_IDF,
    FAMILIES,
    HASH_BITS,
    NO_BUCKET,
    NUMBERS,
    SHAPE_OFFSETS,
    SHAPES,
    Bags,
    Features,
)
from detector.files import write_whole
from detector.labels import CODES, LABELS
from detector.network import Floats, Ints, Layer, Network, softmax
from detector.page import Page

FORMAT = "banner-detector model"
FORMAT_VERSION = 2
WEIGHTS_FILE, CARD_FILE = "weights.npz", "card.json"
LEAST_NORM = 4.0
"""A row's norm is at least that of one word of middling rarity, whatever of it is known."""
# Below this many n-grams numpy sums the rows; importing scipy.sparse and widening the table would take longer.
_SMALL = 60_000


def slots_of(buckets: NDArray[np.int32]) -> NDArray[np.int32]:
    """For each hash bucket its place among ``buckets``, counted from 1; 0 for those that are not among them."""
    slots = np.zeros(1 << HASH_BITS, dtype=np.int32)
    slots[buckets] = np.arange(1, len(buckets) + 1, dtype=np.int32)
    return slots


def _marked(columns: NDArray[np.int64], width: int) -> Floats:
    """Rows (n, ``width``) of 0 with a 1 in each of the ``columns`` (n, any number)."""
    marked = np.zeros((len(columns), width), dtype=np.float32)
    marked.ravel()[columns + np.arange(0, marked.size, width)[:, None]] = 1
    return marked


def rarity(idf: Floats) -> Floats:
    """Weights (k + 1) of words for :meth:`detector.features.Features.page_numbers`: first that of unknown ones."""
    highest = idf.max() if len(idf) else np.float32(COMMON_IDF)
    return np.maximum(np.append(highest, idf) - np.float32(COMMON_IDF), 0).astype(np.float32)


def norms(squares: Floats) -> Floats:
    """Norms of TF-IDF rows by their sums of squares."""
    return np.sqrt(np.maximum(squares, np.float32(LEAST_NORM**2)))


class ModelError(ValueError):
    """A model folder that cannot be used; the message names the file, what is wrong and what to do."""


@dataclass(frozen=True)
class Model:
    """The weights as they are stored.

    ``buckets`` (k) are the hash buckets that the model knows, ascending; ``idf`` (k) their inverse document
    frequencies; ``learned`` (k) tells those that training met often, which alone make up a row's norm, from those known
    only beforehand; ``words`` (k, width; int8) their vectors in units of ``word_scale`` (width); ``shapes``
    (levels, width) the vectors of the shape levels; ``numbers`` maps the shape's numbers to a vector;
    ``network`` reads the page; ``temperature`` (1) and ``prior`` (4) calibrate its logits; ``card`` is for people.
    """

    buckets: NDArray[np.int32]
    idf: Floats
    learned: NDArray[np.bool_]
    words: NDArray[np.int8]
    word_scale: Floats
    shapes: Floats
    numbers: Layer
    network: Network
    temperature: Floats
    prior: Floats
    card: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Version and the beginning of the weights' hash: what output records say of the model."""
        return f"{self.card.get('version', 'unversioned')}+{str(self.card.get('weights_sha256', ''))[:8]}"

    @cached_property
    def slots(self) -> NDArray[np.int32]:
        """For each hash bucket its row in the word table, counted from 1; 0 for unknown ones."""
        return slots_of(self.buckets)

    @cached_property
    def table(self) -> Floats:
        """Rows (k + 1, width + 1): idf times the vector, and what it adds to a row's squared norm."""
        return self.word_rows(np.arange(len(self.buckets) + 1))

    def widen(self) -> None:
        """Make ready for many pages: what costs a moment once makes each of them faster."""
        _ = self.table

    def word_rows(self, slots: NDArray[Any]) -> Floats:
        """The rows of :attr:`table` for these slots."""
        idf = np.append(np.float32(0), self.idf)[slots]
        rows = np.zeros((len(slots), self.words.shape[1] + 1), dtype=np.float32)
        np.multiply(self.words[np.maximum(slots, 1) - 1], idf[:, None], out=rows[:, :-1])
        rows[:, :-1] *= self.word_scale
        rows[:, -1] = idf**2 * np.append(False, self.learned)[slots]
        return rows

    def scores(self, pages: Sequence[Page]) -> list[Floats]:
        """Calibrated probabilities (paragraphs, 4) for each page."""
        sizes = np.array([len(page) for page in pages], dtype=np.int64)
        if not sizes.sum():
            return [np.zeros((0, len(LABELS)), dtype=np.float32) for _ in pages]
        scores = self.calibrated(self.vectors(Features.of(pages)), sizes)
        return np.split(scores, np.cumsum(sizes)[:-1])

    def calibrated(self, vectors: Floats, sizes: Ints) -> Floats:
        """Calibrated probabilities (n, 4) of paragraphs with these vectors (n, width)."""
        return softmax(self.network.logits(vectors, sizes) / self.temperature + self.prior)

    def vectors(self, features: Features) -> Floats:
        """Paragraph vectors (n, width): what each paragraph's words, markup, shape and page say of it."""
        vectors = self._bag_vectors(features.ngrams)
        if len(features.markup.buckets):
            vectors += self._bag_vectors(features.markup)
        vectors += self.numbers(self.all_numbers(features))
        vectors += _marked(features.all_levels() + SHAPE_OFFSETS[:-1], len(self.shapes)) @ self.shapes
        return vectors

    def all_numbers(self, features: Features) -> Floats:
        """Numbers (n, 27) of the shape, of the page, of the place on it, and of the markup."""
        return features.all_numbers(self.rarity[self.slots[features.words.buckets]])

    @cached_property
    def rarity(self) -> Floats:
        """For each slot how rare its word is; what the model does not know is as rare as the rarest."""
        return rarity(self.idf)

    def _bag_vectors(self, bags: Bags) -> Floats:
        """For each paragraph the sum of its buckets' vectors, divided by the norm of its TF-IDF row."""
        # Buckets are within the table: what else `take` knows to do about them is slower.
        slots = self.slots.take(bags.buckets.ravel(), mode="clip")
        a_token = len(slots) // max(len(bags.buckets), 1)
        # More than half of the buckets are unknown; leaving them out halves the sum.
        known = np.flatnonzero(slots > 0)
        sums = self._sums(slots[known], np.searchsorted(known, bags.first * a_token))
        return np.asarray(sums[:, :-1] / norms(sums[:, -1:]), dtype=np.float32)

    def _sums(self, slots: NDArray[np.int32], bounds: Ints) -> Floats:
        """For each paragraph the sum of its slots' rows of :attr:`table`."""
        if len(slots) < _SMALL and "table" not in self.__dict__:
            sums = np.zeros((len(bounds) - 1, self.words.shape[1] + 1), dtype=np.float32)
            filled = np.flatnonzero(np.diff(bounds))
            if len(filled):
                sums[filled] = np.add.reduceat(self.word_rows(slots), bounds[:-1][filled], axis=0)
            return sums
        import scipy.sparse

        ones = np.ones(len(slots), dtype=np.float32)
        counts = scipy.sparse.csr_array((ones, slots, bounds), shape=(len(bounds) - 1, len(self.table)))
        return np.asarray(counts @ self.table)

    def save(self, folder: Path) -> None:
        """Write the model to ``folder``, replacing what model is there; each file appears whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = io.BytesIO()
        np.savez_compressed(weights, allow_pickle=False, **_to_arrays(self))
        data = weights.getvalue()
        card = (
            dict(self.card)
            | _expected()
            | {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "weights_sha256": hashlib.sha256(data).hexdigest(),
                "weights_bytes": len(data),
            }
        )
        write_whole(folder / WEIGHTS_FILE, data)
        write_whole(folder / CARD_FILE, (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode())

    @classmethod
    def load(cls, folder: Path) -> Model:
        """Read and check the model in ``folder``; raises :class:`ModelError` if it is not a whole, known one."""
        card = _read_card(folder / CARD_FILE)
        path = folder / WEIGHTS_FILE
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModelError(
                f"{path}: cannot be read ({error.strerror}); a model is a folder with both files"
            ) from None
        if hashlib.sha256(data).hexdigest() != card["weights_sha256"]:
            raise ModelError(
                f"{path}: damaged or of another model ({len(data):,} bytes, {card.get('weights_bytes')} expected by"
                f" {CARD_FILE}); copy the folder again or retrain with 'python -m training train'"
            )
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                return _from_arrays(dict(arrays), card)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, zipfile.BadZipFile, EOFError) as error:
            raise ModelError(
                f"{path}: not the weights of a model ({error}); retrain with 'python -m training train'"
            ) from None


def _layers(model: Model) -> dict[str, Layer]:
    network = model.network
    convolutions = {f"convolution.{i}": layer for i, layer in enumerate(network.convolutions)}
    return {
        "numbers": model.numbers,
        "own": network.own,
        "entry": network.entry,
        "summary": network.summary,
        "output": network.output,
        **convolutions,
    }


def _to_arrays(model: Model) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        "buckets": np.diff(model.buckets, prepend=np.int32(0)),
        "idf": model.idf,
        "learned": model.learned,
        "words": model.words,
        "word_scale": model.word_scale,
        "shapes": model.shapes,
        "dilations": np.array(model.network.dilations, dtype=np.int32),
        "temperature": model.temperature,
        "prior": model.prior,
    }
    for name, layer in _layers(model).items():
        arrays[f"{name}.weights"], arrays[f"{name}.bias"] = layer.weights, layer.bias
    return arrays


def _from_arrays(arrays: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> Model:
    def layer(name: str, inputs: int, outputs: int, bias: int | None = None) -> Layer:
        weights = _sized(arrays, f"{name}.weights", (inputs, outputs))
        return Layer(weights, _sized(arrays, f"{name}.bias", (outputs if bias is None else bias,)))

    dilations = tuple(arrays["dilations"].tolist())
    known, width = len(arrays["buckets"]), arrays["words"].shape[-1]
    channels, labels = arrays["entry.weights"].shape[-1], len(LABELS)
    network = Network(
        own=layer("own", width, labels),
        entry=layer("entry", width, channels),
        convolutions=tuple(layer(f"convolution.{i}", channels, 3 * channels, channels) for i in range(len(dilations))),
        dilations=dilations,
        summary=layer("summary", channels, channels),
        output=layer("output", channels, labels),
    )
    model = Model(
        buckets=np.cumsum(_sized(arrays, "buckets", (known,), np.int32), dtype=np.int32),
        idf=_sized(arrays, "idf", (known,)),
        learned=_sized(arrays, "learned", (known,), np.bool_),
        words=_sized(arrays, "words", (known, width), np.int8),
        word_scale=_sized(arrays, "word_scale", (width,)),
        shapes=_sized(arrays, "shapes", (int(SHAPE_OFFSETS[-1]), width)),
        numbers=layer("numbers", NUMBERS, width),
        network=network,
        temperature=_sized(arrays, "temperature", (1,)),
        prior=_sized(arrays, "prior", (labels,)),
        card=card,
    )
    _check_values(model)
    return model


def _check_values(model: Model) -> None:
    """Raise ``ValueError`` for numbers that no training gives and prediction would trip over."""
    steps = np.diff(model.buckets, prepend=np.int32(NO_BUCKET))
    if (steps <= 0).any() or model.buckets[-1:].max(initial=0) >= 1 << HASH_BITS:
        raise ValueError("array buckets does not ascend within the hash space")
    if min(model.network.dilations, default=0) < 1:
        raise ValueError("array dilations is not of numbers from 1")
    layers = [part for layer in _layers(model).values() for part in (layer.weights, layer.bias)]
    finite = [model.idf, model.word_scale, model.shapes, model.temperature, model.prior, *layers]
    if not all(np.isfinite(array).all() for array in finite) or model.temperature[0] <= 0:
        raise ValueError("some numbers are not finite")


def _sized(
    arrays: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...], dtype: type = np.float32
) -> NDArray[Any]:
    array = arrays[name]
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"array {name} is {array.dtype} {array.shape}, {np.dtype(dtype)} {shape} expected")
    return array


def _expected() -> dict[str, Any]:
    """What the code and a card must agree on."""
    return {"labels": CODES, "hash_bits": HASH_BITS, "families": list(FAMILIES), "shapes": dict(SHAPES)}


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
        version = card.get("format_version")
        older = isinstance(version, int) and version < FORMAT_VERSION
        remedy = "retrain the model" if older else "upgrade banner-detector or retrain the model"
        raise ModelError(f"{path}: format version {version}, this release reads {FORMAT_VERSION}; {remedy}")
    for key, value in _expected().items():
        if card.get(key) != value:
            raise ModelError(f"{path}: its {key} are {card.get(key)!r}, this release has {value!r}; retrain the model")
    presets = card.get("presets")
    if presets is not None and not (isinstance(presets, dict) and {"recall", "precision"} <= presets.keys()):
        raise ModelError(f"{path}: its presets are not two thresholds; copy the model folder again")
    missing = {"weights_sha256", "presets"} - card.keys()
    if missing:
        raise ModelError(f"{path}: it lacks {', '.join(sorted(missing))}; copy the model folder again")
    return card
