"""How many requests may be under way, and what becomes of the next one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx

from textmill.errors import Overloaded
from textmill.http.app import create_app
from textmill.http.settings import HttpSettings
from textmill.store.permits import Permits
from textmill.telemetry import Telemetry
from textmill.testing.served import RecordingModel, RecordingStore

Connect = Callable[..., httpx.AsyncClient]


async def until_held(model: RecordingModel, calls: int) -> None:
    for _ in range(1000):
        if len(model.calls) < calls:
            await asyncio.sleep(0)
    assert len(model.calls) == calls


async def test_the_request_beyond_the_limit_is_told_when_to_come_back(connect: Connect, model: RecordingModel) -> None:
    client = connect(max_concurrent_requests=2)
    model.hold = True
    busy = [asyncio.create_task(client.post("/embed", json={"inputs": "a"})) for _ in range(2)]
    await until_held(model, 2)

    tei = await client.post("/embed", json={"inputs": "a"})
    openai = await client.post("/v1/embeddings", json={"input": "a"})
    malformed = await client.post("/embed", content=b"{", headers={"content-type": "application/json"})

    assert [tei.status_code, openai.status_code] == [429, 429]
    assert tei.json()["error_type"] == "Overloaded"
    assert int(tei.headers["retry-after"]) >= 1
    assert int(openai.headers["retry-after"]) >= 1
    assert malformed.status_code == 400  # no place is needed to say so
    for path in ("/health", "/metrics", "/info", "/v1/models"):
        assert (await client.get(path)).status_code == 200

    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)
    model.hold = False
    assert (await client.post("/embed", json={"inputs": "a"})).status_code == 200


async def test_what_is_refused_anyway_needs_no_place(connect: Connect, model: RecordingModel) -> None:
    client = connect(max_concurrent_requests=1, max_inputs=2)
    model.hold = True
    busy = asyncio.create_task(client.post("/embed", json={"inputs": "a"}))
    await until_held(model, 1)

    refused: list[tuple[str, dict[str, object], int]] = [
        ("/embed", {"inputs": ["a", "b", "c"]}, 422),
        ("/embed", {"inputs": [1, "a"]}, 422),
        ("/embed", {"inputs": [""]}, 400),
        ("/predict", {"inputs": []}, 422),
        ("/rerank", {"query": "a", "texts": []}, 400),
        ("/v1/embeddings", {"input": ["a", "b", "c"]}, 400),
        ("/embed", {"inputs": "a"}, 429),
        ("/vertex", {"instances": [{"inputs": "a"}]}, 429),
    ]
    for path, body, status in refused:
        assert (await client.post(path, json=body)).status_code == status, (path, body)
    busy.cancel()
    await asyncio.gather(busy, return_exceptions=True)


async def test_a_request_of_many_instances_has_one_place(connect: Connect) -> None:
    client = connect(max_concurrent_requests=1)
    answer = await client.post("/vertex", json={"instances": [{"inputs": "a"}, {"inputs": ["b", "c"]}]})
    assert answer.status_code == 200
    assert [len(vectors) for vectors in answer.json()["predictions"]] == [1, 2]


async def test_a_request_that_failed_gives_its_place_back(connect: Connect, model: RecordingModel) -> None:
    client = connect(max_concurrent_requests=1)
    for error in (ZeroDivisionError(), Overloaded("full", retry_after=3.2), None):
        model.error = error
        answer = await client.post("/embed", json={"inputs": "a"})
    assert answer.status_code == 200


async def test_by_default_requests_are_not_counted(client: httpx.AsyncClient, model: RecordingModel) -> None:
    model.hold = True
    busy = [asyncio.create_task(client.post("/embed", json={"inputs": "a"})) for _ in range(50)]
    await until_held(model, 50)
    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)


async def test_overload_of_the_engine_says_in_whole_seconds_when_to_come_back(
    client: httpx.AsyncClient, model: RecordingModel
) -> None:
    model.error = Overloaded("too much work waits", retry_after=3.2)
    for path in ("/embed", "/v1/embeddings"):
        answer = await client.post(path, json={"input": "a", "inputs": "a"})
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "4")


async def test_a_request_whose_body_is_on_its_way_when_the_drain_begins_is_answered_and_a_later_one_is_not(
    model: RecordingModel, settings: HttpSettings, telemetry: Telemetry
) -> None:
    permits = Permits()
    app = create_app(RecordingStore(model), settings, telemetry, permits)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'{"inputs":'
        begun.set()
        await go_on.wait()
        yield b'"a"}'

    # httpx reads a body before it calls the app; the app must see it come.
    early = asyncio.create_task(post(app, body()))
    await asyncio.wait_for(begun.wait(), 10)
    assert permits.under_way == 1
    permits.drain()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        late = await client.post("/embed", json={"inputs": "a"})
    go_on.set()

    assert (late.status_code, late.json()["error_type"]) == (503, "Unhealthy")
    assert await early == 200
    await asyncio.wait_for(permits.wait_until_idle(), 10)
    assert permits.under_way == 0


async def post(app: Callable[..., object], body: AsyncIterator[bytes]) -> int:
    """POST /embed with a body in pieces; the status."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/embed",
        "headers": [(b"content-type", b"application/json")],
        "query_string": b"",
        "root_path": "",
    }
    status = 0

    async def receive() -> dict[str, object]:
        piece = await anext(body, None)
        if piece is None:
            await asyncio.Event().wait()  # nobody leaves
        return {"type": "http.request", "body": piece, "more_body": piece != b'"a"}'}

    async def send(message: dict[str, int]) -> None:
        nonlocal status
        status = message.get("status", status)

    await app(scope, receive, send)  # type: ignore[misc]
    return status
