"""How a server leaves: signals while it is at work, on a process of its own."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import httpx
import pytest

pytestmark = pytest.mark.timeout(60)  # a process imports everything anew, and the machine may be busy

Start = Callable[..., "subprocess.Popen[str]"]

PATIENCE_S = 30.0
TEXTS = 300


@dataclass(frozen=True)
class Server:
    """A process that is ready."""

    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def status(self, path: str) -> int:
        """Of a GET on a connection of its own."""
        return httpx.get(self.url + path, timeout=PATIENCE_S).status_code

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal, and wait until it has been taken."""
        self.process.send_signal(number)
        end = time.monotonic() + PATIENCE_S
        while self.status("/health/ready") == 200:
            assert time.monotonic() < end, "it is still ready"


Serve = Callable[..., Server]


@pytest.fixture
def serve(start: Start, tiny: str) -> Serve:
    """Starts a server of the tiny model, with more arguments, and waits until it is ready."""

    def run(*arguments: str) -> Server:
        process = start(tiny, "--port", "0", "--threads", "1", "--dtype", "float32", *arguments)
        assert process.stdout
        found = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert found, process.communicate()[1]
        return Server(process, int(found[1]))

    return run


@contextmanager
def accepted(server: Server, body: bytes) -> Iterator[socket.socket]:
    """A connection whose request the server has begun to handle: it waits for the body."""
    head = f"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\nexpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        yield connection


def answer_of(connection: socket.socket) -> tuple[bytes, bytes]:
    """Head and body of what comes until the server closes."""
    with connection.makefile("rb") as stream:
        head, _, body = stream.read().partition(b"\r\n\r\n")
    return head, body


def texts(number: int) -> bytes:
    return json.dumps({"input": [f"text {i} of request {number}" for i in range(TEXTS)]}).encode()


def test_all_that_is_accepted_is_answered_and_each_answer_closes_its_connection(serve: Serve) -> None:
    server = serve()
    bodies = [texts(number) for number in range(12)]
    with ExitStack() as stack, ThreadPoolExecutor(len(bodies)) as pool:
        connections = [stack.enter_context(accepted(server, body)) for body in bodies]
        server.stop()
        for connection, body in zip(connections, bodies, strict=True):
            connection.sendall(body)
        answers = list(pool.map(answer_of, connections))

    for head, body in answers:
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nconnection: close" in head
        assert len(json.loads(body)["data"]) == TEXTS
    output, errors = server.process.communicate()
    assert output == ""
    assert all(" INFO " in line for line in errors.splitlines())
    assert server.process.returncode == 0


def test_a_stop_while_batches_run_loses_none_of_them(serve: Serve) -> None:
    """The bodies are sent before the signal: some rows are computed, others wait in line or are still tokenised."""
    server = serve()
    bodies = [texts(number) for number in range(4)]
    with ExitStack() as stack, ThreadPoolExecutor(len(bodies)) as pool:
        connections = [stack.enter_context(accepted(server, body)) for body in bodies]
        for connection, body in zip(connections, bodies, strict=True):
            connection.sendall(body)
        server.process.send_signal(signal.SIGTERM)
        answers = list(pool.map(answer_of, connections))

    assert [len(json.loads(body)["data"]) for _, body in answers] == [TEXTS] * len(bodies)
    assert server.process.wait() == 0


def test_clients_that_ask_all_the_time_hear_yes_or_no_until_the_door_is_closed(serve: Serve) -> None:
    server = serve()
    seen: list[list[int]] = []

    def ask() -> None:
        statuses: list[int] = []
        seen.append(statuses)
        with httpx.Client(base_url=server.url, timeout=PATIENCE_S) as client:
            while True:
                try:
                    statuses.append(client.post("/embed", json={"inputs": "a text"}).status_code)
                except httpx.ConnectError:  # the door is closed; to lose an answer would be another error
                    return
                if statuses[-1] != 200:
                    return

    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(ask) for _ in range(8)]
        while sum(map(len, seen)) < 100:
            time.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        for client in clients:
            client.result(PATIENCE_S)

    assert {status for statuses in seen for status in statuses[:-1]} == {200}
    assert {statuses[-1] for statuses in seen} <= {200, 503}
    assert server.process.wait() == 0


def test_meanwhile_it_lives_but_is_not_ready_and_takes_nothing_new(serve: Serve) -> None:
    server = serve("--drain-seconds", "1000")
    with httpx.Client(base_url=server.url, timeout=PATIENCE_S) as kept, accepted(server, texts(0)) as connection:
        assert kept.get("/health/ready").status_code == 200
        server.stop()

        assert [server.status(path) for path in ("/health/ready", "/health", "/health/live")] == [503, 503, 200]
        late = kept.post("/embed", json={"inputs": "a"})
        assert (late.status_code, late.headers["connection"]) == (503, "close")
        assert server.status("/metrics") == 200

        connection.sendall(texts(0))
        head, _ = answer_of(connection)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert server.process.wait() == 0


def test_idle_connections_do_not_hold_it(serve: Serve) -> None:
    server = serve("--drain-seconds", "1000")
    with (
        httpx.Client(base_url=server.url, timeout=PATIENCE_S) as kept,
        socket.create_connection(("127.0.0.1", server.port)),
    ):
        assert kept.get("/health").status_code == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait() == 0


def test_who_is_not_done_at_the_deadline_is_told_so(serve: Serve) -> None:
    server = serve("--drain-seconds", "1")
    with accepted(server, b"never sent") as connection:
        server.process.send_signal(signal.SIGTERM)
        head, body = answer_of(connection)

    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"shutting down" in body
    assert server.process.wait() == 0


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_of_either_kind_ends_it_at_once(
    first: signal.Signals, second: signal.Signals, serve: Serve
) -> None:
    server = serve("--drain-seconds", "1000")
    with accepted(server, b"never sent"):
        server.stop(first)
        server.process.send_signal(second)
        assert server.process.wait() == 128 + second


def test_probes_are_answered_before_a_large_request_that_came_first(serve: Serve) -> None:
    server = serve()
    body = json.dumps({"input": [f"text number {i} " * 20 for i in range(8000)]}).encode()
    with accepted(server, body) as connection:
        connection.sendall(body)
        connection.settimeout(0)
        for path in ("/health", "/health/ready", "/health/live", "/metrics", "/info"):
            assert server.status(path) == 200
        with pytest.raises(BlockingIOError):  # it is still being computed
            connection.recv(1)
