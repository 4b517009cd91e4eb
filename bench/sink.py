"""``python -m bench.sink PORT``: takes traces over OTLP's HTTP and throws them away; GET says how many bytes have come."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Sink(BaseHTTPRequestHandler):
    """Every POST is fine."""

    protocol_version = "HTTP/1.1"
    taken = 0

    def do_POST(self) -> None:
        """Take it."""
        Sink.taken += len(self.rfile.read(int(self.headers.get("content-length", 0))))
        self._answer(b"")

    def do_GET(self) -> None:
        """Say how much was taken."""
        self._answer(b"%d" % Sink.taken)

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it has there
        """Say nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Sink).serve_forever()
