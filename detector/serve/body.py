"""Reading a request's body, no more of it than is allowed."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import Receive

from detector.serve.admission import Ticket
from detector.serve.problems import Problem
from detector.serve.settings import MEGABYTE, Limits


def has_body(headers: Headers) -> bool:
    """Whether a request announces a body."""
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def refuse_encoding(headers: Headers) -> None:
    """Raises :class:`Problem` 415 for a body that is compressed."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Encoding {encoding!r}; send the body as it is",
            {"Accept-Encoding": "identity"},
        )


def too_large(what: str, limit: int) -> Problem:
    """A body or a line beyond the limit."""
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{what} may have {limit / MEGABYTE:,.4g} MB at most")


async def read_body(receive: Receive, headers: Headers, limits: Limits, ticket: Ticket) -> bytes:
    """The whole body; raises :class:`Problem` for one that is too large, too slow, or breaks off."""
    refuse_encoding(headers)
    # The protocol has checked that it is a number.
    if int(headers.get("content-length", "0")) > limits.body:
        raise too_large("a body", limits.body)
    try:
        async with asyncio.timeout(limits.seconds):
            return await _read(receive, limits, ticket)
    except TimeoutError:
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, f"no whole body came in {limits.seconds:g} s") from None


async def _read(receive: Receive, limits: Limits, ticket: Ticket) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Problem(HTTPStatus.BAD_REQUEST, "the body broke off")
        chunk = message.get("body", b"")
        ticket.hold(len(chunk))
        body += chunk
        if len(body) > limits.body:
            raise too_large("a body", limits.body)
        if not message.get("more_body", False):
            return bytes(body)
