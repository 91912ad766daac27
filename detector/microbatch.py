"""Pages that concurrent callers hand in one by one, labelled many at once in one thread."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from detector.page import Page

if TYPE_CHECKING:
    from detector.detector import Detector


class _Task(NamedTuple):
    read: Callable[[], Page]
    future: Future[Page]


class MicroBatcher:
    """Reads and labels pages in a thread of its own: those that come while it is busy make up its next batch.

    A page that comes alone is labelled at once; nothing waits for a batch to fill. Callers may be any threads and any
    event loops. What was submitted is labelled even if :meth:`close` or the interpreter's end comes in between.
    Without :meth:`close`, the thread ends with the batcher.
    """

    def __init__(self, detector: Detector, *, limit: int | None = None) -> None:
        """``limit``: how many pages may wait before :meth:`submit` refuses more; ``None`` for any number."""
        self._detector = detector
        self._limit = limit
        self._waiting: deque[_Task] = deque()
        self._lock = threading.Lock()
        self._working = self._closed = False
        self._process = os.getpid()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="detector")
        self.seconds = 0.0
        """CPU time that the thread has spent on pages, in seconds."""
        self._thread.submit(detector.model.widen)

    def submit(self, read: Callable[[], Page]) -> Future[Page]:
        """The page that ``read`` returns (called in the batcher's thread), labelled; never blocks.

        The future holds what ``read`` raises. Cancelled before its turn, a page is neither read nor labelled.
        Raises ``queue.Full`` beyond the limit, ``RuntimeError`` after :meth:`close` and in a forked process.
        """
        if self._process != os.getpid():
            raise RuntimeError("this batcher's thread was left behind by a fork: load the detector in each process")
        future: Future[Page] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("this batcher is closed: it labels no more pages")
            if self._limit is not None and len(self._waiting) >= self._limit:
                raise queue.Full(f"{len(self._waiting):,} pages wait to be labelled: try again later")
            if not self._working:
                self._thread.submit(self._work)
                self._working = True
            self._waiting.append(_Task(read, future))
        return future

    async def label(self, read: Callable[[], Page]) -> Page:
        """:meth:`submit` for coroutines: waits for the page without holding up the event loop."""
        return await asyncio.wrap_future(self.submit(read))

    def close(self) -> None:
        """Take no more pages, label those that wait, end the thread."""
        with self._lock:
            self._closed = True
        self._thread.shutdown()

    def __enter__(self) -> MicroBatcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _work(self) -> None:
        """Label until nothing waits."""
        began = time.thread_time()
        while self._waits():
            self._label_waiting()
            now = time.thread_time()
            self.seconds += now - began
            began = now

    def _waits(self) -> bool:
        with self._lock:
            self._working = bool(self._waiting)
            return self._working

    def _label_waiting(self) -> None:
        read: deque[tuple[Page, Future[Page]]] = deque()
        try:
            for page in self._detector.label_stream(self._pages(read)):
                read.popleft()[1].set_result(page)
        except BaseException:
            # One page among them is to blame; alone, each gets its own labels or its own error.
            for page, future in read:
                self._label_alone(page, future)

    def _label_alone(self, page: Page, future: Future[Page]) -> None:
        try:
            future.set_result(self._detector.label_pages([page])[0])
        except BaseException as error:
            future.set_exception(error)

    def _pages(self, read: deque[tuple[Page, Future[Page]]]) -> Iterator[Page]:
        """The pages that wait, read; each goes to the end of ``read`` as well."""
        while (task := self._next()) is not None:
            if not task.future.set_running_or_notify_cancel():
                continue
            try:
                page = task.read()
            except BaseException as error:
                task.future.set_exception(error)
            else:
                read.append((page, task.future))
                yield page

    def _next(self) -> _Task | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None
