"""Chunks through workers, in order.

One chunk alone is labelled here, without the cost of starting anything; so is everything with one job.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain

from detector.batch.chunks import Chunk
from detector.batch.work import Done, Job, Worker
from detector.detector import Detector


def run(job: Job, detector: Detector, chunks: Iterator[Chunk], jobs: int, *, resumed: bool = False) -> Iterator[Done]:
    """All ``chunks``, done, in their order; by ``jobs`` processes where there is more than one chunk.

    ``detector`` is the job's, for what is done here; ``resumed`` says that chunks came before these.
    """
    first = next(chunks, None)
    if first is None:
        return
    second = next(chunks, None)
    if second is None and not resumed:
        yield Worker(job, detector)(first)
        return
    following = chain([first] if second is None else [first, second], chunks)
    if jobs == 1:
        yield from _here(Worker(job, detector), following)
        return
    from detector.batch.pool import in_processes  # one page needs none of it

    yield from in_processes(job, following, jobs)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _here(worker: Worker, chunks: Iterator[Chunk]) -> Iterator[Done]:
    from threadpoolctl import threadpool_limits

    worker.widen()
    with threadpool_limits(1):
        yield from map(worker, chunks)
