"""A crawler of one site with Crawlee, no browser needed; what is editorial goes to standard output as JSON Lines.

pip install banner-detector crawlee
python examples/crawl_crawlee.py https://site.example/ > pages.jsonl
"""

import asyncio
import json
import sys
from urllib.parse import urljoin

from crawlee.crawlers import HttpCrawler, HttpCrawlingContext
from crawlee.storage_clients import MemoryStorageClient
from selectolax.lexbor import LexborHTMLParser

from detector import Detector


async def crawl(start: str) -> None:
    """Fetch and label each page that can be reached from ``start``, once."""
    detector = Detector.load()
    crawler = HttpCrawler(storage_client=MemoryStorageClient(), configure_logging=False)

    @crawler.router.default_handler
    async def handle(context: HttpCrawlingContext) -> None:
        if "html" not in context.http_response.headers.get("content-type", ""):
            return
        url, html = context.request.url, await context.http_response.read()
        page = await detector.alabel_html(html, url)
        print(json.dumps({"url": url, "clean_text": page.keep("editorial")}, ensure_ascii=False))
        links = [urljoin(url, node.attributes.get("href")) for node in LexborHTMLParser(html).css("a[href]")]
        await context.add_requests([link for link in links if link.startswith("http")], strategy="same-hostname")

    await crawler.run([start])


if __name__ == "__main__":
    asyncio.run(crawl(sys.argv[1]))
