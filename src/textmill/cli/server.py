"""uvicorn as `textmill serve` runs it: one stop drains, a second one quits."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Protocol

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from textmill.cli.door import listen
from textmill.store.permits import Permits

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_HEAD_LIMIT = 1 << 20
"""Bytes of a request's line and headers, or of the trailers of a chunked body, and of what arrives with them (up to 256 KiB)."""
_KEEP_ALIVE_S = 75
"""How long idle connections stay open; longer than the minute that load balancers keep theirs, or they reuse dead ones."""


class Beside(Protocol):
    """A server in the same event loop; `textmill.grpc.server.GrpcServer` is one."""

    async def start(self) -> None:
        """Answer from now on. Raises ConfigInvalid where the address is taken."""
        ...

    async def stop(self) -> None:
        """Cancel what is still under way, and answer no more."""
        ...


def run_server(
    app: ASGIApp,
    door: socket.socket,
    *,
    permits: Permits,
    grpc: Beside | None,
    drain_s: int,
    announce: Callable[[], None],
) -> None:
    """Answer on a bound socket until SIGTERM or SIGINT; return when requests under way are done or ``drain_s`` is over.

    ``grpc`` answers beside, under the same ``permits``. ``announce`` is called once, when requests are answered. A second
    signal ends the process at once.
    """
    listen(door)
    config = uvicorn.Config(
        app,
        loop="asyncio" if sys.platform == "win32" else "uvloop",
        http=_Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=drain_s,
    )
    _Server(config, permits, grpc, announce).run(sockets=[door])


class _Protocol(HttpToolsProtocol):
    """uvicorn's own, with a limit to heads and trailers: the parser has none, and needs no key to be fed."""

    _unread = 0
    """Bytes since the last of a body, or the end of a request."""

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        if self._unread > _HEAD_LIMIT:
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n")
            self.transport.close()
            return
        super().data_received(data)

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread = 0
        super().on_message_complete()


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, permits: Permits, grpc: Beside | None, announce: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._permits = permits
        self._grpc = grpc
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        if self._grpc is not None:
            await self._grpc.start()
        await super().startup(sockets=sockets)
        if self.started:
            self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what is under way, then close."""
        self._permits.drain()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._permits.wait_until_idle(), self.config.timeout_graceful_shutdown)
        if self._grpc is not None:
            await self._grpc.stop()
        await super().shutdown(sockets=sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn's own would raise the signal again after the drain, and the process would not exit with 0.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        del frame
        if self.should_exit:
            os._exit(128 + sig)
        self.should_exit = True
