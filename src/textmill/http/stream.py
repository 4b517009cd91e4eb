"""Answers that come bit by bit: sent as they come, kept alive while nothing does, and ended with an error where one comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from starlette.types import Scope, Send

from textmill.errors import Unavailable
from textmill.http.answer import Answer, Streamed
from textmill.http.framing import EVENTS, Framing

FIRST_S = 2.0
"""How long the first event may take before the client is told that its answer will come: until then an error has a status of its own."""
QUIET_S = 5.0
"""How long a stream may be silent before something says that it lives: proxies and clients give up on silent ones."""
_HEADERS = [
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would keep events back
]


def event(data: bytes) -> bytes:
    """A server-sent event of one line of data."""
    return EVENTS.frame(data)


async def respond(
    streamed: Streamed,
    refuse: Callable[[Exception], Answer],
    scope: Scope,
    send: Send,
    *,
    first_s: float = FIRST_S,
    quiet_s: float = QUIET_S,
) -> Exception | None:
    """Send events as they come, and where none comes for long what says that more will.

    An error before anything was sent passes through. A later one is sent as an event, as ``refuse`` says it, and returned. When the task is cancelled, since the
    client has left or a drain has reached its deadline, the events are closed and the client is told, who may still be there.
    """
    framing = streamed.framing
    out = _Out(scope, send, framing, quiet_s)
    quiet = asyncio.create_task(out.keep_alive(first_s))
    failed = None
    try:
        async with aclosing(streamed.events) as events:
            async for each in events:
                await out.write(each)
    except Exception as error:
        if not out.begun:
            raise
        failed = error
        await out.write(framing.frame(refuse(error).body))
    except asyncio.CancelledError:
        if out.begun:
            msg = "the server is shutting down and did not get to the end of this answer in time"
            await out.write(framing.frame(refuse(Unavailable(msg)).body))
            await out.end()
        raise
    finally:
        quiet.cancel()
    await out.end()
    return failed


class _Out:
    """What the client has been sent; two tasks write. Sets ``textmill.begun`` in the scope once there is no way back."""

    def __init__(self, scope: Scope, send: Send, framing: Framing, quiet_s: float) -> None:
        self._scope = scope
        self._send = send
        self._framing = framing
        self._quiet_s = quiet_s
        self._clock = asyncio.get_running_loop().time
        self._last = self._clock()
        self._turn = asyncio.Lock()
        self.begun = False

    async def write(self, data: bytes) -> None:
        self._last = self._clock()
        async with self._turn:
            if not self.begun:
                self.begun = self._scope["textmill.begun"] = True
                headers = [(b"content-type", self._framing.content_type.encode()), *_HEADERS]
                await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        await self.write(self._framing.end)
        await self._send({"type": "http.response.body", "body": b""})

    async def keep_alive(self, first_s: float) -> None:
        """Say that the stream lives whenever nothing has been written for long; until cancelled."""
        patience = first_s
        while True:
            rest = self._last + patience - self._clock()
            if rest > 0:
                await asyncio.sleep(rest)
            else:
                await self.write(self._framing.alive)
                patience = self._quiet_s
