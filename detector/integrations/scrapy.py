"""Scrapy: an item pipeline that labels and cleans items, and a downloader middleware that labels responses.

In a project's settings, one of the two::

    ITEM_PIPELINES = {"detector.integrations.scrapy.LabelPipeline": 300}
    DOWNLOADER_MIDDLEWARES = {"detector.integrations.scrapy.LabelMiddleware": 100}

==========================  =================  ======================================================================
setting                     default            what it is
==========================  =================  ======================================================================
``DETECTOR_MODEL``          the bundled model  a model's folder
``DETECTOR_KEEP``           ``["editorial"]``  labels whose text is kept
``DETECTOR_HTML_FIELD``     ``"html"``         in: HTML, ``str`` or ``bytes``
``DETECTOR_TEXT_FIELD``     ``"text"``         in: plain text, read instead of the HTML if there is any;
                                               out, if it was empty: the text that the HTML shows
``DETECTOR_CLEAN_FIELD``    ``"clean_text"``   out: the text that is kept
``DETECTOR_LABELS_FIELD``   ``"paragraphs"``   out: a list of ``{"start", "end", "label", "confidence"}``, spans in
                                               code points of the text field
==========================  =================  ======================================================================

An item's field ``url``, if it has one, tells which links of its HTML lead to other sites. An empty name leaves a
field out. Items may be of any kind that itemadapter knows; a class must declare the fields that are written. An item
that cannot be labelled goes on as it came, with a warning. Stats: ``detector/pages``, ``detector/paragraphs/LABEL``,
``detector/failed``, ``detector/skipped`` (items with neither text nor HTML), ``detector/seconds`` (CPU time of the
labelling thread).
"""

from __future__ import annotations

import asyncio
import codecs
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from detector.extras import missing

try:
    from itemadapter import ItemAdapter
    from scrapy import signals
    from scrapy.crawler import Crawler
    from scrapy.http import HtmlResponse, Request, Response
    from scrapy.settings import BaseSettings
    from scrapy.utils.asyncio import is_asyncio_available
    from twisted.internet.defer import Deferred
except ImportError as error:
    raise missing(error, "scrapy", "detector.integrations.scrapy (for Scrapy 2.14 or newer)") from None

from detector.detector import Detector
from detector.formats.jsonl import paragraph_records
from detector.html import parse_html
from detector.labels import Label
from detector.microbatch import MicroBatcher
from detector.page import Page
from detector.segment import segment

META_KEY = "detector_page"
"""Where :class:`LabelMiddleware` leaves a response's labelled page: ``response.meta["detector_page"]``."""
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

Item = TypeVar("Item")

logger = logging.getLogger(__name__)


class UnreadableItemError(ValueError):
    """An item that cannot be labelled; the message says why and what to do."""


class _Labeller:
    """What both components are: pages labelled off the reactor's thread, counted in the crawler's stats."""

    def __init__(self, crawler: Crawler) -> None:
        if crawler.stats is None:
            raise RuntimeError("the crawler has no stats yet: let Scrapy make this component")
        self._crawler = crawler
        self._stats = crawler.stats
        self._batcher = MicroBatcher(Detector.load(crawler.settings.get("DETECTOR_MODEL")))

    async def _label(self, read: Callable[[], Page]) -> Page:
        page = await _result(self._batcher.submit(read))
        self._stats.inc_value("detector/pages")
        for label, count in Counter(page.labels).items():
            self._stats.inc_value(f"detector/paragraphs/{label}", count)
        return page

    def _fail(self, what: object, error: Exception) -> None:
        logger.warning("%s: not labelled: %s", what, error, extra={"spider": self._crawler.spider})
        self._stats.inc_value("detector/failed")

    def _close(self) -> None:
        self._batcher.close()
        seconds = self._stats.get_value("detector/seconds", 0.0) + self._batcher.seconds
        self._stats.set_value("detector/seconds", round(seconds, 4))


@dataclass(frozen=True)
class _Fields:
    """The names of an item's fields; empty for those that are left out."""

    html: str
    text: str
    clean: str
    labels: str

    @classmethod
    def of(cls, settings: BaseSettings) -> _Fields:
        return cls(
            html=settings.get("DETECTOR_HTML_FIELD", "html"),
            text=settings.get("DETECTOR_TEXT_FIELD", "text"),
            clean=settings.get("DETECTOR_CLEAN_FIELD", "clean_text"),
            labels=settings.get("DETECTOR_LABELS_FIELD", "paragraphs"),
        )

    def check(self, adapter: ItemAdapter) -> None:
        """Raise :class:`UnreadableItemError` if the item's class lacks a field that is written."""
        declared = ItemAdapter.get_field_names_from_class(adapter.item.__class__)
        if declared is None:
            return
        for setting, name in (("TEXT", self.text), ("CLEAN", self.clean), ("LABELS", self.labels)):
            if name and name not in declared:
                raise UnreadableItemError(
                    f"{type(adapter.item).__name__} has no field {name!r}: declare it, or set DETECTOR_{setting}_FIELD"
                    " to another name or to ''"
                )


class LabelPipeline(_Labeller):
    """Labels the text or the HTML of each item and adds the clean text; see the module's settings."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._keep = _labels(crawler.settings.getlist("DETECTOR_KEEP", [Label.EDITORIAL]))
        self._fields = _Fields.of(crawler.settings)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> LabelPipeline:
        """For Scrapy; raises ``ModelError`` or ``ValueError`` for settings that cannot be used."""
        return cls(crawler)

    def close_spider(self) -> None:
        """For Scrapy, when the last item is through."""
        self._close()

    async def process_item(self, item: Item) -> Item:
        """The item, labelled; as it came if it cannot be."""
        adapter = ItemAdapter(item)
        try:
            read = self._reader(adapter)
            if read is None:
                self._stats.inc_value("detector/skipped")
                return item
            self._fields.check(adapter)
            page = await self._label(read)
        except UnreadableItemError as error:
            self._fail(adapter.get("url") or type(item).__name__, error)
        else:
            self._write(adapter, page)
        return item

    def _reader(self, adapter: ItemAdapter) -> Callable[[], Page] | None:
        """What reads the item's page; ``None`` if it has none."""
        for name, read in ((self._fields.text, _read_text), (self._fields.html, _read_html)):
            value = adapter.get(name) if name else None
            if value:
                return partial(read, name, value, adapter.get("url"))
        return None

    def _write(self, adapter: ItemAdapter, page: Page) -> None:
        if self._fields.text:
            adapter[self._fields.text] = page.text
        if self._fields.clean:
            adapter[self._fields.clean] = page.keep(*self._keep)
        if self._fields.labels:
            adapter[self._fields.labels] = paragraph_records(page)


class LabelMiddleware(_Labeller):
    """Labels each HTML response before the spider sees it: ``response.meta["detector_page"]`` is its labelled page.

    Other responses (images, JSON, error pages) pass as they are, without the key.
    """

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> LabelMiddleware:
        """For Scrapy; raises ``ModelError`` for a model that cannot be used."""
        middleware = cls(crawler)
        crawler.signals.connect(middleware._close, signal=signals.spider_closed)
        return middleware

    async def process_response(self, request: Request, response: Response) -> Response:
        """The response, unchanged; its page goes into the request's meta."""
        if isinstance(response, HtmlResponse) and 200 <= response.status < 300:
            request.meta[META_KEY] = await self._label(partial(parse_html, response.text, response.url))
        return response


async def _result(future: Future[Page]) -> Page:
    """Wait for a page under any of Scrapy's event loops."""
    if is_asyncio_available():
        return await asyncio.wrap_future(future)
    from twisted.internet import reactor

    deferred: Deferred[Page] = Deferred()

    def done(future: Future[Page]) -> None:
        reactor.callFromThread(_settle, deferred, future)

    future.add_done_callback(done)
    return await deferred


def _settle(deferred: Deferred[Page], future: Future[Page]) -> None:
    error = future.exception()
    if error is None:
        deferred.callback(future.result())
    else:
        deferred.errback(error)


def _labels(names: list[str]) -> list[Label]:
    try:
        return [Label(name.strip()) for name in names]
    except ValueError as error:
        raise ValueError(f"DETECTOR_KEEP: {error}; labels are {', '.join(Label)}") from None


def _read_text(name: str, value: object, url: object) -> Page:
    if not isinstance(value, str):
        raise UnreadableItemError(f"the field {name!r} is {type(value).__name__}, not str: decode or drop it")
    return segment(value)


def _read_html(name: str, value: object, url: object) -> Page:
    if not isinstance(value, str | bytes):
        raise UnreadableItemError(f"the field {name!r} is {type(value).__name__}, not HTML: give it str or bytes")
    if isinstance(value, bytes) and not value.startswith(_UTF_16_MARKS) and (nul := value.find(0)) >= 0:
        raise UnreadableItemError(
            f"the field {name!r} is no HTML (a NUL byte at offset {nul:,}): drop binary responses"
        )
    return parse_html(value, url if isinstance(url, str) else None)
