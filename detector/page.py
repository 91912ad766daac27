"""``Page`` and ``Paragraph``: the one type that flows from reader to writer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.labels import LABELS, Label

_EDITORIAL_ONLY = (Label.EDITORIAL,)


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One block-level run of text: the span ``[start, end)`` of its page's text, in code points.

    ``label``, ``confidence`` (calibrated probability of that label, 0 to 1) and ``scores`` (the probabilities
    of all four labels, in the order of :class:`Label`) are ``None`` until a detector has labelled the page.
    """

    start: int
    end: int
    text: str
    label: Label | None = None
    confidence: float | None = None
    scores: Mapping[Label, float] | None = None


@dataclass(frozen=True, eq=False)
class Markup:
    """What an HTML page says of each of its n paragraphs' places.

    ``buckets`` from ``first[i]`` to ``first[i + 1]`` are hashed tags, classes, ids and roles of paragraph i and its
    ancestors; ``numbers`` (n, 4): link density (0 to 1), log depth, log of how many siblings of its shape stand
    beside it or its ancestors, whether it is hidden; ``nearest`` (n, 3): its element and that one's two nearest
    ancestors, as indices into ``names``, where what is not there has no name.
    """

    buckets: NDArray[np.int32]
    first: NDArray[np.int64]
    numbers: NDArray[np.float32]
    nearest: NDArray[np.int32]
    names: tuple[str, ...]

    @cached_property
    def places(self) -> tuple[str, ...]:
        """Each paragraph's place for people ("aside.newsletter > form > p"); built on first use."""
        rows = self.nearest[:, ::-1].tolist()
        return tuple(" > ".join(self.names[i] for i in row if self.names[i]) for row in rows)


@dataclass(frozen=True, eq=False)
class Page:
    """One document: its text, the spans of its paragraphs, their layout and, once labelled, their scores.

    Arrays have one entry a paragraph: ``starts`` and ``ends`` (code points, int64), ``indents`` (characters of
    white space before it, int32), ``blanks`` (blank lines before it, int32), ``scores`` (n x 4 float32, rows
    sum to 1; ``None`` until labelled). ``markup`` is ``None`` for plain text. ``id``, ``url`` and ``fields`` are the
    record's own and pass through.
    """

    text: str
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    indents: NDArray[np.int32]
    blanks: NDArray[np.int32]
    scores: NDArray[np.float32] | None = None
    markup: Markup | None = None
    id: str | None = None
    url: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """The number of paragraphs."""
        return len(self.starts)

    def with_scores(self, scores: NDArray[np.float32]) -> Page:
        """The same page, labelled: ``scores`` has a row a paragraph, a column a label."""
        return replace(self, scores=scores)

    def with_record(self, id: str | None, url: str | None, fields: Mapping[str, Any]) -> Page:
        """The same page, knowing the record that it came from."""
        return replace(self, id=id, url=url, fields=fields)

    @cached_property
    def labels(self) -> tuple[Label, ...]:
        """The label of each paragraph; raises ``ValueError`` before the page is labelled."""
        if self.scores is None:
            raise ValueError("this page has no labels yet: pass its text to Detector.label()")
        return tuple(LABELS[i] for i in self.scores.argmax(axis=1).tolist())

    @cached_property
    def paragraphs(self) -> tuple[Paragraph, ...]:
        """The paragraphs in order; built on first use."""
        spans = zip(self.starts.tolist(), self.ends.tolist(), strict=True)
        if self.scores is None:
            return tuple(Paragraph(start, end, self.text[start:end]) for start, end in spans)
        return tuple(
            Paragraph(start, end, self.text[start:end], label, max(row), dict(zip(LABELS, row, strict=True)))
            for (start, end), label, row in zip(spans, self.labels, self.scores.tolist(), strict=True)
        )

    def keep(self, *labels: Label | str) -> str:
        """The text of the paragraphs that bear one of ``labels`` (editorial when none is named).

        White space between two kept neighbours stays as it was; where something was dropped between them, a
        blank line stays if there was one. Raises ``ValueError`` for a name that is no label.
        """
        wanted = {Label(label) for label in labels} if labels else set(_EDITORIAL_ONLY)
        return self.keep_where(np.array([label in wanted for label in self.labels], dtype=bool))

    def keep_where(self, mask: NDArray[np.bool_]) -> str:
        """Like :meth:`keep`, for the paragraphs where ``mask`` (one entry a paragraph) is true."""
        pieces: list[str] = []
        previous = None
        for i in np.flatnonzero(mask).tolist():
            start, end = int(self.starts[i]), int(self.ends[i])
            if previous is None:
                pieces.append(self.text[start - int(self.indents[i]) : start])
            elif previous == i - 1:
                pieces.append(self.text[int(self.ends[previous]) : start])
            else:
                broken = self.blanks[previous + 1 : i + 1].any()
                pieces.append("\n\n" if broken else "\n")
                pieces.append(self.text[start - int(self.indents[i]) : start])
            pieces.append(self.text[start:end])
            previous = i
        return "".join(pieces)
