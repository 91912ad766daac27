from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serve.running import Server, running


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Two workers with small limits: bodies of 1 MB that come within a second and a half."""
    with running("--max-body", "1", "--timeout", "1.5") as started:
        yield started
