"""What nobody expected: told to the log without a word of the page, and to the client as a problem."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from detector.serve.problems import Problem

_T = TypeVar("_T")
_log = logging.getLogger("detector.serve")


def log_unexpected(error: Exception) -> None:
    """Log where ``error`` came from, not its message, which may hold the page's text."""
    place = "".join(traceback.format_tb(error.__traceback__))
    _log.error("detector: %s, message withheld\n%s", type(error).__name__, place.rstrip())


def fault() -> Problem:
    """What the client is told."""
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault of the service, of which its log tells more")


def guarded(work: Callable[[], _T]) -> _T | Problem:
    """What ``work`` returns, or the problem that it met."""
    try:
        return work()
    except Problem as problem:
        return problem
    except Exception as error:  # the edge of the service: one page's fault must not cost the others
        log_unexpected(error)
        return fault()
