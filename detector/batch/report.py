"""What a run says while it runs, on standard error: for people, or as JSON Lines for machines."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from detector.batch.tally import Failure, Tally

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress, TaskID

_SECONDS = 10.0
"""Between the lines of progress in a JSON log."""


class Report(Protocol):
    """Who is told what happens."""

    def note(self, message: str) -> None:
        """Something was mended or skipped."""

    def failure(self, failure: Failure) -> None:
        """Something could not be labelled."""

    def progress(self, tally: Tally, total: int | None) -> None:
        """So much is done, of ``total`` bytes if that is known."""

    def summary(self, tally: Tally, seconds: float, pages: int) -> None:
        """The end: all counts; ``pages`` of them were read in these ``seconds``, the rest by a run before it."""


class Plain:
    """Lines for people; a bar if standard error is a terminal and ``bar`` is wanted."""

    def __init__(self, *, bar: bool, always: bool) -> None:
        self._bar, self._always = bar and sys.stderr.isatty(), always
        self._shown: Progress | None = None
        self._task: TaskID | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Show the bar meanwhile."""
        if not self._bar:
            yield
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as self._shown:
            self._task = self._shown.add_task("reading", total=None)
            yield
        self._shown = None

    def note(self, message: str) -> None:
        """One line."""
        self._say(f"detector: {message}")

    def failure(self, failure: Failure) -> None:
        """One line."""
        self._say(f"detector: {failure}")

    def _say(self, line: str) -> None:
        if self._shown is not None:
            self._shown.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr)  # noqa: T201  This is what says it.

    def progress(self, tally: Tally, total: int | None) -> None:
        """The bar moves on, with the rate."""
        if self._shown is None or self._task is None:
            return
        task = self._shown.tasks[0]
        rate = tally.pages / task.elapsed if task.elapsed else 0.0
        text = f"{tally.pages:,} pages, {rate:,.0f}/s"
        self._shown.update(self._task, description=text, completed=tally.bytes, total=total)

    def summary(self, tally: Tally, seconds: float, pages: int) -> None:
        """One line, where it is of use."""
        if self._always or tally.failed:
            self._say(f"detector: {tally}; {_size(tally.bytes)} in {seconds:,.1f} s, {pages / seconds:,.0f} pages/s")


class Json:
    """One JSON object a line: ``event`` is note, failure, progress or summary; ``time`` in seconds since 1970."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _SECONDS

    def note(self, message: str) -> None:
        """A line with ``message``."""
        self._log("note", message=message)

    def failure(self, failure: Failure) -> None:
        """A line with ``file``, ``record``, ``reason``."""
        self._log("failure", **failure.as_dict())

    def progress(self, tally: Tally, total: int | None) -> None:
        """A line with all counts, every ten seconds."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _SECONDS
            self._log("progress", **tally.as_dict(), total_bytes=total)

    def summary(self, tally: Tally, seconds: float, pages: int) -> None:
        """A line with all counts, ``seconds`` and ``pages_per_second``."""
        figures = {"seconds": round(seconds, 3), "pages_per_second": round(pages / seconds, 1)}
        self._log("summary", **tally.as_dict(), **figures)

    def error(self, message: str) -> None:
        """A line with the ``message`` that ends the run."""
        self._log("error", message=message)

    def _log(self, event: str, **values: Any) -> None:  # noqa: ANN401  Whatever JSON can hold.
        line = json.dumps({"time": round(time.time(), 3), "event": event, **values})
        print(line, file=sys.stderr, flush=True)  # noqa: T201


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
