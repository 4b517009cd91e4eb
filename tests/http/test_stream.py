from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from starlette.types import Message

from textmill.contract import Piece
from textmill.http.answer import Answer, Streamed
from textmill.http.app import create_app
from textmill.http.framing import LINES
from textmill.http.settings import HttpSettings
from textmill.http.stream import respond
from textmill.store.permits import Permits
from textmill.telemetry import Telemetry
from textmill.testing.served import RecordingModel, RecordingStore


class Client:
    """What a client has been sent."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.heard = asyncio.Condition()

    async def send(self, message: Message) -> None:
        async with self.heard:
            self.messages.append(message)
            self.heard.notify_all()

    @property
    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.messages).decode()

    async def until(self, holds: Callable[[str], bool]) -> None:
        async with self.heard:
            await self.heard.wait_for(lambda: holds(self.text))


def refuse(error: Exception) -> Answer:
    return Answer(json.dumps({"error": str(error) or type(error).__name__}).encode())


async def silent(*then: bytes, go: asyncio.Event, before: bytes = b"") -> AsyncGenerator[bytes]:
    if before:
        yield before
    await go.wait()
    for each in then:
        yield each


async def test_a_silent_stream_says_that_it_lives() -> None:
    client, go = Client(), asyncio.Event()
    events = silent(b"data: a\n\n", go=go)
    answering = asyncio.create_task(respond(Streamed(events), refuse, {}, client.send, first_s=0.001, quiet_s=0.001))
    await client.until(lambda text: text.count(": ") >= 3)
    assert client.messages[0]["status"] == 200
    go.set()
    assert await answering is None
    assert client.text.endswith("data: a\n\ndata: [DONE]\n\n")
    assert client.messages[-1] == {"type": "http.response.body", "body": b""}


async def test_an_error_behind_a_comment_is_an_event() -> None:
    client, go, scope = Client(), asyncio.Event(), dict[str, Any]()

    async def events() -> AsyncGenerator[bytes]:
        await go.wait()
        raise LookupError
        yield b""

    answering = asyncio.create_task(respond(Streamed(events()), refuse, scope, client.send, first_s=0.001))
    await client.until(lambda text: ":" in text)
    go.set()
    assert isinstance(await answering, LookupError)
    assert client.text.endswith('data: {"error": "LookupError"}\n\ndata: [DONE]\n\n')
    assert scope["textmill.begun"]


async def test_lines_stay_lines_where_the_stream_is_silent_and_where_it_fails() -> None:
    client, go = Client(), asyncio.Event()

    async def lines() -> AsyncGenerator[bytes]:
        await go.wait()
        yield LINES.frame(b'{"a":1}')
        raise LookupError

    answering = asyncio.create_task(
        respond(Streamed(lines(), LINES), refuse, {}, client.send, first_s=0.001, quiet_s=0.001)
    )
    await client.until(lambda text: len(text) >= 3)
    go.set()
    assert isinstance(await answering, LookupError)
    assert (b"content-type", b"application/x-ndjson") in client.messages[0]["headers"]
    assert client.text.startswith("   ")
    assert client.text.endswith("\n")
    assert [json.loads(line) for line in client.text.splitlines()] == [{"a": 1}, {"error": "LookupError"}]


async def test_an_error_before_anything_passes_through() -> None:
    client = Client()

    async def events() -> AsyncGenerator[bytes]:
        raise LookupError
        yield b""

    with pytest.raises(LookupError):
        await respond(Streamed(events()), refuse, {}, client.send)
    assert client.messages == []


async def test_a_stream_that_is_cut_off_says_so_and_closes_its_events() -> None:
    client, closed = Client(), asyncio.Event()

    async def events() -> AsyncGenerator[bytes]:
        try:
            yield b"data: a\n\n"
            await asyncio.Event().wait()
        finally:
            closed.set()

    answering = asyncio.create_task(respond(Streamed(events()), refuse, {}, client.send))
    await client.until(lambda text: "data: a" in text)
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    assert closed.is_set()
    assert "shutting down" in client.text
    assert client.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("route", ["/v1/chat/completions", "/api/chat"])
async def test_a_client_that_leaves_stops_its_model(
    route: str,
    stream: bool,  # noqa: FBT001 - a case
    settings: HttpSettings,
    telemetry: Telemetry,
) -> None:
    model = RecordingModel()
    model.script = (Piece(text="a"), asyncio.Event())
    store = RecordingStore(model)
    permits = Permits()
    app = create_app(store, settings, telemetry, permits)
    body = json.dumps({"messages": [{"role": "user", "content": "x"}], "stream": stream}).encode()
    scope = scope_of(route)
    gone = asyncio.Event()
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body}
        await gone.wait()
        return {"type": "http.disconnect"}

    client = Client()
    answering = asyncio.create_task(app(scope, receive, client.send))
    await model.waits.wait()
    assert (store.leases, permits.under_way) == (1, 1)
    gone.set()
    await answering
    assert model.closed.is_set()
    assert (store.leases, permits.under_way) == (0, 0)
    told, _ = telemetry.render()
    assert f'route="{route}",status="499"}} 1'.encode() in told


async def test_a_stream_ends_with_a_drain(settings: HttpSettings, telemetry: Telemetry) -> None:
    """A drain that has reached its deadline cancels the task of a request, as uvicorn does."""
    model = RecordingModel()
    model.script = (Piece(text="a"), asyncio.Event())
    app = create_app(RecordingStore(model), settings, telemetry)
    body = json.dumps({"messages": [{"role": "user", "content": "x"}], "stream": True}).encode()
    given = iter([{"type": "http.request", "body": body}])

    async def receive() -> Message:
        if (message := next(given, None)) is not None:
            return message
        await asyncio.Event().wait()
        raise AssertionError

    client = Client()
    answering = asyncio.create_task(app(scope_of("/v1/chat/completions"), receive, client.send))
    await model.waits.wait()
    answering.cancel()
    await asyncio.wait([answering])
    assert "shutting down" in client.text
    assert client.text.endswith("data: [DONE]\n\n")
    assert answering.exception() is None


def scope_of(path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "server": ("server", 80),
        "client": ("client", 1),
        "scheme": "http",
        "http_version": "1.1",
    }
