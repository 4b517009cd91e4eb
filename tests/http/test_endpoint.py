from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.types import Message, Scope

from textmill.http.app import create_app
from textmill.http.endpoint import while_connected
from textmill.http.settings import HttpSettings
from textmill.telemetry import Telemetry
from textmill.testing.served import RecordingModel, RecordingStore


def scope_of(path: str) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [(b"host", b"server"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }


class Wire:
    """A connection by hand: what the client sends, in order, and what the server sent."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.sent: list[Message] = []
        self.receive: Callable[[], Awaitable[Message]] = self.incoming.get

    def body(self, body: bytes, *, more: bool = False) -> None:
        self.incoming.put_nowait({"type": "http.request", "body": body, "more_body": more})

    def leave(self) -> None:
        self.incoming.put_nowait({"type": "http.disconnect"})

    async def send(self, message: Message) -> None:
        self.sent.append(message)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def app(model: RecordingModel, settings: HttpSettings, telemetry: Telemetry) -> Any:
    return create_app(RecordingStore(model), settings, telemetry)


async def test_a_client_that_leaves_withdraws_its_work(
    app: Any, wire: Wire, model: RecordingModel, telemetry: Telemetry
) -> None:
    model.hold = True
    wire.body(b'{"inputs":"a"}')
    request = asyncio.create_task(app(scope_of("/embed"), wire.receive, wire.send))
    await model.held.wait()
    wire.leave()
    await request
    assert model.withdrawn.is_set()
    assert wire.sent == []
    assert b'status="499"' in telemetry.render()[0]
    assert b'te_request_failure{err="dropped"} 1\n' in telemetry.render()[0]


async def test_a_client_that_leaves_while_it_sends_never_reaches_the_model(
    app: Any, wire: Wire, model: RecordingModel
) -> None:
    wire.body(b'{"inputs":', more=True)
    wire.leave()
    await app(scope_of("/embed"), wire.receive, wire.send)
    assert model.calls == []
    assert wire.sent == []


async def test_a_server_that_cancels_a_request_withdraws_its_work(app: Any, wire: Wire, model: RecordingModel) -> None:
    model.hold = True
    wire.body(b'{"inputs":"a"}')
    request = asyncio.create_task(app(scope_of("/embed"), wire.receive, wire.send))
    await model.held.wait()
    request.cancel()
    await request
    assert model.withdrawn.is_set()
    assert wire.sent[0]["status"] == 503


async def test_an_answer_that_is_ready_at_once_is_sent_whether_or_not_the_client_left(app: Any, wire: Wire) -> None:
    wire.body(b'{"inputs":"a"}')
    wire.leave()
    await app(scope_of("/embed"), wire.receive, wire.send)
    assert [message["type"] for message in wire.sent] == ["http.response.start", "http.response.body"]


async def test_leaving_in_the_same_turn_of_the_loop_as_the_answer_disturbs_nothing(wire: Wire) -> None:
    wire.leave()
    answer = await while_connected(wire.receive, asyncio.sleep(0, "answer"))
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)
    assert task.cancelling() == 0
    assert answer == "answer"


async def test_a_request_leaves_no_task_behind(app: Any, wire: Wire) -> None:
    before = asyncio.all_tasks()
    wire.body(b'{"inputs":"a"}')
    await app(scope_of("/embed"), wire.receive, wire.send)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert wire.sent[0]["status"] == 200


@pytest.mark.parametrize("body", [b'{"input": "a"}', b'{"inp'])
async def test_a_request_that_the_server_gives_up_on_is_told_so_in_its_dialect(
    app: Any, model: RecordingModel, wire: Wire, body: bytes
) -> None:
    model.hold = True
    wire.body(body, more=body == b'{"inp')
    request = asyncio.create_task(app(scope_of("/v1/embeddings"), wire.receive, wire.send))
    await asyncio.sleep(0.01)
    request.cancel()
    await request
    assert wire.sent[0]["status"] == 503
    assert b"shutting down" in wire.sent[1]["body"]
