"""Packages that only some uses need; a missing one is named with the command that installs it."""

from __future__ import annotations

import importlib
from typing import Any


class MissingExtraError(ImportError):
    """A package is missing; the message says what to run."""


def needed(module: str, extra: str, use: str) -> Any:  # noqa: ANN401  A module has no better type.
    """``module``, imported for ``use``; raises :class:`MissingExtraError` where ``extra`` is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing(error, extra, use) from None


def missing(error: ImportError, extra: str, use: str) -> MissingExtraError:
    """What to raise where an ``import`` that type checkers must see failed with ``error``."""
    package = error.name or str(error)
    return MissingExtraError(f"{use} needs {package}: pip install 'banner-detector[{extra}]'")
