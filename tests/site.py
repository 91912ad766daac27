"""A web site of thirty linked pages on the loopback interface: what the crawlers of the tests and examples crawl."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from training.corpus import DATA

PAGES = 30
NOT_HTML = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def page(number: int) -> str:
    """One of the original pages under an address of its own, with a sentence of its own and links to two others."""
    originals = sorted((DATA / "pages").glob("*.html"))
    original = originals[number % len(originals)].read_text(encoding="utf-8")
    links = "".join(
        f'<li><a href="/page/{target}">Page {target}</a></li>'
        for target in (2 * number + 1, 2 * number + 2)
        if target < PAGES
    )
    mark = f"<p>{html.escape(sentence(number))}</p>"
    menu = f'<nav class="menu"><ul>{links}<li><a href="/picture">Picture</a></li></ul></nav>'
    # Their own links lead nowhere here.
    elsewhere = re.sub(r"""href=(["'])[/?]""", r"href=\1https://elsewhere.example/", original)
    return elsewhere.replace("</h1>", f"</h1>{mark}", 1).replace("</body>", f"{menu}</body>")


def sentence(number: int) -> str:
    """What only page ``number`` says."""
    return f"Issue number {number} of our little series came off the press late on a wet Thursday in March."


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, pages: list[bytes], *args) -> None:
        self._pages = pages
        super().__init__(*args)

    def do_GET(self) -> None:
        name, _, number = self.path.strip("/").partition("/")
        if name == "page" and number.isdigit() and int(number) < PAGES:
            self._answer(200, "text/html; charset=utf-8", self._pages[int(number)])
        elif name == "picture":
            self._answer(200, "image/png", NOT_HTML)
        else:
            self._answer(404, "text/plain", b"not here")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args) -> None:
        pass


@contextmanager
def served() -> Iterator[str]:
    """The site's first address, while it is up."""
    pages = [page(number).encode() for number in range(PAGES)]
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, pages)) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/page/0"
        finally:
            server.shutdown()
            thread.join()
