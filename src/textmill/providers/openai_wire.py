"""The way to one server that speaks OpenAI's protocol, over TCP, TLS or a Unix socket.

It is our own small client over asyncio and httptools. httpx takes 42 to 50 microseconds of the CPU for each streamed chunk, this 6 to 12,
its JSON read (`python -m bench.wire`); with 8 streams of 300 tokens a second that is a tenth of a core that the model computes on, or a
fiftieth.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import orjson

from textmill.errors import ConfigInvalid, ForwardFailed, Unavailable
from textmill.providers.http_connection import Broken, Connection, Place, Proxy, why_not
from textmill.providers.openai_errors import ServerName, error_of, stream_error
from textmill.providers.retry_hints import retry_after
from textmill.providers.server_events import EventReader

MOST_BYTES = 512 * 1024 * 1024
"""Of an answer that is no stream: some thousand vectors of some thousand numbers as text."""
_ERROR_BYTES = 64 * 1024
_TAIL_S = 2.0
_MARGIN_S = 1.0
_STALE_S = 1.0
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.5, 8.0
_OVERLOADED, _NOT_NOW = 429, 503
_DONE = b"[DONE]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds: to connect, and that a server may be silent, before its first byte or between two."""

    connect_s: float = 10.0
    read_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often a request goes out again before anything of an answer was given on, and for how many seconds it waits in all.

    That is where the server could not be reached, where it says 429, and where it says 503 and when to come back. A server that asks to
    wait for longer than is left, or says ``x-should-retry: false``, is not asked again.
    """

    times: int = 0
    seconds: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server: ``base_url`` is what stands in front of ``/chat/completions``, such as ``http://127.0.0.1:8000/v1``.

    With ``uds`` it is reached over that Unix socket, and host and port of the URL only go into the Host header. ``name`` is how errors
    call it. ``key`` goes as ``Authorization: Bearer``, or by itself in the header ``key_header``; ``key_setting`` names where it comes
    from, such as OPENAI_API_KEY, in errors. ``proxy`` is the URL of one of HTTP, that TLS goes through; other servers are reached directly.
    ``query`` stands behind each path, such as Azure's ``?api-version=…``, and ``key_scheme`` in front of the key.
    ``idle`` is how many connections are kept open for later, for ``idle_s`` seconds at most; 0 closes each behind its request, which is
    right for servers that hold a thread for each connection, as llama.cpp's does, and costs little over a Unix socket.
    """

    base_url: str
    uds: str = ""
    name: str = ""
    key: str = field(default="", repr=False)
    key_setting: str = ""
    key_header: str = ""
    key_scheme: str = "Bearer"
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str = field(default="", repr=False)
    patience: Patience = Patience()
    retries: Retries = Retries()
    idle: int = 16
    idle_s: float = 60.0


class CutOff(ForwardFailed):
    """A connection ended before the answer was whole."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def good(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300  # noqa: PLR2004 - the classes of HTTP


class Wire:
    """HTTP to one server; makes no connection before the first call. Its signatures are what other providers build on.

    Connections belong to the event loop of the call that made them: calls from another loop make their own, and the idle ones of the
    loop before are closed. Errors of all calls: InvalidInput and WrongTask where the server refuses the request, Overloaded with its
    Retry-After, Unavailable where it cannot be reached, wants another key or is starting, ForwardFailed where it fails, is silent for
    too long or its answer breaks off. No message has the key. Raises ConfigInvalid for a URL, a key or a header that is none.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._place, self._prefix, host = _place_of(target)
        self.server = ServerName(target.name or host, "" if target.uds else host, target.key_setting, target.key)
        self._head = _head_of(target, host)
        self._idle: list[tuple[float, Connection]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def get(self, path: str) -> Any:
        """The JSON behind a path below the base URL, None for an empty body."""
        return _json(self.server, await self._whole(f"GET {self._prefix}{path}{self._target.query}", b""), path)

    async def get_root(self, path: str) -> Any:
        """As `get`, for a path from the server's root, such as ``/health``."""
        return _json(self.server, await self._whole(f"GET {path}", b""), path)

    async def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON object that answers a body sent to a path below the base URL."""
        read = _json(
            self.server, await self._whole(f"POST {self._prefix}{path}{self._target.query}", _dumped(body)), path
        )
        if not isinstance(read, dict):
            msg = f"{self.server.title} answered {path} with no JSON object"
            raise ForwardFailed(msg)
        if read.get("error"):
            raise stream_error(self.server, read["error"])
        return read

    async def ask(self, path: str, body: Mapping[str, Any], *, beside: bool = False) -> Reply:
        """What answers a body, whatever its status, sent once to a path below the base URL, or ``beside`` its last ``/v1``.

        Raises Unavailable where the server cannot be reached, CutOff where its answer breaks off, ForwardFailed where it is silent.
        """
        prefix = self._prefix.removesuffix("/v1") if beside else self._prefix
        request = self._request(f"POST {prefix}{path}{self._target.query}", _dumped(body))
        connection = await self._asked_once(request)
        try:
            limit = MOST_BYTES if connection.status == 200 else _ERROR_BYTES  # noqa: PLR2004
            read = await self._body(connection, limit)
        finally:
            self._put_back(connection)  # which closes one whose answer is not whole
        return Reply(connection.status, connection.headers, read)

    async def stream(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """The JSON objects of the events that answer a body, as they come, up to ``[DONE]`` or the answer's proper end.

        Closing the iterator closes the connection at once, by which servers see that they can stop. An error inside of the stream, and
        an end in its middle, are raised.
        """
        connection = await self._asked(f"POST {self._prefix}{path}{self._target.query}", _dumped(body))
        reader = EventReader()
        kept = False
        try:
            await self._expect_stream(connection, path)
            while True:
                data = await self._read(connection)
                for event in reader.feed(data) if data else reader.end():
                    if event == _DONE:
                        kept = True
                        return
                    yield _event(self.server, event)
                if not data:
                    if not connection.framed:
                        msg = f"{self.server.title} broke off its answer"
                        raise ForwardFailed(msg)
                    kept = True
                    return
        finally:
            if kept and self._target.idle:
                connection.when_whole(lambda: self._put_back(connection), _TAIL_S)
            else:
                connection.close()

    async def close(self) -> None:
        """Close the idle connections; those in use close behind their requests."""
        self.close_soon()
        await asyncio.sleep(0)  # the loop closes sockets in its next round

    def close_soon(self) -> None:
        """As `close`, from any thread, and without waiting."""
        self._closed = True
        self._drop_idle()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _expect_stream(self, connection: Connection, path: str) -> None:
        """Raise the error of an answer that is no stream of events."""
        if connection.status != 200:  # noqa: PLR2004
            raise error_of(
                self.server, connection.status, connection.headers, await self._body(connection, _ERROR_BYTES), path
            )
        kind = connection.headers.get("content-type", "")
        if "event-stream" in kind:
            return
        told = await self._body(connection, _ERROR_BYTES)
        try:
            read = orjson.loads(told)
        except orjson.JSONDecodeError:
            read = None
        if isinstance(read, dict) and read.get("error"):
            raise stream_error(self.server, read["error"])
        msg = f"{self.server.title} was asked for a stream and answered {path} with {kind or 'no type'}"
        raise ForwardFailed(msg)

    async def _whole(self, line: str, body: bytes) -> bytes:
        """The body of a good answer."""
        connection = await self._asked(line, body)
        good = 200 <= connection.status < 300  # noqa: PLR2004
        try:
            read = await self._body(connection, MOST_BYTES if good else _ERROR_BYTES)
        finally:
            self._put_back(connection)  # which closes one whose answer is not whole
        if not good:
            raise error_of(self.server, connection.status, connection.headers, read, line.split()[1])
        return read

    def _request(self, line: str, body: bytes) -> bytes:
        return b"".join((line.encode("ascii"), self._head, b"Content-Length: %d\r\n\r\n" % len(body), body))

    async def _asked(self, line: str, body: bytes) -> Connection:
        """A connection on which the request was sent and the head of its answer came, after as many attempts as are allowed."""
        request = self._request(line, body)
        retries = self._target.retries
        times, seconds = retries.times, retries.seconds
        backoff = _FIRST_BACKOFF_S
        while True:
            try:
                connection = await self._asked_once(request)
                wait = None if times <= 0 else _wait_of(connection, backoff)
            except Unavailable:
                if times <= 0 or backoff > seconds:
                    raise
                connection, wait = None, backoff
            if connection is not None:
                if wait is None or wait > seconds:
                    return connection
                connection.close()
            times -= 1
            seconds -= wait or 0.0
            backoff = min(2 * backoff, _LONGEST_BACKOFF_S)
            await asyncio.sleep(wait or 0.0)

    async def _asked_once(self, request: bytes) -> Connection:
        """An idle connection may be closed by the server just as it is used: then the request goes out on a new one.

        That shows soon. A server that ends a connection later may have died of the request, which is not sent to it again.
        """
        idle = self._take_idle()
        if idle is not None:
            began = monotonic()
            try:
                return await self._sent(idle, request)
            except Broken as error:
                if error.begun or monotonic() - began > _STALE_S:
                    raise self._failed(error) from error
        fresh = await self._connect()
        try:
            return await self._sent(fresh, request)
        except Broken as error:
            raise self._failed(error) from error

    async def _sent(self, connection: Connection, request: bytes) -> Connection:
        """Raises Broken where the connection ends before the head of the answer is whole."""
        try:
            connection.send(request, self._target.patience.read_s)
            await connection.head()
        except TimeoutError:
            connection.close()
            raise self._silent() from None
        except BaseException:
            connection.close()
            raise
        return connection

    async def _connect(self) -> Connection:
        seconds = self._target.patience.connect_s
        try:
            async with asyncio.timeout(seconds):
                return await self._place.connect()
        except TimeoutError:
            msg = f"{self.server.title} cannot be reached within {seconds:g} seconds"
            raise Unavailable(msg) from None
        except OSError as error:
            msg = f"{self.server.title} cannot be reached: {why_not(error)}"
            raise Unavailable(msg) from error

    async def _read(self, connection: Connection) -> bytes:
        try:
            return await connection.read()
        except TimeoutError:
            raise self._silent() from None
        except Broken as error:
            raise self._failed(error) from error

    async def _body(self, connection: Connection, most: int) -> bytes:
        parts, size = [], 0
        while data := await self._read(connection):
            parts.append(data)
            size += len(data)
            if size > most:
                connection.close()
                break
        return b"".join(parts)

    def _failed(self, error: Broken) -> CutOff:
        return CutOff(f"{self.server.title} broke off: {error}")

    def _silent(self) -> ForwardFailed:
        return ForwardFailed(f"{self.server.title} was silent for {self._target.patience.read_s:g} seconds")

    def _take_idle(self) -> Connection | None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._drop_idle()
            self._loop = loop
        now = monotonic()
        while self._idle:
            until, connection = self._idle.pop()
            if until > now and connection.reusable:
                return connection
            connection.close()
        return None

    def _put_back(self, connection: Connection) -> None:
        """Keep a connection for later, or close it."""
        fits = not self._closed and self._loop is connection.loop and len(self._idle) < self._target.idle
        if not (fits and connection.whole and connection.reusable):
            connection.close()
            return
        now = monotonic()
        for until, old in self._idle[:1]:
            if until < now or not old.reusable:
                del self._idle[0]
                old.close()
        self._idle.append((now + min(self._target.idle_s, _kept_for(connection)), connection))

    def _drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        for _, connection in idle:
            with suppress(RuntimeError):  # a loop that is closed
                connection.loop.call_soon_threadsafe(connection.close)


def _place_of(target: Target) -> tuple[Place, str, str]:
    """Where the server listens, the path in front of each request's, and its name for the Host header."""
    try:
        parts = urlsplit(target.base_url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        msg = f"the address of {target.name or 'a server'} is no URL of http or https without a user, a query and a fragment"
        raise ConfigInvalid(msg)
    secure = parts.scheme == "https"
    tls = _trusting() if secure and not target.uds else None
    place = Place(parts.hostname, port or (443 if secure else 80), target.uds, tls, _proxy_of(target))
    return place, parts.path.rstrip("/"), parts.netloc


def _proxy_of(target: Target) -> Proxy | None:
    if not target.proxy:
        return None
    try:
        parts = urlsplit(target.proxy)
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port = None, 0
    if host is None or parts.scheme != "http":
        msg = "servers elsewhere are reached through a proxy of http://HOST:PORT only; name them in NO_PROXY otherwise"
        raise ConfigInvalid(msg)
    user = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}" if parts.username else ""
    return Proxy(host, port, b64encode(user.encode()).decode("ascii"))


def _trusting() -> ssl.SSLContext:
    """What the system trusts, and the authorities of the package certifi, for systems that have none."""
    context = ssl.create_default_context()
    with suppress(ImportError):
        import certifi  # noqa: PLC0415 - only where TLS is

        context.load_verify_locations(certifi.where())
    return context


def _head_of(target: Target, host: str) -> bytes:
    """The end of the request line and all headers but the body's length."""
    headers = {"Host": host, "User-Agent": "textmill", "Accept": "application/json, text/event-stream"}
    headers |= {"Accept-Encoding": "identity", "Content-Type": "application/json", **target.headers}
    if target.key:
        headers |= (
            {target.key_header: target.key}
            if target.key_header
            else {"Authorization": f"{target.key_scheme} {target.key}"}
        )
    if not target.idle:
        headers["Connection"] = "close"
    for name, value in headers.items():
        if not (name.isascii() and value.isascii() and name.isprintable() and value.isprintable()):
            what = (
                f"the key of {target.key_setting or 'a server'}"
                if name in ("Authorization", target.key_header)
                else f"the header {name!r}"
            )
            msg = f"{what} has signs that no header may have, such as the end of a line"
            raise ConfigInvalid(msg)
    lines = [" HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), ""]
    return "\r\n".join(lines).encode("ascii")


def _dumped(body: Mapping[str, Any]) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def _json(server: ServerName, body: bytes, path: str) -> Any:
    if not body.strip():
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        msg = f"{server.title} answered {path} with no JSON"
        raise ForwardFailed(msg) from None


def _event(server: ServerName, event: bytes) -> dict[str, Any]:
    """The object of an event; raises what it says where it is an error."""
    try:
        read = orjson.loads(event)
    except orjson.JSONDecodeError:
        msg = f"{server.title} sent an event that is no JSON"
        raise ForwardFailed(msg) from None
    if not isinstance(read, dict):
        msg = f"{server.title} sent an event that is no JSON object"
        raise ForwardFailed(msg)
    if read.get("error"):
        raise stream_error(server, read["error"])
    return read


def _wait_of(connection: Connection, backoff: float) -> float | None:
    """The seconds after which a request may go out again that was answered so; None where the answer is to be taken."""
    if connection.status not in (_OVERLOADED, _NOT_NOW) or connection.headers.get("x-should-retry") == "false":
        return None
    told = retry_after(connection.headers)
    return told if told is not None or connection.status == _NOT_NOW else backoff


def _kept_for(connection: Connection) -> float:
    """The seconds for which the server says that it keeps a connection, less a margin."""
    for part in connection.headers.get("keep-alive", "").split(","):
        name, _, value = part.partition("=")
        if name.strip().lower() == "timeout" and value.strip().isdigit():
            return max(0.0, float(value) - _MARGIN_S)
    return float("inf")
