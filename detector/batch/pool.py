"""Worker processes, with few chunks under way at any time.

Each has one thread for numpy: threads of one product would fight over the cores, and could add in another order and
give other bytes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial

from threadpoolctl import threadpool_limits

from detector.batch.chunks import Chunk
from detector.batch.work import Done, Job, Worker, WorkerError
from detector.detector import Detector

_AHEAD = 2
"""Chunks a worker that are under way: one in work, one waiting."""


def in_processes(job: Job, chunks: Iterator[Chunk], jobs: int) -> Iterator[Done]:
    """All ``chunks``, done, in their order, by ``jobs`` processes; raises :class:`WorkerError` where one dies."""
    under_way: deque[Future[Done]] = deque()
    ahead = jobs + 1 if job.site_memory else _AHEAD * jobs  # of large chunks, fewer wait
    with _pool(job, jobs) as submit:
        for chunk in chunks:
            under_way.append(submit(chunk))
            if len(under_way) >= ahead:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


@contextmanager
def _pool(job: Job, jobs: int) -> Iterator[Callable[[Chunk], Future[Done]]]:
    # Not forked: numpy's threads do not survive that.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(job,))
    try:
        yield partial(_submit, pool)
    except BrokenProcessPool:
        raise WorkerError(
            "a worker process was killed, most likely because memory ran out: give fewer --jobs"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, chunk: Chunk) -> Future[Done]:
    # A worker may be started by this. It inherits what is blocked, so that the key that interrupts the parent does not
    # meet it before it is set up; what comes meanwhile reaches the parent right after.
    if sys.platform == "win32":
        return pool.submit(_work, chunk)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(_work, chunk)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_worker: Worker


def _start(job: Job) -> None:
    """Make this process a worker."""
    global _worker
    # The parent is interrupted by the same key and ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _worker = Worker(job, Detector.load(job.model))
    _worker.widen()
    threadpool_limits(1)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(chunk: Chunk) -> Done:
    return _worker(chunk)
