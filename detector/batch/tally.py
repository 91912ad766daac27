"""What went in, what came out, and what could not be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from detector.formats.jsonl import dump
from detector.labels import LABELS
from detector.page import Page

_NAMES = tuple(label.value for label in LABELS)


@dataclass(frozen=True)
class Failure:
    """Something that could not be labelled: the file, the number of the record in it (from 1), the reason."""

    file: str
    record: int | None
    reason: str

    def __str__(self) -> str:
        where = self.file if self.record is None else f"{self.file}, record {self.record}"
        return f"{printable(where)}: {self.reason}"

    def as_dict(self) -> dict[str, Any]:
        """The failure as the error lane has it."""
        return {"file": self.file, "record": self.record, "reason": self.reason}

    def as_json(self) -> str:
        """One line of the error lane."""
        return dump(self.as_dict())


def printable(name: str) -> str:
    """``name`` on one line, whatever signs it is made of."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in name)


@dataclass
class Tally:
    """What went in and what came out; ``pages`` is ``labelled`` plus ``failed``.

    ``skipped`` counts records that are no pages, as pictures in a crawl; ``bytes`` those read, as they are stored.
    """

    labelled: int = 0
    failed: int = 0
    skipped: int = 0
    characters: int = 0
    bytes: int = 0
    paragraphs: Counter[str] = field(default_factory=Counter)

    @property
    def pages(self) -> int:
        """All that was read or tried."""
        return self.labelled + self.failed

    def add(self, page: Page) -> None:
        """Count a labelled page."""
        self.labelled += 1
        self.characters += len(page.text)
        if page.scores is None:
            raise ValueError("this page has no labels yet")
        counts = np.bincount(page.scores.argmax(axis=1), minlength=len(LABELS)).tolist()
        self.paragraphs.update(dict(zip(_NAMES, counts, strict=True)))

    def merge(self, other: Tally) -> None:
        """Count what ``other`` counted."""
        self.labelled += other.labelled
        self.failed += other.failed
        self.skipped += other.skipped
        self.characters += other.characters
        self.bytes += other.bytes
        self.paragraphs.update(other.paragraphs)

    def as_dict(self) -> dict[str, Any]:
        """All counts by name, a label's under ``paragraphs``."""
        counts = {name: getattr(self, name) for name in ("labelled", "failed", "skipped", "characters", "bytes")}
        return {"pages": self.pages, **counts, "paragraphs": {label.value: self.paragraphs[label] for label in LABELS}}

    @classmethod
    def of(cls, counts: Mapping[str, Any]) -> Tally:
        """The tally that :meth:`as_dict` gave ``counts``."""
        named = {name: counts[name] for name in ("labelled", "failed", "skipped", "characters", "bytes")}
        return cls(**named, paragraphs=Counter(counts["paragraphs"]))

    def __str__(self) -> str:
        shares = ", ".join(f"{self.paragraphs[label.value]:,} {label.value}" for label in LABELS)
        skipped = f", {self.skipped:,} records skipped that are no pages" * bool(self.skipped)
        return (
            f"{self.pages:,} pages: {self.labelled:,} labelled, {self.failed:,} failed{skipped};"
            f" {self.paragraphs.total():,} paragraphs: {shares}"
        )
