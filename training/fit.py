"""Fit the classifier on labelled pages, calibrate it on pages held out, export it: ``fit(...) -> Fitted``."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.pipeline import Pipeline

from detector.labels import LABELS
from detector.model import Model
from detector.network import Floats, Ints, Layer
from detector.segment import segment
from training.calibrate import Calibration, calibrate, preset_thresholds
from training.compose import Bank, Composer, Mixture, Piece
from training.corpus import Document, Rendering
from training.network import NetworkSettings, network_of
from training.pipeline import HashedTfidf, PageFeatures, PageNetwork, Rows, pipeline
from training.prior import Prior

Report = Callable[[str], None]
CALIBRATION_FOLDS = 8
"""One part in this many of the hosts and publications is held out to calibrate on."""


@dataclass(frozen=True)
class Settings:
    """What training can be told. Each default is the best of the values tried (``training/README.md``)."""

    seed: int = 1
    epochs: int = 18
    least_groups: float = 3
    group_share: float = 0.02
    """An n-gram needs to occur on ``least_groups`` hosts and publications of its language, plus this share."""
    own_copies: int = 4
    """Times that each page written for the project enters an epoch: they are few, and the mission's own case."""
    network: NetworkSettings = field(default_factory=NetworkSettings)
    mixture: Mixture = field(default_factory=Mixture)

    def changed(self, changes: Sequence[str]) -> Settings:
        """These settings with changes as in ``epochs=4`` or ``network.dilations=[1,2,4]``.

        Raises ``ValueError`` for a name that is no setting and a value of another type.
        """
        settings = self
        for change in changes:
            name, _, value = change.partition("=")
            part, _, last = name.rpartition(".")
            holder: Any = getattr(settings, part, None) if part else settings
            if not dataclasses.is_dataclass(holder) or last not in {known.name for known in dataclasses.fields(holder)}:
                raise ValueError(f"{change!r}: no such setting; see Settings, NetworkSettings, Mixture in training/")
            new = _parsed(change, value, getattr(holder, last))
            holder = dataclasses.replace(holder, **{last: new})  # type: ignore[type-var]
            settings = dataclasses.replace(settings, **{part: holder}) if part else holder
        return settings


def _parsed(change: str, value: str, default: object) -> object:
    try:
        new = json.loads(value)
    except ValueError:
        raise ValueError(f"{change!r}: the value is not a number or a list of numbers") from None
    if isinstance(new, list):
        new = tuple(new)
    elif isinstance(new, int) and isinstance(default, float):
        new = float(new)
    if type(new) is not type(default):
        raise ValueError(f"{change!r}: a value like {default!r} is wanted")
    return new


@dataclass(frozen=True)
class Fitted:
    """The scikit-learn pipeline (its probabilities not yet calibrated) and its export."""

    pipeline: Pipeline
    model: Model
    calibration: Calibration


@dataclass(frozen=True)
class Sources:
    """Labelled text to learn from."""

    pages: Sequence[Document]
    own: Sequence[Document]
    widgets: Sequence[Document]
    passages: Sequence[Document]
    renderings: Mapping[str, Rendering] = field(default_factory=dict)
    """By id, the pages whose HTML is known."""

    def documents(self) -> list[Document]:
        """All of it, in the order of the rows that it becomes."""
        return [*self.pages, *self.own, *self.widgets, *self.passages]

    def part(self, keep: Callable[[Document], bool]) -> Sources:
        """Those documents that ``keep`` says yes to."""
        pages, own, widgets, passages = (
            [document for document in part if keep(document)]
            for part in (self.pages, self.own, self.widgets, self.passages)
        )
        return Sources(pages, own, widgets, passages, self.renderings)


@dataclass(frozen=True)
class _Hashed:
    """All documents as rows, and each one as a :class:`Piece` of row numbers."""

    rows: Rows
    groups: Ints
    languages: Ints
    pages: list[Piece]
    own: list[Piece]
    widgets: list[Piece]
    passages: list[Piece]
    rendered: list[Piece | None]
    """For each page and own page, as its HTML shows it."""

    @classmethod
    def of(cls, sources: Sources) -> _Hashed:
        documents = sources.documents()
        pages = [segment(document.text) for document in documents]
        targets = [document.targets()[document.line_of(page)] for document, page in zip(documents, pages, strict=True)]
        shown = [document for document in documents if document.id in sources.renderings]
        pages += [sources.renderings[document.id].page for document in shown]
        targets += [sources.renderings[document.id].targets for document in shown]
        owners = documents + shown
        rows = PageFeatures().transform(pages)
        sizes = rows.features.sizes
        pieces = [
            Piece(np.arange(end - len(page), end), target, page.blanks, owner.lang, owner.place, bool(page.markup))
            for owner, page, target, end in zip(owners, pages, targets, np.cumsum(sizes).tolist(), strict=True)
        ]
        by_id = {document.id: piece for document, piece in zip(shown, pieces[len(documents) :], strict=True)}
        left = iter(pieces)
        return cls(
            rows,
            groups=np.repeat(_numbers([owner.group for owner in owners]), sizes),
            languages=np.repeat(_numbers([owner.lang for owner in owners]), sizes),
            pages=list(islice(left, len(sources.pages))),
            own=list(islice(left, len(sources.own))),
            widgets=list(islice(left, len(sources.widgets))),
            passages=list(islice(left, len(sources.passages))),
            rendered=[by_id.get(document.id) for document in (*sources.pages, *sources.own)],
        )

    def composer(self, settings: Settings) -> Composer:
        pages = self.pages + self.own * settings.own_copies
        real = len(self.pages)
        rendered = self.rendered[:real] + self.rendered[real:] * settings.own_copies
        bank = Bank.of(self.widgets, self.passages)
        return Composer(pages, rendered, bank, settings.mixture, random.Random(settings.seed))


def _numbers(names: Sequence[str]) -> Ints:
    return np.unique(np.array(names, dtype=object), return_inverse=True)[1]


def fit(sources: Sources, settings: Settings, report: Report) -> Fitted:
    """Fit, calibrate and export; ``report`` is told of each step.

    The network that ships has read every page; a second one, which has not read one part in eight of the hosts,
    tells on these how far to trust such a network.
    """
    rest = sources.part(lambda document: not _held_out(document))
    held_out = sources.part(_held_out)
    (tfidf, network), probe = Parallel(n_jobs=2)(
        delayed(_learn)(part, settings, name, report) for part, name in ((sources, "final"), (rest, "calibration"))
    )
    logits, targets, chars = _score(probe, held_out, settings)
    calibration = calibrate(logits, targets)
    presets = preset_thresholds(calibration.apply(logits), targets, chars)
    model = export(tfidf, network, calibration, {"presets": presets})
    return Fitted(pipeline(tfidf, network), model, calibration)


def _held_out(document: Document) -> bool:
    return document.part_of(CALIBRATION_FOLDS, "calibration") == 0


def _learn(sources: Sources, settings: Settings, name: str, report: Report) -> tuple[HashedTfidf, PageNetwork]:
    hashed = _Hashed.of(sources)
    tfidf = HashedTfidf(Prior.load(), settings.least_groups, settings.group_share)
    tfidf.fit(hashed.rows, hashed.groups, hashed.languages)
    pages = len(sources.pages) + len(sources.own)
    report(f"{name}: {pages:,} pages, {len(hashed.groups):,} paragraphs, {len(tfidf.buckets_):,} n-grams")

    def tell(epoch: int, loss: float) -> None:
        report(f"{name}: epoch {epoch + 1} of {settings.epochs}, loss {loss:.3f}")

    network = PageNetwork(settings.network, settings.epochs, settings.seed)
    composer = hashed.composer(settings)
    return tfidf, network.fit(tfidf.transform(hashed.rows), tfidf, composer, tell)


def _score(probe: tuple[HashedTfidf, PageNetwork], sources: Sources, settings: Settings) -> tuple[Floats, Ints, Ints]:
    """Logits, targets and lengths of held-out pages: whole ones and article zones, as training composes them."""
    tfidf, network = probe
    hashed = _Hashed.of(sources)
    drawn = [page for page, _ in hashed.composer(settings).epoch()]
    inputs = tfidf.transform(hashed.rows).drawn(drawn)
    targets = np.concatenate([page.targets for page in drawn])
    known = targets >= 0
    return network.decision_function(inputs)[known], targets[known], inputs.features.lengths[known]


def export(tfidf: HashedTfidf, network: PageNetwork, calibration: Calibration, card: dict[str, Any]) -> Model:
    """The fitted steps as the arrays that prediction needs; standardisation is folded into a layer."""
    parameters = network.parameters_
    numbers = (parameters["numbers"] / network.deviation_[:, None]).astype(np.float32)
    bias = parameters["vector.bias"] - network.mean_ @ numbers
    return Model(
        buckets=tfidf.buckets_,
        idf=tfidf.idf_,
        learned=tfidf.learned_,
        words=np.rint(parameters["words"] / network.word_scale_).astype(np.int8),
        word_scale=network.word_scale_,
        shapes=parameters["shapes"],
        numbers=Layer(numbers, bias.astype(np.float32)),
        network=network_of(parameters, network.settings.dilations),
        temperature=calibration.temperature,
        prior=calibration.prior,
        card={"labels_in_order": [label.value for label in LABELS]} | card,
    )
