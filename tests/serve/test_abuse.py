"""Ten kinds of abuse: each gets its status, nothing falls over, others are served meanwhile."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from tests.serve.running import read_all, running, status, wait_for

HEAD = b"POST /label HTTP/1.1\r\nHost: here\r\nContent-Type: text/plain\r\n"
IDLE = 1_000


@pytest.fixture(autouse=True)
def _others_are_served_afterwards(server):
    yield
    assert server.still_serves()


def refused(answer: bytes, code: int) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert status(answer) == code
    assert b"connection: close" in head
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == code


def test_a_slow_body(server):
    with server.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 100\r\n\r\nabc")
        assert server.still_serves()
        refused(read_all(connection), 408)


def test_a_slow_head(server):
    refused(server.exchange(b"POST /label HTTP/1.1\r\nHost: he"), 408)


def test_a_connection_that_says_nothing(server):
    refused(server.exchange(b""), 408)


def test_an_endless_body(server):
    with server.connect() as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        sent = 0
        try:
            while sent < 64 << 20:
                connection.sendall(b"10000\r\n" + b"a" * 0x10000 + b"\r\n")
                sent += 0x10000
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert sent < 64 << 20, "the service read on and on"


def test_an_endless_body_of_a_client_that_listens(server):
    with server.connect() as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(32):
            connection.sendall(b"10000\r\n" + b"a" * 0x10000 + b"\r\n")
        refused(read_all(connection), 413)


def test_a_length_that_promises_more(server):
    with server.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 100\r\n\r\nabc")
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection) == b"" or status(read_all(connection)) in (400, 408)


def test_a_length_that_promises_less(server):
    answer = server.exchange(HEAD + b"Content-Length: 3\r\n\r\nabcdefghij\r\n\r\n")
    assert b"400 Bad Request" in answer


@pytest.mark.parametrize(
    "lengths", [b"Content-Length: 3x\r\n", b"Content-Length: -3\r\n", b"Content-Length: 3\r\nContent-Length: 4\r\n",
                b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"],
)  # fmt: skip
def test_lengths_that_are_none(server, lengths):
    refused(server.exchange(HEAD + lengths + b"\r\nabc"), 400)


def test_a_gigabyte_announced(server):
    with server.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 1073741824\r\n\r\n")
        refused(read_all(connection), 413)
    waiting = HEAD + b"Content-Length: 1073741824\r\nExpect: 100-continue\r\n\r\n"
    refused(server.exchange(waiting), 413)


def test_what_is_not_http(server):
    refused(server.exchange(b"\x16\x03\x01\x02\x00\x01\x00\x01"), 400)
    refused(server.exchange(b"FETCH / HTTP/1.1\r\n\r\n"), 400)


def test_a_thousand_idle_connections(server):
    with ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(IDLE)]
        for connection in connections[::2]:
            connection.sendall(b"POST /label HT")
        for _ in range(20):
            assert server.still_serves()
        for connection in connections:
            refused(read_all(connection), 408)


def half_sent(server, source: str) -> socket.socket:
    connection = server.connect(source)
    connection.sendall(HEAD + b"Content-Length: 100\r\n\r\nabc")
    return connection


def test_one_client_may_have_half_of_what_is_let_in_and_all_together_no_more():
    with running("--timeout", "30", workers=1) as server, ExitStack() as stack:
        for source in ("127.0.0.2", "127.0.0.3"):
            taken = [stack.enter_context(half_sent(server, source)) for _ in range(128)]
            assert len(taken) == 128
            wait_for(lambda: under_way(server) >= 128)
            if source == "127.0.0.2":
                with half_sent(server, source) as one_more:
                    answer = read_all(one_more)
                refused(answer, 429)
                assert b"retry-after: 1" in answer.lower()
                assert server.still_serves()
        wait_for(lambda: httpx.get(server.url + "/readyz").status_code == 503)
        with half_sent(server, "127.0.0.4") as one_more:
            answer = read_all(one_more)
        refused(answer, 503)
        assert b"retry-after: 1" in answer.lower()
        assert httpx.get(server.url + "/healthz").status_code == 200
        stack.close()
        wait_for(lambda: httpx.get(server.url + "/readyz").status_code == 200)
        assert server.still_serves()


def under_way(server) -> float:
    lines = httpx.get(server.url + "/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("detector_requests_under_way "))


class _Client(threading.Thread):
    """Asks on one connection until it is told that the connection closes; ``lost`` counts what got no whole answer."""

    def __init__(self, server) -> None:
        super().__init__()
        self.connection = http.client.HTTPConnection(*server.address, timeout=60)
        self.connection.connect()
        self.answered = self.lost = 0
        self.statuses: set[int] = set()

    def run(self) -> None:
        body = "The bridge is closed.\n\nSubscribe to our newsletter.\n\n" * 200
        closing = False
        while not closing:
            try:
                self.connection.request("POST", "/label", body, {"Content-Type": "text/plain"})
                answer = self.connection.getresponse()
                json.loads(answer.read())
            except (OSError, http.client.HTTPException, ValueError):
                self.lost += 1
                return
            self.answered += 1
            self.statuses.add(answer.status)
            closing = answer.will_close


def test_sigterm_under_load_loses_nothing():
    with running(workers=2) as server:
        clients = [_Client(server) for _ in range(16)]
        for client in clients:
            client.start()
        wait_for(lambda: all(client.answered for client in clients))
        with server.connect() as stream:
            stream.sendall(
                b"POST /label/batch HTTP/1.1\r\nHost: here\r\nContent-Type: application/x-ndjson\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
            )
            assert status(stream.recv(1 << 16)) == 200
            server.terminate()
            for client in clients:
                client.join()
            line = b'{"text": "The bridge is closed."}\n'
            stream.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(line), line))
            rest = read_all(stream)
        code, log = server.wait()
    assert sum(client.lost for client in clients) == 0
    assert set().union(*(client.statuses for client in clients)) == {200}
    assert b"The bridge is closed." in rest
    assert rest.endswith(b"0\r\n\r\n")
    assert (code, log) == (0, "")


def test_what_comes_on_an_idle_connection_as_the_service_stops_is_answered():
    with running(workers=1) as server:
        idle, asking = (http.client.HTTPConnection(*server.address, timeout=60) for _ in range(2))
        assert ask(idle).status == 200
        server.terminate()
        wait_for(lambda: ask(asking).status == 503)
        answer = ask(idle)
        assert answer.status == 503
        assert answer.will_close
        assert server.wait() == (0, "")


def ask(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    connection.request("GET", "/readyz")
    answer = connection.getresponse()
    answer.read()
    return answer


def test_a_batch_that_never_ends_is_told_that_the_service_stops():
    with running(workers=1) as server, server.connect() as stream:
        stream.sendall(
            b"POST /label/batch HTTP/1.1\r\nHost: here\r\nContent-Type: application/x-ndjson\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        assert status(stream.recv(1 << 16)) == 200
        server.terminate()
        rest = read_all(stream)
        assert server.wait() == (0, "")
    assert b'"line": 1, "error"' in rest
    assert b'"status": 503' in rest
    assert rest.endswith(b"0\r\n\r\n")


def children(pid: int) -> list[int]:
    found = []
    for status_file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = status_file.read_text().rpartition(")")[2].split()
            found += [int(status_file.parent.name)] * (int(fields[1]) == pid)
    return found


def test_a_worker_that_dies_is_replaced_and_what_it_counted_stays():
    with running(workers=1) as server, server.connect() as dropped:
        assert server.still_serves()
        dropped.sendall(HEAD + b"Content-Length: 100\r\n\r\nabc")
        wait_for(lambda: under_way(server) == 2)
        worker = max(children(server.process.pid))
        os.kill(worker, signal.SIGKILL)
        assert read_all(dropped) == b""
        assert server.still_serves()
        assert under_way(server) == 1
        metrics = httpx.get(server.url + "/metrics").text
        assert 'detector_requests_total{route="/label",status="200"} 2.0' in metrics
