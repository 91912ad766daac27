"""How a run over a corpus scales: pages a second over 1 and 2 workers, peak memory, and what the engine itself costs.

The corpora are made on the spot from the pages written for the project (``data/pages``), spliced so that no two are
alike. Each run is the command line in a process of its own, as people start it.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from threadpoolctl import threadpool_limits

from detector import Detector, segment
from detector.batch import Job, Plan, Reading, Report, Writing, label_all
from detector.batch.tally import Failure, Tally
from training.corpus import DATA

SIZES = (10, 100, 1000)
"""Megabytes of input."""
ROUNDS = 3
_OVERHEAD_BYTES = 5_000_000
_POLL_SECONDS = 0.05


def scale(sizes: Sequence[int]) -> Iterator[str]:
    """Lines of a table: for each size (MB) and number of workers pages a second and peak memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in sizes:
            path = folder / f"{size}.jsonl"
            pages = write_jsonl(path, size * 1_000_000)
            rates = []
            for jobs in (1, 2):
                run = _measured(path, folder / "out.jsonl", jobs)
                rates.append(pages / run.seconds)
                what = f"{size:>5} MB, {pages:>9,} pages, {jobs} job{'s' * (jobs > 1)}"
                yield f"{what}: {rates[-1]:>7,.0f} pages/s; {run}"
            yield f"{'':>5} 2 workers do {rates[1] / rates[0]:.2f} times the pages of 1"
            path.unlink()


def overhead() -> Iterator[str]:
    """Lines: for each format the time of a run beside that of labelling the same texts alone, medians, one core."""
    detector = Detector.load()
    detector.model.widen()
    with tempfile.TemporaryDirectory() as name:
        for kind, write in WRITERS.items():
            path = Path(name) / kind
            texts = write(path, _OVERHEAD_BYTES)
            alone, whole = [], []
            for _ in range(ROUNDS):
                with threadpool_limits(1):
                    alone.append(_seconds(partial(_label, detector, texts)))
                whole.append(_seconds(partial(_run, path, Path(name) / "out.jsonl")))
            labelling = statistics.median(alone)
            extra = statistics.median(whole) / labelling - 1
            yield f"{kind:<16} {labelling:6.2f} s labelling, {extra:+.0%} for reading, moving and writing"


def _label(detector: Detector, texts: Sequence[str]) -> None:
    for _ in detector.label_stream(map(segment, texts)):
        pass


def _run(path: Path, out: Path) -> None:
    plan = Plan([str(path)], Job(None, Reading(), Writing()), out, overwrite=True)
    label_all(plan, _Silent(), sys.stdout.buffer)


class _Silent(Report):
    def note(self, message: str) -> None: ...

    def failure(self, failure: Failure) -> None:
        raise AssertionError(failure)

    def progress(self, tally: Tally, total: int | None) -> None: ...

    def summary(self, tally: Tally, seconds: float, pages: int) -> None: ...


def _seconds(call: Callable[[], None]) -> float:
    """Processor time, which others on the machine do not stretch."""
    started = time.process_time()
    call()
    return time.process_time() - started


def pages_of_text(size: int) -> Iterator[str]:
    """Pages of some ``size`` bytes in all: paragraphs of written pages, spliced; the same for the same size."""
    chance = random.Random(0)
    written = [path.read_text(encoding="utf-8").split("\n\n") for path in sorted((DATA / "pages").glob("*.txt"))]
    while size > 0:
        one, other = chance.sample(written, 2)
        page = "\n\n".join([*one[: chance.randint(1, len(one))], *other[chance.randrange(len(other)) :]])
        size -= len(page.encode())
        yield page


def write_jsonl(path: Path, size: int) -> int:
    """Write JSON Lines of some ``size`` bytes of text; the number of pages."""
    number = 0
    with path.open("w", encoding="utf-8") as file:
        for number, page in enumerate(pages_of_text(size), 1):
            file.write(json.dumps({"id": f"page-{number}", "text": page}, ensure_ascii=False) + "\n")
    return number


def _jsonl(path: Path, size: int) -> list[str]:
    write_jsonl(path, size)
    return list(pages_of_text(size))


def _parquet(path: Path, size: int) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = list(pages_of_text(size))
    pq.write_table(pa.table({"id": [f"page-{i}" for i in range(len(texts))], "text": texts}), path)
    return texts


def _wet(path: Path, size: int) -> list[str]:
    texts = list(pages_of_text(size))
    with path.open("wb") as file:
        for number, text in enumerate(texts):
            data = text.encode()
            head = (
                f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: http://a.example/{number}\r\n"
                f"WARC-Record-ID: <urn:uuid:{number}>\r\nContent-Length: {len(data)}\r\n\r\n"
            )
            file.write(gzip.compress(head.encode() + data + b"\r\n\r\n"))
    return texts


WRITERS: dict[str, Callable[[Path, int], list[str]]] = {
    "pages.jsonl": _jsonl,
    "pages.parquet": _parquet,
    "pages.wet.gz": _wet,
}


@dataclass
class _Process:
    """What a process has used: its peak of memory, and processor time, which others on the machine do not stretch."""

    megabytes: float
    seconds: float


@dataclass
class _Measured:
    seconds: float
    parent: _Process
    workers: list[_Process]

    def __str__(self) -> str:
        parent = f"parent {self.parent.megabytes:.0f} MB, {self.parent.seconds:.1f} s of processor"
        if not self.workers:
            return parent
        most, time_used = max(each.megabytes for each in self.workers), sum(each.seconds for each in self.workers)
        return f"{parent}; workers {most:.0f} MB each at most, {time_used:.1f} s of processor together"


def _measured(path: Path, out: Path, jobs: int) -> _Measured:
    """A run of the command line: what it took, and the peaks of its processes' memory (Linux)."""
    command = [sys.executable, "-m", "detector.cli", "label", str(path), "-o", str(out), "--jobs", str(jobs)]
    run = subprocess.Popen([*command, "--overwrite", "--json-log"], stderr=subprocess.PIPE)
    seen: dict[int, _Process] = {}
    watcher = threading.Thread(target=_watch, args=(run, seen))
    watcher.start()
    _, log = run.communicate()
    watcher.join()
    if run.returncode:
        raise RuntimeError(log.decode())
    summary = json.loads(log.splitlines()[-1])
    parent = seen.pop(run.pid)
    # multiprocessing has a helper of its own, which does nothing.
    return _Measured(summary["seconds"], parent, [each for each in seen.values() if each.seconds > 1])


def _watch(run: subprocess.Popen[bytes], seen: dict[int, _Process]) -> None:
    while run.poll() is None:
        for process in [run.pid, *_children(run.pid)]:
            if used := _used(process):
                seen[process] = used
        time.sleep(_POLL_SECONDS)


def _children(parent: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except OSError:
        return []


def _used(process: int) -> _Process | None:
    """What a process has used so far; ``None`` when it has ended."""
    try:
        peak = re.search(r"^VmHWM:\s*(\d+) kB", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
        ticks = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    except OSError:
        return None
    return _Process(int(peak[1]) / 1000, sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")) if peak else None
