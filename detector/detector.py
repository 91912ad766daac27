"""``Detector``: segment, read, decide; one page or any number of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from functools import cache, cached_property, partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detector.explain import Evidence, Explanation
from detector.labels import LABELS, Label
from detector.memory import SiteMemory
from detector.model import Model
from detector.page import Page
from detector.segment import segment

if TYPE_CHECKING:
    from detector.microbatch import MicroBatcher

BUNDLED = Path(__file__).parent / "models" / "default"
BATCH_CHARS = 1 << 17
"""Characters labelled at once: enough to hide numpy's cost a call, few enough to stay in a core's cache."""
_BATCH_PAGES = 64
_ROUNDING = 1e-6
"""By so much four probabilities may miss 1 when they are added."""


class Preset(StrEnum):
    """What ``clean`` favours when a paragraph may or may not be editorial.

    Thresholds on the probability of the labels kept, read off the model's card: ``RECALL`` is the highest that
    keeps 99.9 % of the editorial characters of held-out pages, ``PRECISION`` the lowest that leaves 0.5 % junk or,
    where that would lose more, the one that loses a tenth of them.
    """

    RECALL = "recall"
    PRECISION = "precision"


class Detector:
    """Labels pages with a trained model. Holds no state between pages; safe to share between threads."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @classmethod
    def load(cls, folder: str | Path | None = None) -> Detector:
        """The bundled model, or the one in ``folder``; raises ``ModelError`` if that is not a whole, known one."""
        return _bundled() if folder is None else cls(Model.load(Path(folder)))

    def label(self, text: str) -> Page:
        """Label a page of plain text, as scraped."""
        _check_text(text)
        return self.label_pages([segment(text)])[0]

    def label_html(self, html: str | bytes, url: str | None = None, charset: str | None = None) -> Page:
        """Label a page of HTML, as fetched; ``charset`` is the HTTP header's. The page's text is what a reader sees."""
        _check_html(html)
        from detector.html import parse_html  # text needs no HTML parser

        return self.label_pages([parse_html(html, url, charset)])[0]

    async def alabel(self, text: str) -> Page:
        """:meth:`label` for asyncio: calls that wait at the same time are labelled together, in a thread."""
        _check_text(text)
        return await self._batcher.label(partial(segment, text))

    async def alabel_html(self, html: str | bytes, url: str | None = None, charset: str | None = None) -> Page:
        """:meth:`label_html` for asyncio: calls that wait at the same time are labelled together, in a thread."""
        _check_html(html)
        from detector.html import parse_html

        return await self._batcher.label(partial(parse_html, html, url, charset))

    @cached_property
    def _batcher(self) -> MicroBatcher:
        from detector.microbatch import MicroBatcher  # brings asyncio, which a first label does without

        return MicroBatcher(self)

    def __reduce__(self) -> tuple[type[Detector], tuple[Model]]:
        # A copy in another process starts its own thread.
        return Detector, (self.model,)

    def clean_markdown(
        self,
        html: str | bytes,
        url: str | None = None,
        charset: str | None = None,
        *,
        labels: Sequence[Label] = (Label.EDITORIAL,),
        preset: Preset | None = None,
        min_confidence: float | None = None,
    ) -> str:
        """What :meth:`keep_mask` keeps of a page of HTML, as Markdown; links are resolved against ``url``."""
        _check_html(html)
        from detector.markdown import parse_markdown

        page = parse_markdown(html, url, charset)
        mask = self.keep_mask(self.label_pages([page])[0], labels, preset=preset, min_confidence=min_confidence)
        return page.keep_markdown_where(mask)

    def label_many(self, texts: Iterable[str | Page], *, site_memory: bool | SiteMemory = False) -> Iterator[Page]:
        """Label any number of plain texts or segmented pages, in order; memory holds one batch at a time.

        ``site_memory`` is that of :meth:`label_stream`: it needs pages that know their URL.
        """
        if isinstance(texts, str | bytes | Page):
            # A text is an iterable of texts as well: each of its letters would be a page.
            raise TypeError(f"an iterable of texts is wanted, not one {type(texts).__name__}: give a list of it")
        return self.label_stream(map(_segmented, texts, count()), site_memory=site_memory)

    def label_stream(self, pages: Iterable[Page], *, site_memory: bool | SiteMemory = False) -> Iterator[Page]:
        """Label any number of segmented pages, in order; memory holds one batch at a time.

        With ``site_memory`` the pages of one host (by ``Page.url``) tell about one another. ``True`` learns as pages
        pass: a page profits from those before it and those of its batch, so the first of a host least. For two passes
        give what :meth:`learn_sites` made of the first: it is only read.
        """
        settle = _settling(site_memory)
        batch: list[Page] = []
        chars = 0
        for page in pages:
            batch.append(page)
            chars += len(page.text)
            if chars >= BATCH_CHARS or len(batch) >= _BATCH_PAGES:
                self.model.widen()
                yield from settle(self.label_pages(batch))
                batch, chars = [], 0
        yield from settle(self.label_pages(batch))

    def learn_sites(self, pages: Iterable[Page]) -> SiteMemory:
        """What segmented pages tell about their hosts: the first of two passes; see :meth:`label_stream`."""
        memory = SiteMemory()
        for page in self.label_stream(pages):
            memory.learn([page])
        return memory

    def label_pages(self, pages: Sequence[Page]) -> list[Page]:
        """Label segmented pages at once. A page's labels do not depend on the others'."""
        if not pages:
            return []
        return [page.with_scores(rows) for page, rows in zip(pages, self.model.scores(pages), strict=True)]

    def keep_mask(
        self, page: Page, labels: Sequence[Label], *, preset: Preset | None = None, min_confidence: float | None = None
    ) -> NDArray[np.bool_]:
        """Which paragraphs of a labelled page ``clean`` keeps.

        Without a threshold those whose label is among ``labels``; with one (a preset's, or ``min_confidence``,
        0 to 1) those whose probabilities of ``labels`` add up to it.
        """
        if page.scores is None:
            raise ValueError("this page has no labels yet: pass its text to Detector.label()")
        columns = sorted({LABELS.index(label) for label in labels})
        if preset is not None:
            min_confidence = float(self.model.card["presets"][preset.value])
        if min_confidence is None:
            return np.isin(page.scores.argmax(axis=1), columns)
        return np.asarray(page.scores[:, columns].sum(axis=1, dtype=np.float64) >= min_confidence - _ROUNDING)

    def explain(self, page: Page, index: int, *, most: int = 12) -> Explanation:
        """Why paragraph ``index`` of a labelled page got its label; raises ``IndexError`` beyond the page's end."""
        if not 0 <= index < len(page):
            raise IndexError(f"paragraph {index} of a page of {len(page)}")
        return next(self._explanations(page, [index], most))

    def explain_page(self, page: Page, *, most: int = 12) -> list[Explanation]:
        """:meth:`explain` for every paragraph of a labelled page, which is read once."""
        return list(self._explanations(page, range(len(page)), most))

    def _explanations(self, page: Page, indices: Sequence[int], most: int) -> Iterator[Explanation]:
        if page.scores is None:
            page = self.label_pages([page])[0]
        evidence = Evidence.of(self.model, page)
        for index in indices:
            yield evidence.explain(index, most)


def _check_text(text: object) -> None:
    """Raises ``TypeError`` for what is no text, before something deep inside stumbles over it."""
    if isinstance(text, bytes | bytearray):
        raise TypeError(f"a page's text is wanted as str, not {type(text).__name__}: decode it, or label_html() it")
    if not isinstance(text, str):
        raise TypeError(f"a page's text is wanted as str, not {type(text).__name__}")


def _check_html(html: object) -> None:
    if not isinstance(html, str | bytes):
        raise TypeError(f"a page's HTML is wanted as str or bytes, not {type(html).__name__}")


def _segmented(text: object, position: int) -> Page:
    """One of many pages; raises ``TypeError`` with its ``position`` for what is none."""
    if isinstance(text, Page):
        return text
    if isinstance(text, str):
        return segment(text)
    raise TypeError(f"texts[{position}] is {type(text).__name__}: each text is wanted as str, or as a segmented Page")


def _settling(site_memory: bool | SiteMemory) -> Callable[[list[Page]], list[Page]]:
    """What becomes of a batch of labelled pages."""
    if isinstance(site_memory, SiteMemory):
        return site_memory.recall
    return SiteMemory().update if site_memory else lambda pages: pages


@cache
def _bundled() -> Detector:
    return Detector(Model.load(BUNDLED))
