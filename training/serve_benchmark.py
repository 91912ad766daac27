"""The HTTP service under load, on this machine alone: rate, waiting times, memory, beside the same labels in-process.

The pages are HTML of about 100 kB, made from those written for the project. The client shares the cores with the
service, as the in-process figure does not: its share of them is told too.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from detector import Detector
from training.corpus import DATA

PAGE_BYTES = 100_000
PAGES = 40
CONNECTIONS = 64
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_START_SECONDS = 60
_WARM_UP_REQUESTS = 4 * CONNECTIONS


def make_pages() -> list[bytes]:
    """HTML pages of :data:`PAGE_BYTES`: written pages' bodies one after another, with a script such as real ones have.

    As in real pages of that size, a third or so of it is what a reader sees, the rest markup and scripts.
    """
    bodies = [path.read_text(encoding="utf-8") for path in sorted((DATA / "pages").glob("*.html"))]
    draw = random.Random(0)
    pages = []
    for _ in range(PAGES):
        page = ""
        while len(page.encode()) < PAGE_BYTES // 2:
            page += draw.choice(bodies)
        script = "".join(draw.choices("abcdefgh(){};=. ", k=PAGE_BYTES - len(page.encode())))
        pages.append(f"<!doctype html><body>{page}<script>{script}</script></body>".encode())
    return pages


@dataclass
class Load:
    """What a run of requests came to."""

    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    """Seconds from when a request was due to its whole answer."""
    errors: int = 0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.waits) / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds within which this share of the answers came."""
        return 1e3 * sorted(self.waits)[min(int(share * len(self.waits)), len(self.waits) - 1)]


def benchmark(requests: int, workers: int) -> Iterator[str]:
    """Lines of figures; ``requests`` are sent at the peak rate, half as many at half of it."""
    pages = make_pages()
    alone = in_process(pages, workers)
    yield f"{len(pages)} pages of {sum(map(len, pages)) / len(pages) / 1e3:.0f} kB HTML, {CONNECTIONS} connections"
    yield f"{alone:8.1f} pages/s  label_html in {workers} processes"
    with _server(workers) as (process, port):
        asyncio.run(_load(port, pages, _WARM_UP_REQUESTS, None))
        before = _memory(process)
        own = time.process_time()
        peak = asyncio.run(_load(port, pages, requests, None))
        share = (time.process_time() - own) / peak.seconds
        after = _memory(process)
        yield (
            f"{peak.rate:8.1f} pages/s  detector serve --workers {workers}: {peak.rate / alone:.2f} of it "
            f"({peak.errors} errors; the client took {share:.2f} of a core)"
        )
        half = asyncio.run(_load(port, pages, max(requests // 2, 1), peak.rate / 2))
        yield (
            f"{half.rate:8.1f} pages/s  at half of the peak: median {half.percentile(0.5):.0f} ms, "
            f"p99 {half.percentile(0.99):.0f} ms, {half.errors} errors"
        )
        end = _memory(process)
        yield f"{before:8.1f} MB at the start, {after:.1f} after {requests:,} requests, {end:.1f} at the end"


def in_process(pages: Sequence[bytes], workers: int) -> float:
    """Pages a second of ``label_html`` in ``workers`` processes at once, one thread each; the median of three."""
    os.environ.update(_ONE_THREAD)
    # Forked processes would keep the threads that numpy has here.
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_warm_up) as pool:
        list(pool.map(_label_all, [pages] * workers))
        rates = []
        for _ in range(3):
            started = time.perf_counter()
            list(pool.map(_label_all, [pages] * workers))
            rates.append(workers * len(pages) / (time.perf_counter() - started))
    return statistics.median(rates)


def _warm_up() -> None:
    Detector.load().model.widen()


def _label_all(pages: Sequence[bytes]) -> None:
    detector = Detector.load()
    for page in pages:
        detector.label_html(page)


@contextmanager
def _server(workers: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "detector.cli", "serve", "--port", "0", "--workers", str(workers)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        greeting = process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", greeting)
        if not found:
            raise OSError(f"detector serve did not start: {greeting}")
        yield process, int(found[1])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_START_SECONDS)


def _memory(process: subprocess.Popen[str]) -> float:
    """Megabytes that the workers hold (Linux)."""
    total = 0.0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        if re.search(rf"^PPid:\s+{process.pid}$", text, re.MULTILINE) and (
            held := re.search(r"^VmRSS:\s+(\d+) kB", text, re.MULTILINE)
        ):
            total += int(held[1]) / 1e3
    return total


async def _load(port: int, pages: Sequence[bytes], requests: int, rate: float | None) -> Load:
    """Send ``requests``: as fast as :data:`CONNECTIONS` are answered, or at ``rate`` a second, due at even times."""
    load = Load()
    numbers = iter(range(requests))
    streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]
    started = time.perf_counter()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in numbers:
            due = started + number / rate if rate else time.perf_counter()
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            load.errors += not await _ask(reader, writer, pages[number % len(pages)])
            load.waits.append(time.perf_counter() - due)

    await asyncio.gather(*(client(*stream) for stream in streams))
    load.seconds = time.perf_counter() - started
    for _, writer in streams:
        writer.close()
    return load


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, page: bytes) -> bool:
    """Whether one request was answered with 200. Bare bytes: a client library would take the server's time."""
    head = f"POST /label HTTP/1.1\r\nHost: here\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n"
    writer.write(head.encode() + page)
    answer = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", answer)
    await reader.readexactly(int(length[1]) if length else 0)
    return answer.startswith(b"HTTP/1.1 200 ")
