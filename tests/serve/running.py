"""The real server, in a process of its own, on a free port of this machine."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

_PATIENCE = 60
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "DETECTOR_TOKEN"}


@dataclass
class Server:
    process: subprocess.Popen[str]
    greeting: str

    @property
    def url(self) -> str:
        return re.search(r"http://[\d.]+:\d+", self.greeting)[0]

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(self.address, timeout=_PATIENCE, source_address=(source, 0))

    def exchange(self, data: bytes) -> bytes:
        """What comes back on a connection of its own until it is closed, for bytes as they are."""
        with self.connect() as connection:
            connection.sendall(data)
            return read_all(connection)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> tuple[int, str]:
        """The exit code, and what was logged after the greeting."""
        _, log = self.process.communicate(timeout=_PATIENCE)
        return self.process.returncode, log

    def still_serves(self) -> bool:
        return httpx.post(self.url + "/label", content="The library opens at nine.", headers=TEXT).status_code == 200


TEXT = {"Content-Type": "text/plain"}


def read_all(connection: socket.socket) -> bytes:
    received = bytearray()
    try:
        while piece := connection.recv(1 << 16):
            received += piece
    except ConnectionResetError:
        pass
    return bytes(received)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@contextmanager
def running(*options: str, workers: int = 2, **environment: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "detector.cli", "serve", "--port", "0", "--workers", str(workers), *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=_ENVIRONMENT | environment)
    try:
        greeting = process.stderr.readline()
        assert "listening on" in greeting, greeting + process.stderr.read()
        yield Server(process, greeting)
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=_PATIENCE)
        process.stderr.close()


def wait_for(condition) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)
