from __future__ import annotations

from tests.serve.conftest import server

__all__ = ["server"]
