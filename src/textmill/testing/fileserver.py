"""A file server on loopback that does on request what servers should not: drop, truncate, stall, lie, redirect, refuse."""

from __future__ import annotations

import gzip
import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_STALL = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How one answer differs from a good one.

    After ``sent`` bytes of the body the connection is dropped, or with ``stall`` kept open without another byte until the client
    leaves. ``status`` and ``redirect`` replace the answer, ``body`` its bytes. ``length`` is added to Content-Length.
    ``headers`` are added; an empty one is left out.
    """

    status: int | None = None
    redirect: str | None = None
    body: bytes | None = None
    sent: int | None = None
    stall: bool = False
    length: int = 0
    ignores_range: bool = False
    wrong_range: bool = False
    chunked: bool = False
    gzipped: bool = False
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came."""

    path: str
    headers: dict[str, str]


class FileServer(ThreadingHTTPServer):
    """Serves ``files`` by path, with ETags and ranges. ``faults`` of a path are used up one a request, ``always`` stays."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.always: dict[str, Fault] = {}
        self.asked: list[Asked] = []
        self.ending = threading.Event()

    @property
    def host(self) -> str:
        """``127.0.0.1:port``."""
        return f"127.0.0.1:{self.server_port}"

    def url(self, path: str) -> str:
        """The address of a path."""
        return f"http://{self.host}{path}"

    def paths(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [each.path for each in self.asked]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep clients that leave off the terminal."""


class _Handler(BaseHTTPRequestHandler):
    server: FileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server, path = self.server, self.path.partition("?")[0]
        server.asked.append(Asked(self.path, {name.lower(): value for name, value in self.headers.items()}))
        waiting = server.faults.get(path)
        fault = waiting.pop(0) if waiting else server.always.get(path, Fault())
        self.close_connection = True
        if fault.redirect is not None:
            self._send(302, {"Location": fault.redirect, "Content-Length": "0", **fault.headers}, b"", fault)
        elif fault.status is not None:
            body = fault.body or b""
            self._send(fault.status, {"Content-Length": str(len(body)), **fault.headers}, body, fault)
        elif path not in server.files:
            self._send(404, {"Content-Length": "0"}, b"", fault)
        else:
            self._file(server.files[path] if fault.body is None else fault.body, fault)

    def _file(self, data: bytes, fault: Fault) -> None:
        etag = f'"{hashlib.sha256(data).hexdigest()[:20]}"'
        if self.headers.get("If-None-Match") == etag:
            self._send(304, {"ETag": etag}, b"", fault)
            return
        headers, status, start = {"ETag": etag}, 200, self._start(etag, fault)
        if start >= len(data) > 0:
            self._send(416, {"Content-Range": f"bytes */{len(data)}", "Content-Length": "0"}, b"", fault)
            return
        if start:
            status, first = 206, start - 1 if fault.wrong_range else start
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        body = data[start:]
        if fault.gzipped:
            body = gzip.compress(body)
            headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(len(body) + fault.length)
        self._send(status, {**headers, **fault.headers}, body, fault)

    def _start(self, etag: str, fault: Fault) -> int:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        fresh = self.headers.get("If-Range") in (None, fault.headers.get("ETag", etag))
        return int(found[1]) if found and fresh and not fault.ignores_range else 0

    def _send(self, status: int, headers: dict[str, str], body: bytes, fault: Fault) -> None:
        if fault.chunked:
            headers = {**headers, "Content-Length": "", "Transfer-Encoding": "chunked"}
        with suppress(OSError):
            self.send_response(status)
            for name, value in headers.items():
                if value:
                    self.send_header(name, value)
            self.end_headers()
            part = body if fault.sent is None else body[: fault.sent]
            self._write(part, fault)
            self.wfile.flush()
            if fault.stall:
                self.server.ending.wait(_STALL)

    def _write(self, part: bytes, fault: Fault) -> None:
        if not fault.chunked:
            self.wfile.write(part)
            return
        if part:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        if fault.sent is None:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """Keep requests off the terminal."""


@contextmanager
def file_server() -> Iterator[FileServer]:
    """Run a server until the end of the block."""
    server = FileServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ending.set()
        server.shutdown()
        thread.join()
        server.server_close()
