"""What schemathesis must know to send bodies that are not JSON; it imports this module by its name."""

from __future__ import annotations

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson", "application/jsonl", "text/html")
def as_lines(context, value):
    if isinstance(value, bytes):
        return value
    lines = value if isinstance(value, list) else [value]
    return "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines).encode(errors="replace")
