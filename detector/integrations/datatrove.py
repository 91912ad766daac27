"""datatrove: a pipeline step that labels documents, for its local and Slurm executors.

Needs the extra: ``pip install 'banner-detector[datatrove]'``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from detector.extras import missing

try:
    from datatrove.data import Document, DocumentsPipeline
    from datatrove.pipeline.base import PipelineStep
    from datatrove.utils.batching import batched
    from datatrove.utils.typeshelper import StatHints
except ImportError as error:
    raise missing(error, "datatrove", "detector.integrations.datatrove") from None

from detector.detector import Detector
from detector.formats.jsonl import paragraph_records
from detector.integrations.shared import shared_detector
from detector.keep import Keep
from detector.page import Page
from detector.segment import segment

_BATCH = 64
"""Documents that are labelled at once."""


class LabelParagraphs(PipelineStep):  # type: ignore[misc]  # datatrove has no types
    """Labels the paragraphs of each document.

    Without ``keep`` every document goes on, with a list of ``{"start", "end", "label", "confidence"}`` in
    ``metadata["paragraphs"]``; spans are in code points of its text. With ``keep`` (a label or several, ``preset``
    "recall" or "precision" in doubt) a document's text becomes that of those labels, and a document of which nothing
    is left is dropped.

    ``html`` says that the documents' text is HTML, as the WARC reader gives it: what it shows becomes the text.
    ``model`` is a model's folder, the same on every node; the bundled one if not told. It is loaded once a process.

    Stats: ``total`` is ``forwarded`` plus ``dropped``; ``dropped_unreadable`` of these had no ``str`` as text;
    ``paragraphs_LABEL`` counts paragraphs. Raises ``ValueError`` for labels and presets that are none.
    """

    name = "🏷 banner-detector"
    type = "🏷 - LABEL"

    def __init__(
        self,
        keep: str | Sequence[str] | None = None,
        *,
        preset: str | None = None,
        html: bool = False,
        model: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.keep = Keep.of(keep, preset)
        self.html = html
        self.model = model

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """The documents of ``data`` that are left, labelled or cleaned."""
        detector = shared_detector(self.model)
        for batch in batched(data, _BATCH):
            with self.track_time("batch"):
                left = list(self._left(detector, batch))
            for document in left:
                self.stat_update(StatHints.forwarded)
                self.update_doc_stats(document)
                yield document

    def _left(self, detector: Detector, batch: Sequence[Document]) -> Iterator[Document]:
        readable = list(filter(self._is_readable, batch))
        for document, page in zip(readable, detector.label_stream(map(self._page, readable)), strict=True):
            self._annotate(detector, document, page)
            if self.keep is None or document.text:
                yield document
            else:
                self.stat_update(StatHints.dropped)

    def _is_readable(self, document: Document) -> bool:
        self.stat_update(StatHints.total)
        if isinstance(document.text, str):
            return True
        self.stat_update(StatHints.dropped, "dropped_unreadable")
        return False

    def _page(self, document: Document) -> Page:
        if not self.html:
            return segment(document.text)
        from detector.html import parse_html  # text needs no HTML parser

        return parse_html(document.text, document.metadata.get("url"))

    def _annotate(self, detector: Detector, document: Document, page: Page) -> None:
        for label, count in Counter(page.labels).items():
            self.stat_update(f"paragraphs_{label}", value=count)
        if self.keep is not None:
            document.text = self.keep.text(detector, page)
            return
        document.text = page.text
        document.metadata["paragraphs"] = paragraph_records(page)
