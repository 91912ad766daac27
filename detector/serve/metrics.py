"""What is counted, in Prometheus' form. The workers' counts add up through files in ``PROMETHEUS_MULTIPROC_DIR``."""

from __future__ import annotations

import os
from collections import Counter as Tally
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from detector.page import Page

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10, 30)

REQUESTS = Counter("detector_requests", "Requests answered.", ["route", "status"])
SECONDS = Histogram("detector_request_seconds", "From head to answer.", ["route"], buckets=_SECONDS)
UNDER_WAY = Gauge("detector_requests_under_way", "Requests not yet answered.", multiprocess_mode="livesum")
BATCH = Histogram("detector_batch_pages", "Pages labelled at once.", buckets=(1, 2, 4, 8))
PAGES = Counter("detector_pages", "Pages labelled.")
FAILED_LINES = Counter("detector_failed_lines", "Lines of batches that came back as errors.", ["status"])
CHARACTERS = Counter("detector_characters", "Characters of the pages labelled.")
PARAGRAPHS = Counter("detector_paragraphs", "Paragraphs labelled.", ["label"])


def count_page(page: Page) -> None:
    """Count a labelled page."""
    PAGES.inc()
    CHARACTERS.inc(len(page.text))
    for label, count in Tally(page.labels).items():
        PARAGRAPHS.labels(label.value).inc(count)


def exposition() -> bytes:
    """All workers' counts as Prometheus' text format; what a worker that died had under way is gone with it."""
    for file in Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if not _lives(pid):
            mark_process_dead(pid)  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
