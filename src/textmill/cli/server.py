"""uvicorn as `textmill serve` runs it: one stop drains, a second one quits."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Protocol, cast

import uvicorn

from textmill.cli.connection import Connection, Patience
from textmill.cli.door import listen
from textmill.store.permits import Permits

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_KEEP_ALIVE_S = 75
"""How long idle connections stay open; longer than the minute that load balancers keep theirs, or they reuse dead ones."""
_LINGER_S = 0.2
"""How long the door stays open behind the last answer, so that who is about to knock hears why nobody answers any more."""


class Beside(Protocol):
    """A server in the same event loop; `textmill.grpc.server.GrpcServer` is one."""

    async def start(self) -> None:
        """Answer from now on. Raises ConfigInvalid where the address is taken."""
        ...

    async def stop(self, grace_s: float) -> None:
        """Cancel what is still under way, and answer no more; answers on their way to slow clients have ``grace_s`` seconds."""
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
    protocol = partial(Connection, permits=permits, patience=Patience())
    config = uvicorn.Config(
        app,
        loop="asyncio" if sys.platform == "win32" else "uvloop",
        http=cast("type[asyncio.Protocol]", protocol),  # it is only called
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=drain_s,
    )
    _Server(config, permits, grpc, announce).run(sockets=[door])


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
        """Answer what is under way behind an open door, so that probes and late requests are told; then close it."""
        drain_s = self.config.timeout_graceful_shutdown or 0
        end = time.monotonic() + drain_s
        self._permits.drain()
        for connection in self.server_state.connections:
            cast("Connection", connection).drain()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._permits.wait_until_idle(), drain_s)
        await asyncio.sleep(min(_LINGER_S, drain_s))
        if self._grpc is not None:
            await self._grpc.stop(max(0.0, end - time.monotonic()))
        left = max(_LINGER_S, end - time.monotonic())  # with none, uvicorn complains of nobody
        self.config.timeout_graceful_shutdown = left  # type: ignore[assignment] # asyncio takes parts of seconds too
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
