"""How much a worker lets in: requests under way, one client's share of them, bytes held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from detector.serve.problems import Problem
from detector.serve.settings import Limits


class Ticket:
    """One admitted request, and the bytes that are held for it."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.held = 0

    def hold(self, size: int) -> None:
        """Hold ``size`` bytes more; raises :class:`Problem` 503 where the worker would hold too many."""
        if self._admission.held + size > self._admission.limits.held:
            raise Problem.busy(HTTPStatus.SERVICE_UNAVAILABLE, "too many bytes are waiting to be labelled; try again")
        self._admission.held += size
        self.held += size

    def release(self, size: int) -> None:
        """Hold ``size`` bytes less."""
        self._admission.held -= size
        self.held -= size


class Admission:
    """Counts what is under way. Lives on the event loop; not for threads."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.requests = 0
        self.held = 0
        self._clients: Counter[str] = Counter()

    @property
    def full(self) -> bool:
        """Whether the next request would be refused."""
        return self.requests >= self.limits.requests

    @contextmanager
    def admit(self, client: str) -> Iterator[Ticket]:
        """A request from this address; raises :class:`Problem` 503 when full, 429 when the client has its half."""
        if self.full:
            raise Problem.busy(
                HTTPStatus.SERVICE_UNAVAILABLE, f"{self.requests:,} requests are under way; try again in a moment"
            )
        if self._clients[client] >= max(1, self.limits.requests // 2):
            raise Problem.busy(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{self._clients[client]:,} requests from this address are under way; wait for some of them",
            )
        ticket = Ticket(self)
        self.requests += 1
        self._clients[client] += 1
        try:
            yield ticket
        finally:
            ticket.release(ticket.held)
            self.requests -= 1
            self._clients[client] -= 1
            if not self._clients[client]:
                del self._clients[client]
