"""One connection to an HTTP/1.1 server, for one request after the other: parsed by httptools, read as it comes."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from httptools import HttpParserError, HttpResponseParser

MOST_WAITING = 256 * 1024
"""Bytes of a body that wait for their reader before the server is made to wait."""
_LONGEST_HEAD = 64 * 1024
_NO_BODY = (204, 304)
_SAID_NUMBER = re.compile(r"\[Errno (\d+)\]")
_WHY: Mapping[int, str] = {
    errno.ECONNREFUSED: "it refuses the connection; does it run, and listen at that address?",
    errno.EHOSTUNREACH: "there is no route to its host",
    errno.ENETUNREACH: "there is no route to its network",
    errno.ETIMEDOUT: "its host does not answer",
    errno.ECONNRESET: "it ended the connection at once",
    errno.ENOENT: "there is no such socket; does it run?",
    errno.EACCES: "the system does not allow the connection",
    errno.EPERM: "the system does not allow the connection",
}
"""Why there is no connection, by the system's number."""


def why_not(error: OSError) -> str:
    """Why `Place.connect` failed, as a clause; loops put addresses where the system's words are, or several errors into one."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"it does not speak TLS as expected ({error.strerror or error})"
    if isinstance(error, socket.gaierror):
        later = error.errno == socket.EAI_AGAIN
        return f"the name of its host {'cannot be looked up now' if later else 'is unknown'}"
    said = _SAID_NUMBER.search(str(error))
    number = error.errno or (int(said[1]) if said else 0)
    if number in _WHY:
        return _WHY[number]
    return os.strerror(number) if number > 0 else str(error) or type(error).__name__


class Broken(Exception):
    """The connection ended, or what came is no HTTP. ``begun`` says whether anything of the answer had come."""

    def __init__(self, message: str, *, begun: bool) -> None:
        super().__init__(message)
        self.begun = begun


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy of HTTP, that TLS is spoken through; ``credentials`` is what stands behind Basic, empty for none."""

    host: str
    port: int
    credentials: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens: a path of a Unix socket, or a host and a port, with TLS where a context is given.

    A ``proxy`` goes with TLS only: then it sees where a request goes, and nothing of it.
    """

    host: str
    port: int
    uds: str = ""
    tls: ssl.SSLContext | None = None
    proxy: Proxy | None = None

    async def connect(self) -> Connection:
        """A new connection. Raises OSError, of which TimeoutError and those of TLS are some."""
        loop = asyncio.get_running_loop()
        if self.uds:
            return (await loop.create_unix_connection(Connection, self.uds))[1]
        if self.proxy is not None and self.tls is not None:
            return await self._through(self.proxy, self.tls, loop)
        name = self.host if self.tls is not None else None
        return (await loop.create_connection(Connection, self.host, self.port, ssl=self.tls, server_hostname=name))[1]

    async def _through(self, proxy: Proxy, tls: ssl.SSLContext, loop: asyncio.AbstractEventLoop) -> Connection:
        to = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        known = f"Proxy-Authorization: Basic {proxy.credentials}\r\n" if proxy.credentials else ""
        transport, tunnel = await loop.create_connection(_Tunnel, proxy.host, proxy.port)
        try:
            transport.write(f"CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{known}\r\n".encode("ascii"))
            await tunnel.open
            connection = Connection()
            spoken = await loop.start_tls(transport, connection, tls, server_hostname=self.host)
        except BaseException:
            transport.abort()
            raise
        if spoken is None:
            msg = "the proxy ended the connection"
            raise OSError(msg)
        connection.connection_made(spoken)
        return connection


class _Tunnel(asyncio.Protocol):
    """What a proxy answers to CONNECT; ``open`` is done once it is 200, and has an OSError otherwise."""

    def __init__(self) -> None:
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._head = b""

    def data_received(self, data: bytes) -> None:
        """Of asyncio."""
        self._head += data
        if self.open.done() or (b"\r\n\r\n" not in self._head and len(self._head) < _LONGEST_HEAD):
            return
        status = self._head.split(b" ", 2)[1:2]
        if status == [b"200"]:
            self.open.set_result(None)
        else:
            self._fail(f"the proxy answered {status[0][:3].decode('latin-1') if status else 'nonsense'}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Of asyncio."""
        self._fail(f"the proxy ended the connection{f' ({exc})' if exc else ''}")

    def _fail(self, message: str) -> None:
        if not self.open.done():
            self.open.set_exception(OSError(message))


class Connection(asyncio.Protocol):
    """A connection that is open. Belongs to the event loop that made it; one request at a time."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.whole = False
        """Whether the whole answer has come."""
        self.framed = False
        """Whether the answer says itself where it ends; otherwise it ends with the connection, cut off or not."""
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._chunks: list[bytes] = []
        self._waiting_bytes = 0
        self._head_bytes = 0
        self._headed = self._begun = self._paused = False
        self._keep = True
        self._unread = False
        self._waiter: asyncio.Future[None] | None = None
        self._broken: Broken | None = None
        self._read_s = 0.0
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._at_end: Callable[[], None] | None = None

    @property
    def reusable(self) -> bool:
        """Whether another request can be sent."""
        open_ = self._broken is None and self._transport is not None and not self._transport.is_closing()
        return open_ and self._keep

    def send(self, request: bytes, read_s: float) -> None:
        """Send a whole request; the server may be silent for at most ``read_s`` seconds until its answer is whole."""
        if self._transport is None or self._broken is not None:
            raise self._broken or Broken("the connection is closed", begun=False)
        self._parser = HttpResponseParser(self)
        self.status, self.headers = 0, {}
        self._head_bytes = 0
        self.whole = self.framed = self._headed = self._begun = self._keep = self._unread = False
        self._chunks.clear()
        self._waiting_bytes = 0
        self._read_s, self._heard = read_s, self.loop.time()
        self._timer = self.loop.call_later(read_s, self._look)
        self._transport.write(request)

    async def head(self) -> None:
        """Wait for status and headers. Raises Broken, TimeoutError."""
        while not self._headed:
            await self._wait()

    async def read(self) -> bytes:
        """What has come of the body and was not read yet; empty at its end. Raises Broken, TimeoutError."""
        while not self._chunks:
            if self.whole:
                return b""
            await self._wait()
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._go_on()
        return data

    def when_whole(self, then: Callable[[], None], seconds: float) -> None:
        """Read no more; call that once the answer is whole, or close the connection where it is not within so many seconds."""
        self._unread = True
        if self.whole:
            then()
            return
        self._go_on()
        self._at_end = then
        self._end_timer = self.loop.call_later(seconds, self.close)

    def close(self) -> None:
        """Close it at once; what is unsent is dropped."""
        self._stop_timers()
        self._broken = self._broken or Broken("the connection was closed", begun=self._begun)
        if self._transport is not None:
            self._transport.abort()

    def _go_on(self) -> None:
        self._waiting_bytes = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    async def _wait(self) -> None:
        if self._broken is not None:
            raise self._broken
        self._waiter = self.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _look(self) -> None:
        """Whether the server has been silent for too long: one timer an answer is cheaper than one a chunk."""
        left = self._heard + self._read_s - self.loop.time()
        if left <= 0 and self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(TimeoutError())
            return
        # Nobody waits for a server that was told to wait, or whose words are not read yet.
        self._timer = self.loop.call_later(left if left > 0 else self._read_s, self._look)

    def _stop_timers(self) -> None:
        for timer in (self._timer, self._end_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._end_timer = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of asyncio."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by their class

    def data_received(self, data: bytes) -> None:
        """Of asyncio."""
        self._heard = self.loop.time()
        self._begun = True
        try:
            if self.whole:
                self._fail("the server spoke without being asked")
            else:
                self._parse(data)
        except HttpParserError as error:
            self._fail(f"its answer is no HTTP ({error})")
        self._wake()

    def _parse(self, data: bytes) -> None:
        """Give the parser no more than the longest head until it has seen the end of one: a read may have much of a body, too."""
        if not self._headed:
            part = data[: _LONGEST_HEAD - self._head_bytes]
            self._head_bytes += len(part)
            self._parser.feed_data(part)
            data = data[len(part) :]
            if data and not self._headed:
                self._fail("the headers of its answer do not end")
                return
        if data:
            self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Of asyncio."""
        self._stop_timers()
        if self._headed and not self.whole and not self.framed and exc is None:
            self.whole = True
        if self._broken is None:
            why = f" ({exc})" if exc is not None else ""
            self._broken = Broken(f"the connection ended{why}", begun=self._begun)
        self._wake()

    def _fail(self, message: str) -> None:
        self._broken = Broken(message, begun=True)
        self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Of httptools."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Of httptools; what comes before an answer, such as 100 Continue, is passed over."""
        self.status = self._parser.get_status_code()
        if self.status >= 200:  # noqa: PLR2004 - the classes of HTTP
            self._headed = True
            self.framed = bool({"content-length", "transfer-encoding"} & set(self.headers)) or self.status in _NO_BODY

    def on_body(self, data: bytes) -> None:
        """Of httptools."""
        if self._unread:
            return
        self._chunks.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes > MOST_WAITING and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """Of httptools."""
        if not self._headed:
            self.headers = {}
            return
        self.whole = True
        self._keep = self._parser.should_keep_alive()  # later it has forgotten the headers
        self._stop_timers()
        then, self._at_end = self._at_end, None
        if then is not None:
            with suppress(OSError):
                then()
