"""One connection: requests one after the other, silence, ends, and servers that do not speak HTTP."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from textmill.providers.http_connection import Broken, Connection, Place, why_not

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def talking(folder: Path, talk: Talk) -> AsyncIterator[Connection]:
    """A connection to a server that says what it likes."""
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()
            done.set()

    server = await asyncio.start_unix_server(serve, folder / "s")
    connection = await Place("", 0, str(folder / "s")).connect()
    try:
        yield connection
    finally:
        connection.close()
        server.close()
        await asyncio.wait_for(done.wait(), 5)
        await asyncio.sleep(0)


async def asked(reader: asyncio.StreamReader) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def body_of(connection: Connection) -> bytes:
    await connection.head()
    parts = []
    while data := await connection.read():
        parts.append(data)
    return b"".join(parts)


async def test_what_is_left_of_an_answer_does_not_reach_into_the_next_request(tmp_path: Path) -> None:
    """Neither its bytes, nor the time that it was given to end."""
    more = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await more.wait()
        writer.write(b"4\r\nrest\r\n0\r\n\r\n")
        await asked(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo")
        await writer.drain()

    async with talking(tmp_path, talk) as connection:
        connection.send(REQUEST, 5)
        await connection.head()
        assert await connection.read() == b"one"
        free = asyncio.Event()
        connection.when_whole(free.set, 60)
        more.set()
        await free.wait()
        assert connection.reusable
        assert connection._end_timer is None
        connection.send(REQUEST, 5)
        assert await body_of(connection) == b"two"


async def test_an_answer_that_does_not_end_in_time_closes_the_connection(tmp_path: Path) -> None:
    left = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await reader.read()
        left.set()

    async with talking(tmp_path, talk) as connection:
        connection.send(REQUEST, 5)
        await connection.head()
        connection.when_whole(lambda: None, 0.05)
        await asyncio.wait_for(left.wait(), 5)
        assert not connection.reusable


async def test_silence_is_counted_for_readers_that_come_late(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        await reader.read()

    async with talking(tmp_path, talk) as connection:
        connection.send(REQUEST, 0.05)
        await connection.head()
        await asyncio.sleep(0.2)
        reading = asyncio.create_task(connection.read())
        done, _ = await asyncio.wait([reading], timeout=5)
        assert [type(each.exception()) for each in done] == [TimeoutError]


@pytest.mark.parametrize(
    "said",
    [
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000,
        b"HTTP/1.1 200 OK\r\n",
        b"",
    ],
)
async def test_what_is_no_http_breaks_it(said: bytes, tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(said)
        await writer.drain()

    async with talking(tmp_path, talk) as connection:
        connection.send(REQUEST, 5)
        with pytest.raises(Broken) as broken:
            await body_of(connection)
        assert broken.value.begun == bool(said)
        assert not connection.reusable


@pytest.mark.parametrize("framed", [b"Content-Length: 200000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n30d40\r\n"])
@pytest.mark.parametrize("head_bytes", [100, 60_000])
async def test_a_body_that_comes_with_its_head_is_no_head(framed: bytes, head_bytes: int) -> None:
    """However much of it one read has."""
    connection = Connection()
    connection.connection_made(asyncio.Transport())
    head = b"HTTP/1.1 200 OK\r\nX: " + b"a" * head_bytes + b"\r\n" + framed
    end = b"\r\n0\r\n\r\n" if b"chunked" in framed else b""
    connection.data_received(head + b"b" * 200_000 + end)
    await connection.head()
    assert await connection.read() == b"b" * 200_000
    assert connection.whole


async def test_what_comes_before_an_answer_is_passed_over(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(b"HTTP/1.1 100 Continue\r\nX: old\r\n\r\nHTTP/1.1 201 Made\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()

    async with talking(tmp_path, talk) as connection:
        connection.send(REQUEST, 5)
        assert await body_of(connection) == b"ok"
        assert (connection.status, connection.headers) == (201, {"content-length": "2"})


async def test_a_server_that_speaks_unasked_loses_the_connection(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await go.wait()
        writer.write(b"HTTP/1.1 408 Too late\r\n\r\n")
        await reader.read()

    async with talking(tmp_path, talk) as connection:
        connection.send(REQUEST, 5)
        assert await body_of(connection) == b"ok"
        assert connection.reusable
        go.set()
        while connection.reusable:  # noqa: ASYNC110 - the loop's own business
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"]
)
async def test_a_connection_that_ends_is_not_used_again(head: bytes, tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked(reader)
        writer.write(head + b"ok")
        await writer.drain()

    async with talking(tmp_path, talk) as connection:
        connection.send(REQUEST, 5)
        assert await body_of(connection) == b"ok"
        assert not connection.reusable
        assert connection.framed == (b"Length" in head)


REFUSED = "it refuses the connection; does it run, and listen at that address?"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)"), REFUSED),
        (
            OSError(f"Multiple exceptions: [Errno {errno.ECONNREFUSED}] Connect call failed ('::1', 1), [Errno 9] x"),
            REFUSED,
        ),
        (OSError(errno.EHOSTUNREACH, "Connect call failed ('10.0.0.1', 1)"), "there is no route to its host"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "the name of its host is unknown"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "the name of its host cannot be looked up now"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong"), "it does not speak TLS as expected"),
        (OSError(errno.EMFILE, "Connect call failed"), "Too many open files"),
        (OSError("the proxy answered 407"), "the proxy answered 407"),
        (OSError(), "OSError"),
    ],
)
def test_why_there_is_no_connection_is_said_in_words(error: OSError, says: str) -> None:
    assert why_not(error).startswith(says)
