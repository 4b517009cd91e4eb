"""One connection of uvicorn's, with the limits that it lacks: to the size of heads, and to the time of heads and bodies."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from textmill.store.permits import Permits

HEAD_LIMIT = 1 << 20
"""Bytes of a request's line and headers, or of the trailers of a chunked body, and of what arrives with them (up to 256 KiB)."""

_TOO_LARGE = b"431 Request Header Fields Too Large"
_TOO_SLOW = b"408 Request Timeout"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long clients may take, in seconds: ``head_s`` for a whole head, ``body_s`` between two pieces of a body."""

    head_s: float = 30.0
    body_s: float = 60.0


class _Awaited(Enum):
    """What a connection has yet to send."""

    REQUEST = "request"
    HEAD = "head"
    BODY = "body"


class Connection(HttpToolsProtocol):
    """uvicorn's own, but who sends a head without end, or none, or a body that stalls, is sent away.

    The clock runs only while something is missing: a request that arrives in one piece never starts it. While the process
    drains, each answer closes its connection.
    """

    def __init__(self, *, permits: Permits, patience: Patience, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._permits = permits
        self._patience = patience
        self._unread = 0  # bytes since the last of a body, or the end of a request
        self._awaited = _Awaited.REQUEST
        self._clock: asyncio.TimerHandle | None = None
        self._clocked: _Awaited | None = None
        self._heard = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Expect a head from now on."""
        super().connection_made(transport)
        self._start_clock(_Awaited.HEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come; start or stop the clock by what is missing now."""
        self._unread += len(data)
        if self._unread > HEAD_LIMIT:
            self._refuse(_TOO_LARGE)
            return
        super().data_received(data)
        if not self.transport.is_closing():
            self._keep_time()

    def on_message_begin(self) -> None:
        """Note a request's first byte."""
        self._awaited = _Awaited.HEAD
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note the end of a head."""
        self._awaited = _Awaited.BODY
        super().on_headers_complete()
        if self._permits.draining:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Note a piece of a body."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note a request's last byte."""
        self._unread = 0
        self._awaited = _Awaited.REQUEST
        super().on_message_complete()

    def drain(self) -> None:
        """Let the answer under way be the connection's last."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _keep_time(self) -> None:
        if self._awaited is _Awaited.BODY:
            self._heard = self.loop.time()
            if self._clocked is not _Awaited.BODY:
                self._start_clock(_Awaited.BODY)
        elif self._awaited is _Awaited.HEAD or not (self._answering or self.timeout_keep_alive_task):
            # The second: bytes that are no request, such as empty lines, have ended uvicorn's clock of idle connections.
            if self._clocked is not _Awaited.HEAD:
                self._start_clock(_Awaited.HEAD)
        else:
            self._stop_clock()

    def _start_clock(self, awaited: _Awaited) -> None:
        self._stop_clock()
        self._clocked = awaited
        seconds = self._patience.head_s if awaited is _Awaited.HEAD else self._patience.body_s
        self._clock = self.loop.call_later(seconds, self._out_of_patience)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = self._clocked = None

    def _out_of_patience(self) -> None:
        awaited, self._clock, self._clocked = self._clocked, None, None
        if awaited is _Awaited.BODY:
            rest = self._heard + self._patience.body_s - self.loop.time()
            if self.flow.read_paused:  # it is the server that does not listen
                rest = self._patience.body_s
            if rest > 0:
                self._clocked = awaited
                self._clock = self.loop.call_later(rest, self._out_of_patience)
                return
        self._refuse(_TOO_SLOW)

    def _refuse(self, status: bytes) -> None:
        """Close, and say why unless an answer has begun, or nothing was asked."""
        quiet = {
            _Awaited.REQUEST: True,
            _Awaited.HEAD: self._answering,  # the request before it; this would be taken for its answer
            _Awaited.BODY: self.cycle is not None and self.cycle.response_started,
        }
        if not quiet[self._awaited]:
            head = b"HTTP/1.1 %b\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % status
            self.transport.write(head)
        self.transport.close()
