"""A crawler of one site with asyncio and httpx; what is editorial goes to standard output as JSON Lines.

pip install banner-detector httpx
python examples/crawl_httpx.py https://site.example/ > pages.jsonl
"""

import asyncio
import json
import sys
from urllib.parse import urldefrag, urljoin, urlsplit

import httpx
from selectolax.lexbor import LexborHTMLParser

from detector import Detector

WORKERS = 8


def links(html: str, url: str) -> set[str]:
    """Where the page at ``url`` links to on its own host."""
    hrefs = [node.attributes.get("href") or "" for node in LexborHTMLParser(html).css("a[href]")]
    targets = {urldefrag(urljoin(url, href)).url for href in hrefs}
    return {target for target in targets if urlsplit(target).netloc == urlsplit(url).netloc}


async def crawl(start: str) -> None:
    """Fetch and label each page that can be reached from ``start``, once."""
    detector = Detector.load()
    queue: asyncio.Queue[str] = asyncio.Queue()
    seen = {start}
    queue.put_nowait(start)

    async def visit(url: str, client: httpx.AsyncClient) -> None:
        response = await client.get(url, follow_redirects=True)
        if response.status_code != httpx.codes.OK or "html" not in response.headers.get("content-type", ""):
            return
        page = await detector.alabel_html(response.content, url, response.charset_encoding)
        print(json.dumps({"url": url, "clean_text": page.keep("editorial")}, ensure_ascii=False))
        for link in links(response.text, url) - seen:
            seen.add(link)
            queue.put_nowait(link)

    async def work(client: httpx.AsyncClient) -> None:
        while True:
            url = await queue.get()
            try:
                await visit(url, client)
            except httpx.HTTPError as error:
                print(f"{url}: {error!r}", file=sys.stderr)
            finally:
                queue.task_done()

    async with httpx.AsyncClient() as client:
        workers = [asyncio.create_task(work(client)) for _ in range(WORKERS)]
        await queue.join()
        for worker in workers:
            worker.cancel()


if __name__ == "__main__":
    asyncio.run(crawl(sys.argv[1]))
