"""A model made to know a user's own pages: a few steps from its weights on corrected pages, mixed with the project's.

What was learned before is kept in three ways: half of each batch is pages of ``data/pages`` and their widgets
(rehearsal, Robins 1995), the rates are small, and the result is drawn back towards the weights that it started from
(Wortsman et al. 2022). N-grams that recur on the corrected pages and that the model does not know, as the name of a
newsletter, get vectors of their own.
"""

from __future__ import annotations

import dataclasses
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.formats import RecordError
from detector.formats.jsonl import load
from detector.formats.text import looks_like_html
from detector.html import parse_html
from detector.labels import LABELS, Label
from detector.model import Model
from detector.network import Floats, Ints, Layer
from detector.page import Page
from detector.segment import segment
from training.card import today
from training.compose import Bank, Composer, Mixture, Piece
from training.corpus import DATA, Document, Rendering, read_bank, read_html, read_own_pages
from training.fit import Sources
from training.network import Batch, NetworkSettings, Parameters, learn, network_of
from training.pipeline import HashedTfidf, Inputs, PageFeatures, Rows
from training.prior import Prior


@dataclass(frozen=True)
class Adapting:
    """How a model is adapted. Each default is the best of the values tried (``training/README.md``)."""

    seed: int = 1
    epochs: int = 12
    steps: int = 8
    """Steps an epoch: how much is learned does not depend on how many pages are corrected."""
    pages: int = 8
    """Of each kind in a batch: corrected ones, and of the project's own."""
    rehearsed: int = 150
    """Of the project's pages, drawn anew for each seed: more cost time and keep no more."""
    least_pages: int = 3
    """Corrected pages that an n-gram must occur on to be learned if the model does not know it."""
    share: float = 0.5
    """How far to go from the weights at the start (0) to those learned (1)."""
    rate: float = 3e-4
    word_rate: float = 3e-2
    """Words learn a hundred times as fast as the network: they are the publication's, the network is everybody's."""


@dataclass(frozen=True)
class Corrected:
    """A page as it is read, text or HTML, and for each paragraph the column of its label; -1 where none is known."""

    page: Page
    targets: Ints

    @classmethod
    def of(cls, document: Document) -> Corrected:
        """A labelled page of plain text."""
        page = segment(document.text)
        return cls(page, document.targets()[document.line_of(page)])


def read_corrected(path: Path, fail: Callable[[str], None]) -> list[Corrected]:
    """The pages of a file that ``detector label`` wrote and a person corrected.

    Paragraphs without a label, or with null for one, are not learned from. A page is learned from as HTML if that is in
    the record's field ``html`` or in the file that its ``id`` names, and shows the record's text; otherwise as text.
    What cannot be used is told to ``fail`` and costs no other record.
    """
    pages = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    pages.append(_corrected(load(line)))
                except RecordError as error:
                    fail(f"{path}, record {number}: {error}")
    return pages


def _corrected(record: Mapping[str, Any]) -> Corrected:
    text, paragraphs = record.get("text"), record.get("paragraphs")
    if not isinstance(text, str) or not isinstance(paragraphs, list):
        raise RecordError("no text or no list of paragraphs; records as 'detector label' writes them are wanted")
    spans = sorted(_span(paragraph, number, len(text)) for number, paragraph in enumerate(paragraphs, 1))
    if all(target < 0 for *_, target in spans):
        raise RecordError("no paragraph has a label: nothing to learn from")
    starts, ends, targets = np.array(spans, dtype=np.int64).T
    page = _page(record, text)
    holder = np.searchsorted(starts, page.starts, side="right") - 1
    inside = (holder >= 0) & (page.starts < ends[holder])
    return Corrected(page, np.where(inside, targets[holder], -1))


def _span(paragraph: object, number: int, length: int) -> tuple[int, int, int]:
    """Start, end and column of the label, -1 for none."""
    if not isinstance(paragraph, dict):
        raise RecordError(f"paragraph {number} is no object with start, end and label")
    start, end, label = paragraph.get("start"), paragraph.get("end"), paragraph.get("label")
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= length:
        raise RecordError(f"paragraph {number}: start {start!r} and end {end!r} are no span of the text")
    if label is None:
        return start, end, -1
    if label not in LABELS:
        raise RecordError(f"paragraph {number}: label {label!r}; there are {', '.join(LABELS)}")
    return start, end, LABELS.index(Label(label))


def _page(record: Mapping[str, Any], text: str) -> Page:
    html, url = _html(record), record.get("url")
    if html is not None:
        page = parse_html(html, url if isinstance(url, str) else None)
        if page.text == text:
            return page
    return segment(text)


def _html(record: Mapping[str, Any]) -> str | bytes | None:
    html, name = record.get("html"), record.get("id")
    if isinstance(html, str):
        return html
    if isinstance(name, str) and os.path.isfile(name):
        data = Path(name).read_bytes()
        if name.lower().endswith((".html", ".htm", ".xhtml")) or looks_like_html(data):
            return data
    return None


def rehearsal_of(keep: Callable[[Document], bool] = lambda page: True) -> Sources:
    """What the project wrote itself: the pages that ``keep`` says yes to, all widgets and passages."""
    folder = DATA / "pages"
    own = [page for page in read_own_pages(folder) if keep(page)]
    shown = {page.id: Rendering.of(page, html) for page in own if (html := read_html(folder, page)) is not None}
    return Sources([], own, read_bank(DATA / "widgets"), read_bank(DATA / "passages"), shown)


@dataclass(frozen=True)
class Trial:
    """What adapting brings on corrected pages that it has not seen: the share of their paragraphs that are right."""

    pages: int
    before: float
    after: float


def trial(model: Model, corrected: Sequence[Corrected], rehearsal: Sources, settings: Adapting) -> Trial:
    """Adapt on three in four of the pages and measure on the others; needs two pages or more."""
    kept_back = corrected[1::4]
    learned = [page for number, page in enumerate(corrected) if number % 4 != 1]
    adapted = adapt(model, learned, rehearsal, settings)
    return Trial(len(kept_back), _share_right(model, kept_back), _share_right(adapted, kept_back))


def _share_right(model: Model, corrected: Sequence[Corrected]) -> float:
    said = np.concatenate([scores.argmax(axis=1) for scores in model.scores([each.page for each in corrected])])
    targets = np.concatenate([each.targets for each in corrected])
    return float((said == targets)[targets >= 0].mean())


def adapt(model: Model, corrected: Sequence[Corrected], rehearsal: Sources, settings: Adapting) -> Model:
    """``model`` after a few steps on ``corrected``, mixed with pages of ``rehearsal``; seconds.

    The same input gives the same model. Words that it does not meet stay to the bit, and so does the calibration. Its
    card tells what it was adapted from. Raises ``ValueError`` if nothing is corrected.
    """
    if not corrected:
        raise ValueError("no corrected pages to learn from")
    rng = random.Random(settings.seed)
    own = rng.sample(rehearsal.own, min(settings.rehearsed, len(rehearsal.own)))
    lines = _Lines.of(corrected, dataclasses.replace(rehearsal, pages=[], own=own))
    tfidf = _known(model, lines, settings)
    inputs = tfidf.transform(lines.rows)
    numbers = inputs.numbers()
    scaling = _Scaling(numbers.mean(axis=0), numbers.std(axis=0) + np.float32(1e-2))
    start = _parameters(model, tfidf, scaling)
    network = NetworkSettings(
        dilations=model.network.dilations, rate=settings.rate, word_rate=settings.word_rate, decay=0, averaged=2
    )
    draw = _Draw(inputs, tfidf, scaling, *lines.composers(rng), settings)
    learned = learn(
        {name: value.copy() for name, value in start.items()},
        (draw.epoch() for _ in range(settings.epochs)),
        settings.epochs,
        network,
        np.random.default_rng(settings.seed),
        lambda epoch, loss: None,
    )
    share = np.float32(settings.share)
    parameters = {name: value + share * (learned[name] - value) for name, value in start.items()}
    return _export(model, tfidf, parameters, scaling, _card(model, corrected, tfidf, settings))


@dataclass(frozen=True)
class _Lines:
    """All that is learned from as rows, and as pieces of row numbers."""

    rows: Rows
    corrected: list[Piece]
    own: list[Piece]
    rendered: list[Piece | None]
    bank: Bank

    @classmethod
    def of(cls, corrected: Sequence[Corrected], rehearsal: Sources) -> _Lines:
        documents = rehearsal.documents()
        shown = [rehearsal.renderings.get(page.id) for page in rehearsal.own]
        read = [*corrected, *map(Corrected.of, documents)]
        read += [Corrected(page.page, page.targets) for page in shown if page is not None]
        owners = [None] * len(corrected) + documents
        owners += [owner for owner, page in zip(rehearsal.own, shown, strict=True) if page is not None]
        rows = PageFeatures().transform([each.page for each in read])
        ends = np.cumsum(rows.features.sizes).tolist()
        left = (_piece(each, end, owner) for each, end, owner in zip(read, ends, owners, strict=True))
        mine, own, widgets, passages = (
            list(islice(left, len(part))) for part in (corrected, rehearsal.own, rehearsal.widgets, rehearsal.passages)
        )
        rendered = [None if page is None else next(left) for page in shown]
        return cls(rows, mine, own, rendered, Bank.of(widgets, passages))

    def composers(self, rng: random.Random) -> tuple[Composer, Composer]:
        """Of corrected pages, and of the project's own."""
        as_html = [page if page.markup else None for page in self.corrected]
        mixture = Mixture(written=len(self.own) // 2)
        return (
            Composer(self.corrected, as_html, Bank({}, {}), Mixture(), rng),
            Composer(self.own, self.rendered, self.bank, mixture, rng),
        )


def _piece(read: Corrected, end: int, owner: Document | None) -> Piece:
    lang, place = ("", "") if owner is None else (owner.lang, owner.place)
    page = read.page
    return Piece(np.arange(end - len(page), end), read.targets, page.blanks, lang, place, bool(page.markup))


def _known(model: Model, lines: _Lines, settings: Adapting) -> HashedTfidf:
    """What the model knows, and the n-grams that recur on the corrected pages: as rare as the rarest."""
    sizes = [len(piece) for piece in lines.corrected]
    counts = lines.rows.counts[: sum(sizes)].tocoo()
    owner = np.repeat(np.arange(len(sizes)), sizes)[counts.row]
    pairs = np.unique(np.column_stack([owner, counts.col]), axis=0)
    recurring = np.flatnonzero(np.bincount(pairs[:, 1]) >= settings.least_pages)
    recurring = recurring[recurring > 0].astype(np.int32)
    tfidf = HashedTfidf(Prior(np.zeros(0, dtype=np.int32), np.zeros((0, 1), dtype=np.float32)))
    tfidf.buckets_ = np.union1d(model.buckets, recurring)
    slots = model.slots[tfidf.buckets_]
    tfidf.idf_ = np.append(model.idf.max(initial=1), model.idf)[slots].astype(np.float32)
    tfidf.learned_ = np.append(False, model.learned)[slots] | np.isin(tfidf.buckets_, recurring)
    tfidf.prior_ = np.zeros((len(slots), 1), dtype=np.float32)
    return tfidf


@dataclass(frozen=True)
class _Scaling:
    """Numbers are learned of on one scale, whatever their own."""

    mean: Floats
    deviation: Floats

    def __call__(self, numbers: Floats) -> Floats:
        return np.asarray((numbers - self.mean) / self.deviation, dtype=np.float32)


def _parameters(model: Model, tfidf: HashedTfidf, scaling: _Scaling) -> Parameters:
    width = model.words.shape[1]
    words = np.concatenate([np.zeros((1, width), dtype=np.float32), model.words * model.word_scale])
    network = model.network
    parameters = {
        "words": words[model.slots[tfidf.buckets_]],
        "prior": np.zeros((1, width), dtype=np.float32),
        "shapes": model.shapes,
        "numbers": model.numbers.weights * scaling.deviation[:, None],
        "vector.bias": model.numbers.bias + scaling.mean @ model.numbers.weights,
    }
    layers = {"own": network.own, "entry": network.entry, "summary": network.summary, "output": network.output}
    layers |= {f"convolution.{i}": layer for i, layer in enumerate(network.convolutions)}
    for name, layer in layers.items():
        parameters[name], parameters[f"{name}.bias"] = layer.weights, layer.bias
    return parameters


@dataclass
class _Draw:
    """Batches, half of corrected pages, half of rehearsed ones."""

    inputs: Inputs
    tfidf: HashedTfidf
    scaling: _Scaling
    corrected: Composer
    rehearsed: Composer
    settings: Adapting

    def __post_init__(self) -> None:
        self._streams = _endless(self.corrected), _endless(self.rehearsed)

    def epoch(self) -> list[Callable[[], Batch]]:
        return [partial(self._batch, self._pages()) for _ in range(self.settings.steps)]

    def _pages(self) -> list[tuple[Piece, float]]:
        return [page for stream in self._streams for page in islice(stream, self.settings.pages)]

    def _batch(self, drawn: Sequence[tuple[Piece, float]]) -> Batch:
        part = self.inputs.drawn([page for page, _ in drawn])
        targets = np.concatenate([page.targets for page, _ in drawn])
        weights = np.repeat(np.array([weight for _, weight in drawn], dtype=np.float32), part.features.sizes)
        return Batch(
            words=part.tfidf,
            prior=self.tfidf.prior_,
            learned=self.tfidf.learned_,
            levels=part.levels(),
            numbers=self.scaling(part.numbers()),
            sizes=part.features.sizes,
            targets=np.maximum(targets, 0),
            weights=weights * (targets >= 0),
        )


def _endless(composer: Composer) -> Iterator[tuple[Piece, float]]:
    while composer.pages:
        yield from composer.epoch()


def _export(
    model: Model, tfidf: HashedTfidf, parameters: Parameters, scaling: _Scaling, card: Mapping[str, Any]
) -> Model:
    numbers = (parameters["numbers"] / scaling.deviation[:, None]).astype(np.float32)
    bias = (parameters["vector.bias"] - scaling.mean @ numbers).astype(np.float32)
    # The scale stays, so that rounding changes no word that was not met.
    words: NDArray[np.int8] = np.clip(np.rint(parameters["words"] / model.word_scale), -127, 127).astype(np.int8)
    return dataclasses.replace(
        model,
        buckets=tfidf.buckets_,
        idf=tfidf.idf_,
        learned=tfidf.learned_,
        words=words,
        shapes=parameters["shapes"],
        numbers=Layer(numbers, bias),
        network=network_of(parameters, model.network.dilations),
        card=card,
    )


def _card(model: Model, corrected: Sequence[Corrected], tfidf: HashedTfidf, settings: Adapting) -> dict[str, Any]:
    """The card of the model, whose scores hold no longer, and what was done to it."""
    card = {name: value for name, value in model.card.items() if name != "scores"}
    adapted = {
        "from": model.name,
        "from_scores": model.card.get("scores", {}),
        "pages": len(corrected),
        "pages_as_html": sum(each.page.markup is not None for each in corrected),
        "paragraphs": sum(int((each.targets >= 0).sum()) for each in corrected),
        "new_ngrams": len(tfidf.buckets_) - len(model.buckets),
        "settings": dataclasses.asdict(settings),
    }
    return card | {"date": today(), "adapted": adapted}
