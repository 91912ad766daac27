"""What is wrong with a request, as RFC 9457 says it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818  the RFC's word
    """A request, or a record of a batch, that is refused: the status, what is wrong and what to do."""

    def __init__(
        self, status: int, detail: str, headers: Mapping[str, str] | None = None, id: str | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.id = status, detail, dict(headers or {}), id

    @classmethod
    def busy(cls, status: HTTPStatus, detail: str) -> Problem:
        """A refusal that a moment's patience cures."""
        return cls(status, detail, {"Retry-After": "1"})

    def fields(self) -> dict[str, Any]:
        """The members of the problem's JSON object."""
        title = HTTPStatus(self.status).phrase
        return {"type": "about:blank", "title": title, "status": int(self.status), "detail": self.detail}

    def body(self) -> bytes:
        """The JSON object as bytes."""
        return json.dumps(self.fields()).encode()
