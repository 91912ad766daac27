"""A Scrapy crawl of the tests' site with every kind of item, good and bad.

``python -m tests.crawl URL OUT REACTOR STOP_AFTER`` (items; 0 for all).
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import attrs
from itemadapter import ItemAdapter
from scrapy import Field, Item, Spider
from scrapy.crawler import CrawlerProcess
from scrapy.http import HtmlResponse, Request
from scrapy.linkextractors import LinkExtractor

from detector.integrations.scrapy import META_KEY


class DeclaredItem(Item):
    url, html, text, clean_text, paragraphs, seen = Field(), Field(), Field(), Field(), Field(), Field()


@dataclass
class DataItem:
    url: str
    html: str
    seen: int
    text: str = ""
    clean_text: str = ""
    paragraphs: list[dict[str, object]] = field(default_factory=list)


@attrs.define
class AttrsItem:
    url: str
    html: str
    seen: int
    text: str = ""
    clean_text: str = ""
    paragraphs: list[dict[str, object]] = attrs.Factory(list)


@dataclass
class NarrowItem:
    url: str
    html: str


KINDS = (dict, DeclaredItem, DataItem, AttrsItem)
scraped: list[dict[str, object]] = []


class Collect:
    def process_item(self, item):
        scraped.append(ItemAdapter(item).asdict() | {"kind": type(item).__name__})
        return item


class KindsSpider(Spider):
    name = "kinds"

    def parse(self, response):
        for result in self.results(response):
            self.crawler.stats.inc_value("given", not isinstance(result, Request))
            yield result

    def results(self, response):
        url = response.url
        if not isinstance(response, HtmlResponse):
            yield {"url": url, "html": response.body}
            return
        number = int(url.rsplit("/", 1)[1])
        seen = len(response.meta[META_KEY].labels)
        yield KINDS[number % len(KINDS)](url=url, html=response.text, seen=seen)
        if number == 0:
            yield {"url": url, "html": 7}
            yield {"name": "an author, not a page"}
            yield NarrowItem(url, "<p>The council met on Tuesday.")
        yield from response.follow_all(LinkExtractor(allow=response.urljoin("/")).extract_links(response))


def main(url: str, out: str, reactor: str, stop_after: str) -> None:
    process = CrawlerProcess(
        {
            "DOWNLOADER_MIDDLEWARES": {"detector.integrations.scrapy.LabelMiddleware": 100},
            "ITEM_PIPELINES": {"detector.integrations.scrapy.LabelPipeline": 300, Collect: 400},
            "CLOSESPIDER_ITEMCOUNT": stop_after,
            "LOG_LEVEL": "WARNING",
            "TELNETCONSOLE_ENABLED": False,
            "TWISTED_REACTOR": reactor,
        }
    )
    crawler = process.create_crawler(KindsSpider)
    process.crawl(crawler, start_urls=[url])
    process.start()
    stats = crawler.stats.get_stats()
    for item in scraped:
        item["html"] = repr(item.get("html"))
    Path(out).write_text(
        json.dumps({"items": scraped, "given": stats["given"], "stats": stats}, default=str), encoding="utf-8"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
