"""Readers and writers: one module a format. Each turns bytes or records into pages, or pages into records."""

from __future__ import annotations


class RecordError(ValueError):
    """A record that cannot be read; the message says what is wrong and what to do, for a person in a hurry."""
