"""Routes and statuses: what each request is answered with."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from detector import __version__
from detector.serve import metrics
from detector.serve.body import has_body, read_body
from detector.serve.failures import fault, log_unexpected
from detector.serve.intake import MediaType, asked_by, job
from detector.serve.problems import MEDIA_TYPE, Problem
from detector.serve.service import Service
from detector.serve.settings import Settings
from detector.serve.stream import label_stream

_GUARDED = ("/label", "/label/batch", "/metrics")
"""Routes that want the token, if there is one."""
_LINGER_SECONDS, _LINGER_BYTES = 1.0, 32 << 20
"""How much of a refused body is still read and dropped: a client that is cut off may not see its answer."""
_SWITCH_SECONDS = 0.001
"""How long the thread that labels may keep the interpreter from the event loop."""


@dataclass(frozen=True)
class AppFactory:
    """Makes the application inside a worker."""

    settings: Settings

    def __call__(self) -> ASGIApp:
        """The application; its service lives from start-up to shutdown."""
        handlers: dict[Any, Callable[..., Any]] = {HTTPException: _refuse_route, Problem: _refuse, Exception: _fault}
        starlette = Starlette(routes=_routes(), lifespan=self._lifespan, exception_handlers=handlers)
        starlette.router.redirect_slashes = False
        return Guard(starlette)

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[dict[str, Any]]:
        sys.setswitchinterval(_SWITCH_SECONDS)
        service = Service(self.settings)
        yield {"service": service}
        service.stop()


def _routes() -> list[Route]:
    return [
        Route("/", _page),
        Route("/label", _label, methods=["POST"]),
        Route("/label/batch", label_stream_route, methods=["POST"]),
        Route("/healthz", _health),
        Route("/readyz", _ready),
        Route("/metrics", _metrics),
        Route("/openapi.json", _openapi),
    ]


async def _label(request: Request) -> Response:
    service: Service = request.state.service
    asked = asked_by(request.query_params.multi_items())
    media = MediaType.of(request.headers.get("content-type", ""))
    with service.admission.admit(_client(request.scope)) as ticket:
        body = await read_body(request.receive, request.headers, service.limits, ticket)
        future = service.batcher.put(job(body, media, asked, service.limits))
        try:
            async with asyncio.timeout(service.limits.seconds):
                outcome = await future
        except TimeoutError:
            raise Problem.busy(HTTPStatus.SERVICE_UNAVAILABLE, "the labels were not ready in time; try again") from None
    if isinstance(outcome, Problem):
        raise outcome
    return Response(outcome, media_type="application/json")


class _LabelStream:
    """``POST /label/batch``: a bare ASGI application, for it reads while it writes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        service: Service = scope["state"]["service"]
        with service.admission.admit(_client(scope)) as ticket:
            await label_stream(service, ticket, scope, receive, send)


label_stream_route = _LabelStream()


async def _health(request: Request) -> Response:
    return Response("ok\n", media_type="text/plain")


async def _ready(request: Request) -> Response:
    service: Service = request.state.service
    if service.draining.is_set():
        raise Problem.busy(HTTPStatus.SERVICE_UNAVAILABLE, "stopping")
    if service.admission.full:
        raise Problem.busy(HTTPStatus.SERVICE_UNAVAILABLE, "as many requests as are let in are under way")
    return Response("ready\n", media_type="text/plain")


async def _metrics(request: Request) -> Response:
    # Prometheus' own media type; Starlette would add a charset of its own.
    text = await asyncio.to_thread(metrics.exposition)
    return Response(text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


async def _openapi(request: Request) -> Response:
    return Response(_openapi_document(), media_type="application/json")


@cache
def _openapi_document() -> bytes:
    document = json.loads(_resource("openapi.json"))
    document["info"]["version"] = __version__
    return json.dumps(document, ensure_ascii=False).encode()


async def _page(request: Request) -> Response:
    page, policy = _page_and_policy()
    return Response(page, media_type="text/html", headers={"Content-Security-Policy": policy})


@cache
def _page_and_policy() -> tuple[bytes, str]:
    """The page, and the policy that lets it run its own script and style and reach nothing but this service."""
    page = _resource("page.html")
    style, script = (_digest(page, tag) for tag in ("style", "script"))
    return page, (
        f"default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _digest(page: bytes, tag: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>".encode(), page, re.DOTALL)
    assert found, f"the page has a <{tag}>"
    return f"'sha256-{base64.b64encode(hashlib.sha256(found[1]).digest()).decode()}'"


def _resource(name: str) -> bytes:
    return files("detector.serve").joinpath(name).read_bytes()


def _client(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else ""


def problem_response(problem: Problem) -> Response:
    """The answer to a request that is refused."""
    return Response(problem.body(), problem.status, problem.headers, MEDIA_TYPE)


async def _refuse(request: Request, problem: Problem) -> Response:
    return problem_response(problem)


async def _refuse_route(request: Request, error: HTTPException) -> Response:
    path, method = request.url.path, request.method
    if error.status_code == HTTPStatus.NOT_FOUND:
        detail = f"nothing at {path}; /openapi.json tells what there is"
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{path} does not take {method}"
    else:
        detail = error.detail
    return problem_response(Problem(error.status_code, detail, error.headers))


async def _fault(request: Request, error: Exception) -> Response:
    return problem_response(fault())


class Guard:
    """Around every request: the token, the counts, and how a connection ends whose body was not read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        started = time.perf_counter()
        metrics.UNDER_WAY.inc()
        try:
            await self._answer(exchange)
        finally:
            metrics.UNDER_WAY.dec()
            route = scope["path"] if scope["path"] in _PATHS else "other"
            metrics.REQUESTS.labels(route, str(exchange.status)).inc()
            metrics.SECONDS.labels(route).observe(time.perf_counter() - started)

    async def _answer(self, exchange: _Exchange) -> None:
        scope = exchange.scope
        token = scope["state"]["service"].token
        if token and scope["path"] in _GUARDED and not _bears(Headers(scope=scope), token):
            problem = Problem(
                HTTPStatus.UNAUTHORIZED, "send the header Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}
            )
            await problem_response(problem)(scope, exchange.receive, exchange.send)
            return
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:  # Starlette has answered it and raises it again; uvicorn would log its message
            log_unexpected(error)


_PATHS = frozenset(route.path for route in _routes())


def _bears(headers: Headers, token: str) -> bool:
    # Starlette decodes headers as Latin-1, whatever their bytes are.
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and secrets.compare_digest(given.strip().encode("latin-1"), token.encode())


class _Exchange:
    """A request and its response. One that is answered before its body was read ends the connection, gently."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        self.status: int | None = None
        self._unread = has_body(Headers(scope=scope))

    async def receive(self) -> Message:
        message = await self._receive()
        self._unread = self._unread and message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", []), (b"x-content-type-options", b"nosniff")]
            if self._unread:
                headers.append((b"connection", b"close"))
            await self._send({**message, "headers": headers})
        elif self._unread and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._send(message)

    async def _linger(self) -> None:
        dropped = 0
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                while self._unread and dropped < _LINGER_BYTES:
                    message = await self.receive()
                    dropped += len(message.get("body", b""))
        except TimeoutError:
            pass
