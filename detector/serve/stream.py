"""``POST /label/batch``: JSON Lines in, JSON Lines out, in order, while the request is still being sent.

Each line that is not blank gives one line: a labelled record, or ``{"id", "line", "error"}`` in its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus

from starlette.datastructures import Headers, QueryParams
from starlette.types import Receive, Scope, Send

from detector.formats import jsonl
from detector.serve import metrics
from detector.serve.admission import Ticket
from detector.serve.batcher import Outcome
from detector.serve.body import refuse_encoding, too_large
from detector.serve.intake import LINES, Asked, MediaType, asked_by, record_job
from detector.serve.problems import Problem
from detector.serve.service import Service

_WINDOW_LINES = 32
_WINDOW_BYTES = 4 << 20
"""What one batch may have under way, the line apart that goes beyond it; then it is read no further."""
_CHUNK_BYTES = 64 << 10
_AGAIN = "send this line and the rest again"


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the request, numbered from 1; ``problem`` if it could not be read."""

    number: int
    data: bytes
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one line is answered with, sooner or later."""

    line: _Line
    outcome: asyncio.Future[Outcome]


async def label_stream(service: Service, ticket: Ticket, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one batch; raises :class:`Problem` if nothing of it can be taken."""
    headers = Headers(scope=scope)
    asked = asked_by(QueryParams(scope["query_string"]).multi_items())
    media = MediaType.of(headers.get("content-type", ""))
    if media.name not in LINES:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type {media.name!r}; send {LINES[0]}")
    media.must_be_utf8()
    refuse_encoding(headers)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", LINES[0].encode())]})
    try:
        async with aclosing(_Batch(service, ticket, asked, receive).answers()) as answers:
            async for chunk in answers:
                async with asyncio.timeout(service.limits.seconds):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except TimeoutError:
        return  # The client takes no answers; its connection is closed without an end.
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Batch:
    """One batch under way: a task reads and queues lines, the answers are taken off in order."""

    def __init__(self, service: Service, ticket: Ticket, asked: Asked, receive: Receive) -> None:
        self._service, self._ticket, self._asked, self._receive = service, ticket, asked, receive
        self._splitter = _Splitter(service.limits.body)
        self._under_way: asyncio.Queue[_Answer | None] = asyncio.Queue(_WINDOW_LINES)
        self._bytes_under_way = 0
        self._room = asyncio.Event()

    async def answers(self) -> AsyncGenerator[bytes, None]:
        """Answers in order, those that are ready together in one piece."""
        reader = asyncio.create_task(self._read())
        ready = bytearray()
        try:
            while (answer := await self._under_way.get()) is not None:
                if ready and not answer.outcome.done():
                    yield bytes(ready)
                    ready.clear()
                ready += _line_out(answer.line, await answer.outcome)
                self._leave(answer.line)
                if self._under_way.empty() or len(ready) >= _CHUNK_BYTES:
                    yield bytes(ready)
                    ready.clear()
            if ready:
                yield bytes(ready)
            await reader
        finally:
            reader.cancel()

    async def _read(self) -> None:
        """Queue every line that is not blank, and a mark after the last, whatever ended the body."""
        try:
            async for line in self._lines():
                if line.problem or line.data.strip():
                    await self._enter(line)
        finally:
            await self._under_way.put(None)

    async def _enter(self, line: _Line) -> None:
        while self._bytes_under_way and self._bytes_under_way + len(line.data) > _WINDOW_BYTES:
            self._room.clear()
            await self._room.wait()
        self._bytes_under_way += len(line.data)
        await self._under_way.put(_Answer(line, self._submit(line)))

    def _leave(self, line: _Line) -> None:
        self._bytes_under_way -= len(line.data)
        self._room.set()

    def _submit(self, line: _Line) -> asyncio.Future[Outcome]:
        if line.problem is None:
            return self._service.batcher.put(record_job(line.data, self._asked, self._service.limits))
        failed: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        failed.set_result(line.problem)
        return failed

    async def _lines(self) -> AsyncIterator[_Line]:
        more = True
        try:
            while more:
                chunk, more = await self._chunk()
                for line in self._splitter.feed(chunk, last=not more):
                    yield line
                self._hold()
        except Problem as problem:
            yield self._splitter.broken_off(problem)

    async def _chunk(self) -> tuple[bytes, bool]:
        """The next bytes, and whether more may come; raises :class:`Problem` if none do that should."""
        received = asyncio.ensure_future(self._receive())
        cut = asyncio.ensure_future(self._service.cut.wait())
        seconds = self._service.limits.seconds
        try:
            await asyncio.wait({received, cut}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if received.done():
                message = received.result()
                if message["type"] == "http.disconnect":
                    raise Problem(HTTPStatus.BAD_REQUEST, "the body broke off")
                return message.get("body", b""), message.get("more_body", False)
            if cut.done():
                raise Problem.busy(HTTPStatus.SERVICE_UNAVAILABLE, f"the service stops; {_AGAIN}")
            raise Problem(HTTPStatus.REQUEST_TIMEOUT, f"no byte came in {seconds:g} s; {_AGAIN}")
        finally:
            received.cancel()
            cut.cancel()

    def _hold(self) -> None:
        """Account for what is held now."""
        held = self._bytes_under_way + self._splitter.held
        self._ticket.release(max(0, self._ticket.held - held))
        self._ticket.hold(held - self._ticket.held)


class _Splitter:
    """Bytes to numbered lines, none longer than ``limit``."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._number = 0
        self._tail = bytearray()
        self._is_too_long = False

    @property
    def held(self) -> int:
        """Bytes of a line whose end has not come."""
        return len(self._tail)

    def feed(self, chunk: bytes, *, last: bool) -> Iterator[_Line]:
        """The lines that end in ``chunk``, or with it if it is the ``last``."""
        *whole, rest = chunk.split(b"\n")
        for piece in whole:
            self._add(piece)
            yield self._ended()
        self._add(rest)
        if last:
            yield self._ended()

    def broken_off(self, problem: Problem) -> _Line:
        """The line that was to come next, which did not come whole."""
        return _Line(self._number + 1, b"", problem)

    def _add(self, piece: bytes) -> None:
        if len(self._tail) + len(piece) > self._limit:
            self._is_too_long = True
            self._tail.clear()
        elif not self._is_too_long:
            self._tail += piece

    def _ended(self) -> _Line:
        self._number += 1
        line = _Line(self._number, bytes(self._tail), too_large("a line", self._limit) if self._is_too_long else None)
        self._tail.clear()
        self._is_too_long = False
        return line


def _line_out(line: _Line, outcome: Outcome) -> bytes:
    if not isinstance(outcome, Problem):
        return outcome
    metrics.FAILED_LINES.labels(str(int(outcome.status))).inc()
    return jsonl.dump({"id": outcome.id, "line": line.number, "error": outcome.fields()}).encode()
