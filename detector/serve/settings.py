"""What the service is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request, and one worker, takes on; beyond it a request is refused with the status that says so."""

    body: int = 10 * MEGABYTE
    """Bytes of a body, and of a line of a batch (413)."""
    seconds: float = 30.0
    """A body's to arrive (408), a page's to wait for its labels (503), a batch's without a byte (408 in its place)."""
    requests: int = 256
    """Under way at once in a worker (503); half of them from one address (429)."""
    held: int = 256 * MEGABYTE
    """Bytes of bodies that a worker holds at once (503)."""
    depth: int = 64
    """Objects and arrays inside one another in JSON (422)."""
    paragraphs: int = 100_000
    """Of a page, each of which is an object on the way out (422)."""
    explained: int = 1_000
    """Paragraphs of a page with reasons, which cost some milliseconds each (422)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to listen, with how many workers, which model, and who may ask."""

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    model: Path | None = None
    token: str | None = field(default=None, repr=False)
    limits: Limits = Limits()
