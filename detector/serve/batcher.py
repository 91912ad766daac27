"""Micro-batching: a thread labels at once whatever pages have queued up; the event loop only waits.

Not :mod:`detector.microbatch`, which gives one page to one waiting call: here the thread writes the answers as well,
with reasons (the event loop would stand still for that), a batch is bounded so that its first page need not wait for
all that came, large pages have a lane of their own, and all of a batch wakes the loop once.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from detector.detector import Detector
from detector.page import Page
from detector.serve import metrics
from detector.serve.failures import guarded
from detector.serve.intake import Asked, Job, answer
from detector.serve.problems import Problem

Outcome = bytes | Problem
"""A page's record as a line of JSON, or what is wrong with it."""

_BATCH_PAGES = 8
_BATCH_BYTES = 512 << 10
"""What is labelled at once: a larger batch gains little, and its first page waits for its last."""
_LARGE = 1 << 20
"""Bytes from which a page goes to the slow lane, so that it does not hold up the others."""


@dataclass(frozen=True)
class _Waiting:
    job: Job
    future: asyncio.Future[Outcome]


class Lane:
    """One thread, its queue, and the way back to the event loop that it was made on."""

    def __init__(self, name: str, detector: Detector) -> None:
        self._detector = detector
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, job: Job) -> asyncio.Future[Outcome]:
        """Queue a page; the future holds its outcome."""
        future: asyncio.Future[Outcome] = self._loop.create_future()
        self._queue.put(_Waiting(job, future))
        return future

    def stop(self) -> None:
        """Label what is queued, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while batch := self._batch():
            # Nobody waits any more for what was cancelled.
            wanted = [waiting for waiting in batch if not waiting.future.cancelled()]
            outcomes = label_jobs(self._detector, [waiting.job for waiting in wanted])
            self._loop.call_soon_threadsafe(_deliver, wanted, outcomes)

    def _batch(self) -> list[_Waiting]:
        """The next pages; none when the lane is to stop."""
        batch: list[_Waiting] = []
        size = 0
        waiting = self._queue.get()
        while waiting is not None:
            batch.append(waiting)
            size += waiting.job.size
            if len(batch) >= _BATCH_PAGES or size >= _BATCH_BYTES:
                return batch
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                return batch
        if batch:
            self._queue.put(None)
        return batch


def _deliver(batch: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
    for waiting, outcome in zip(batch, outcomes, strict=True):
        if not waiting.future.done():
            waiting.future.set_result(outcome)


class Batcher:
    """Two lanes: one for most pages, one for large ones and for reasons."""

    def __init__(self, detector: Detector) -> None:
        self._quick, self._slow = Lane("label", detector), Lane("label-slow", detector)

    def put(self, job: Job) -> asyncio.Future[Outcome]:
        """Queue a page; the future holds its outcome."""
        slow = job.asked.explain or job.size >= _LARGE
        return (self._slow if slow else self._quick).put(job)

    def stop(self) -> None:
        """Label what is queued, then end the threads."""
        self._quick.stop()
        self._slow.stop()


def label_jobs(detector: Detector, jobs: Sequence[Job]) -> list[Outcome]:
    """The record of each job as a line of JSON, or the problem with it, which costs the others nothing."""
    metrics.BATCH.observe(len(jobs))
    read = [guarded(job.read) for job in jobs]
    good = [entry for entry in read if not isinstance(entry, Problem)]
    pages = iter(_labelled(detector, [page for page, _ in good]))
    return [entry if isinstance(entry, Problem) else _finished(detector, next(pages), entry[1]) for entry in read]


def _labelled(detector: Detector, pages: Sequence[Page]) -> list[Page | Problem]:
    together = guarded(lambda: detector.label_pages(pages))
    if not isinstance(together, Problem):
        return [*together]
    # One of them is to blame: alone, it costs only itself.
    return [guarded(partial(_labelled_alone, detector, page)) for page in pages]


def _labelled_alone(detector: Detector, page: Page) -> Page:
    return detector.label_pages([page])[0]


def _finished(detector: Detector, page: Page | Problem, asked: Asked) -> Outcome:
    return page if isinstance(page, Problem) else guarded(lambda: answer(detector, page, asked))
