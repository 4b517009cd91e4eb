"""A port that serves the metrics and nothing else, from threads of its own: it answers while models load, too."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from textmill.cli.door import listen

FLAG = "--prometheus-port"
Render = Callable[[], tuple[bytes, str]]
"""Gives the metrics and their content type."""

_PATIENCE_S = 10.0
"""How long a client may take to send its request."""


@contextmanager
def serving(door: socket.socket, render: Render) -> Iterator[None]:
    """Answer ``GET /metrics`` and ``GET /health`` on a bound socket, which stays its caller's, while this lasts."""
    listen(door, FLAG)
    server = _Server(door, render)
    thread = threading.Thread(
        target=server.serve_forever, name="textmill-metrics", daemon=True, kwargs={"poll_interval": 0.1}
    )
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, door: socket.socket, render: Render) -> None:
        super().__init__(door.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = door
        self.render = render

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that leave."""


class _Handler(BaseHTTPRequestHandler):
    timeout = _PATIENCE_S
    server: _Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in ("/metrics", "/"):
            self._answer(HTTPStatus.OK, *self.server.render())
        elif path == "/health":
            self._answer(HTTPStatus.OK, b"OK", "text/plain; charset=utf-8")
        else:
            text = "this port has /metrics and /health only\n"
            self._answer(HTTPStatus.NOT_FOUND, text.encode(), "text/plain; charset=utf-8")

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        return "textmill"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the server calls it
        """Keep scrapes out of the log."""
