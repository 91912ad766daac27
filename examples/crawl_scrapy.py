"""A Scrapy spider that stores what is editorial on each page of one site.

    pip install 'banner-detector[scrapy]'
    python examples/crawl_scrapy.py https://site.example/ pages.jsonl

Each line of the file: the page's address, its clean text, all its text, and the label of each paragraph.
"""

import sys
from collections.abc import Iterator
from typing import Any

from scrapy import Spider
from scrapy.crawler import CrawlerProcess
from scrapy.http import HtmlResponse, Request, Response
from scrapy.linkextractors import LinkExtractor


class SiteSpider(Spider):
    """Follows the links of one host."""

    name = "site"

    def parse(self, response: Response) -> Iterator[Request | dict[str, Any]]:
        """The page as an item, and what it links to."""
        if not isinstance(response, HtmlResponse):
            return
        yield {"url": response.url, "html": response.text}
        yield from response.follow_all(LinkExtractor(allow=response.urljoin("/")).extract_links(response))


def main(start: str, out: str) -> None:
    """Crawl the site of ``start`` into ``out``."""
    process = CrawlerProcess(
        {
            "ITEM_PIPELINES": {"detector.integrations.scrapy.LabelPipeline": 300},
            "DETECTOR_KEEP": ["editorial"],
            "FEEDS": {out: {"format": "jsonlines", "fields": ["url", "clean_text", "text", "paragraphs"]}},
            "LOG_LEVEL": "INFO",
        }
    )
    process.crawl(SiteSpider, start_urls=[start])
    process.start()


if __name__ == "__main__":
    main(*sys.argv[1:])
