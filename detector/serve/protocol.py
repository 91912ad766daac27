"""uvicorn's HTTP/1.1 connection, with what it lacks: a time limit for a request's head, problems as JSON, draining.

When the service stops, connections stay open for a moment: what a client has sent, or sends before it hears that the
connection closes, is answered.
"""

from __future__ import annotations

from asyncio import BaseTransport, TimerHandle
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from detector.serve.problems import MEDIA_TYPE, Problem

if TYPE_CHECKING:
    from detector.serve.service import Service

LINGER = 2.0
"""Seconds that an idle connection stays open once the service stops."""


class Protocol(HttpToolsProtocol):
    """One connection."""

    _head: TimerHandle | None = None

    @property
    def _service(self) -> Service:
        service: Service = self.app_state["service"]
        return service

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401  uvicorn narrows asyncio's type
        """Expect a request's head soon."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A head has begun."""
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        """A head has come; while the service stops it is the connection's last."""
        self._stop_waiting()
        super().on_headers_complete()
        if self._service.draining.is_set():
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """The service stops: answer what is under way, and what a client sends in the next moment."""
        self._service.drain()
        if self._is_idle():
            self.loop.call_later(LINGER, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        detail = "the request breaks the rules of HTTP/1.1, or its length is not the one announced"
        self._refuse(Problem(HTTPStatus.BAD_REQUEST, detail))

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _close_if_idle(self) -> None:
        if self._is_idle():
            self.transport.close()

    def _expect_head(self) -> None:
        self._stop_waiting()
        self._head = self.loop.call_later(self._service.limits.seconds, self._head_is_late)

    def _stop_waiting(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _head_is_late(self) -> None:
        if self._is_idle():
            self._refuse(Problem(HTTPStatus.REQUEST_TIMEOUT, "no whole request came in time"))
        else:
            self._expect_head()

    def _refuse(self, problem: Problem) -> None:
        transport: BaseTransport = self.transport
        if transport.is_closing():
            return
        body = problem.body()
        head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[problem.status] + head.encode() + body)
        self.transport.close()
