"""Listens, and runs the workers under uvicorn's supervisor, which starts again those that die."""

from __future__ import annotations

import errno
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors import Multiprocess

from detector.detector import BUNDLED
from detector.model import Model
from detector.serve.app import AppFactory
from detector.serve.protocol import Protocol
from detector.serve.settings import Settings

_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 30
_GRACE_SECONDS = 30
"""What is under way has so long to end once the service is told to stop."""
_HUNG_SECONDS = 60
"""A worker that says nothing for so long is replaced."""
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Workers share the cores; threads of one worker's products would wait for those of another's."""


def serve(settings: Settings, say: Callable[[str], None]) -> bool:
    """Serve until told to stop; whether the workers could start.

    ``say`` is told where it listens, once it does. Raises ``ModelError`` for a model that cannot be used and
    ``OSError`` for an address that cannot be had.
    """
    Model.load(settings.model or BUNDLED)
    listener = _listen(settings.host, settings.port)
    _allow_many_files()
    for name in _ONE_THREAD:
        os.environ.setdefault(name, "1")
    with listener, tempfile.TemporaryDirectory(prefix="detector-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        say(_greeting(settings, listener))
        supervisor = Multiprocess(_config(settings), [listener])
        supervisor.run()
    return all(process.exitcode != STARTUP_FAILURE for process in supervisor.processes)


def _config(settings: Settings) -> Config:
    return Config(
        AppFactory(settings),
        factory=True,
        workers=settings.workers,
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_worker_healthcheck=_HUNG_SECONDS,
    )


def _listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections from now on: those that come before a worker is ready wait."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        # create_server adds the address to the message, which names it already; names have codes of their own.
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        remedy = "; name another with --port" if error.errno == errno.EADDRINUSE else ""
        raise OSError(error.errno, f"cannot listen there: {reason}{remedy}", f"{host}:{port}") from None


def _allow_many_files() -> None:
    """Each connection is a file; many systems allow 1,024 until asked for more."""
    if sys.platform == "win32":
        return
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _greeting(settings: Settings, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    token = ' -H "Authorization: Bearer $DETECTOR_TOKEN"' if settings.token else ""
    return f"listening on {url}; try: curl -H 'Content-Type: text/html'{token} --data-binary @page.html {url}/label"
