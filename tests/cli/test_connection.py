"""Slow and endless clients, on a raw socket, with a patience of tenths of a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from textmill.cli.connection import HEAD_LIMIT, Connection, Patience
from textmill.store.permits import Permits

PATIENCE_S = 10.0
SHORT_S = 0.3
HEAD = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\n"

Knock = Callable[[], Awaitable["Client"]]


@dataclass
class Client:
    """A connection; what it sends is up to the test."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE_S)

    async def rest(self) -> bytes:
        """What comes until the server closes."""
        return await asyncio.wait_for(self.reader.read(), PATIENCE_S)


@dataclass
class Served:
    """The app: it answers a body with its length; ``bodies`` has what it got, None where the client was gone before the end.

    A path of /slow is not answered before ``go_on`` is set, one of /early before its body has come.
    """

    bodies: list[bytes | None] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        more = scope["path"] != "/early"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.bodies.append(None)
                self.ended.set()
                return
            body += message["body"]
            more = message["more_body"]
        self.bodies.append(body)
        if scope["path"] == "/slow":
            await self.go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
        self.ended.set()


@pytest.fixture
def served() -> Served:
    return Served()


@pytest.fixture
def permits() -> Permits:
    return Permits()


@pytest.fixture
async def knock(served: Served, permits: Permits) -> AsyncIterator[Knock]:
    async with door(served, permits, Patience(head_s=SHORT_S, body_s=SHORT_S)) as connect:
        yield connect


@asynccontextmanager
async def door(served: Served, permits: Permits, patience: Patience) -> AsyncIterator[Knock]:
    config = uvicorn.Config(served, ws="none", lifespan="off", log_config=None)
    config.load()
    state = ServerState()

    def protocol() -> Connection:
        return Connection(permits=permits, patience=patience, config=config, server_state=state, app_state={})

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    clients: list[Client] = []

    async def connect() -> Client:
        clients.append(Client(*await asyncio.open_connection("127.0.0.1", port)))
        return clients[-1]

    yield connect
    for client in clients:
        client.writer.close()
    server.close()
    await server.wait_closed()


async def test_a_head_that_is_never_finished_is_408(knock: Knock, served: Served) -> None:
    client = await knock()
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\nx-slow: ")
    assert (await client.rest()).startswith(TIMEOUT)
    assert served.bodies == []


async def test_a_head_that_drips_has_no_more_time_than_one_that_stops(knock: Knock) -> None:
    client = await knock()
    client.send(b"POST / HTTP/1.1\r\n")

    async def drip() -> None:
        while not client.writer.is_closing():
            client.send(b"x: y\r\n")
            await asyncio.sleep(SHORT_S / 10)

    dripping = asyncio.create_task(drip())
    try:
        assert (await client.rest()).startswith(TIMEOUT)
    except ConnectionResetError:
        pass  # it sent something after the server had closed
    finally:
        dripping.cancel()


@pytest.mark.parametrize("data", [b"", b"\r\n"], ids=["nothing", "an empty line"])
async def test_who_asks_for_nothing_is_sent_away_without_a_word(data: bytes, knock: Knock) -> None:
    client = await knock()
    client.send(data)
    assert await client.rest() == b""


async def test_empty_lines_between_requests_do_not_hold_a_connection(knock: Knock) -> None:
    client = await knock()
    client.send(HEAD + b"body")
    assert (await client.head()).startswith(OK)
    client.send(b"\r\n")
    assert await client.rest() == b""


async def test_a_body_that_stalls_is_408_and_the_app_is_told(knock: Knock, served: Served) -> None:
    client = await knock()
    client.send(HEAD + b"bo")
    assert (await client.rest()).startswith(TIMEOUT)
    await asyncio.wait_for(served.ended.wait(), PATIENCE_S)
    assert served.bodies == [None]


async def test_a_body_that_never_begins_is_408(knock: Knock) -> None:
    client = await knock()
    client.send(HEAD)
    assert (await client.rest()).startswith(TIMEOUT)


async def test_a_body_that_stalls_behind_its_answer_gets_no_second_one(knock: Knock) -> None:
    client = await knock()
    client.send(HEAD.replace(b"/", b"/early", 1))
    assert (await client.head()).startswith(OK)
    assert await client.rest() == b""


async def test_a_body_that_keeps_coming_may_take_longer_than_one_pause(knock: Knock, served: Served) -> None:
    client = await knock()
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 12\r\n\r\n")
    for _ in range(12):
        await asyncio.sleep(SHORT_S / 6)
        client.send(b"x")
    assert (await client.head()).startswith(OK)
    assert served.bodies == [b"x" * 12]


async def test_a_slow_answer_is_waited_for(knock: Knock, served: Served) -> None:
    client = await knock()
    client.send(HEAD.replace(b"/", b"/slow", 1) + b"body")
    await asyncio.sleep(2 * SHORT_S)
    served.go_on.set()
    assert (await client.head()).startswith(OK)


async def test_the_next_request_on_a_connection_has_the_whole_time_again(knock: Knock, served: Served) -> None:
    client = await knock()
    for _ in range(3):
        client.send(HEAD[:20])
        await asyncio.sleep(SHORT_S / 2)
        client.send(HEAD[20:] + b"body")
        assert (await client.head()).startswith(OK)
    await asyncio.sleep(2 * SHORT_S)  # idle connections have uvicorn's time
    client.send(HEAD + b"body")
    assert (await client.head()).startswith(OK)
    assert served.bodies == [b"body"] * 4


async def test_a_head_behind_a_request_under_way_costs_the_connection_but_says_nothing_in_its_answer(
    knock: Knock, served: Served
) -> None:
    client = await knock()
    client.send(HEAD.replace(b"/", b"/slow", 1) + b"body" + HEAD[:20])
    assert await client.rest() == b""
    served.go_on.set()


async def test_a_head_without_end_is_431(served: Served, permits: Permits) -> None:
    async with door(served, permits, Patience()) as knock:
        client = await knock()
        client.send(b"POST / HTTP/1.1\r\n" + b"x: y\r\n" * (HEAD_LIMIT // 6 + 1))
        assert (await client.head()).startswith(b"HTTP/1.1 431 ")


async def test_while_the_process_drains_each_answer_closes_its_connection(
    knock: Knock, served: Served, permits: Permits
) -> None:
    kept, new = await knock(), await knock()
    kept.send(HEAD + b"body")
    assert b"connection: close" not in await kept.head()
    permits.drain()
    for client in (kept, new):
        client.send(HEAD + b"body")
        answer = await client.rest()
        assert answer.startswith(OK)
        assert b"connection: close\r\n" in answer
    assert served.bodies == [b"body"] * 3
