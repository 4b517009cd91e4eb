from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from textmill.http.app import create_app
from textmill.http.settings import HttpSettings
from textmill.store.permits import Permits
from textmill.telemetry import Telemetry
from textmill.testing.served import RecordingModel, RecordingStore

PATHS = ("/health", "/health/ready", "/health/live")


@pytest.fixture
def permits() -> Permits:
    return Permits(1)


@pytest.fixture
async def watched(
    model: RecordingModel, settings: HttpSettings, telemetry: Telemetry, permits: Permits
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app whose permits the test holds."""
    transport = httpx.ASGITransport(create_app(RecordingStore(model), settings, telemetry, permits))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        yield client


async def statuses(client: httpx.AsyncClient) -> list[int]:
    return [(await client.get(path)).status_code for path in PATHS]


async def test_a_server_at_work_is_ready_and_alive(watched: httpx.AsyncClient) -> None:
    assert await statuses(watched) == [200, 200, 200]
    for path in PATHS:
        assert (await watched.get(path)).content == b""
        assert (await watched.head(path)).status_code == 200


async def test_a_dead_engine_is_neither_ready_nor_alive(watched: httpx.AsyncClient, model: RecordingModel) -> None:
    model.ready = False
    assert await statuses(watched) == [503, 503, 503]
    assert (await watched.get("/health")).json()["error_type"] == "Unhealthy"


async def test_a_server_that_drains_is_alive_but_not_ready(
    watched: httpx.AsyncClient, model: RecordingModel, permits: Permits
) -> None:
    permits.drain()
    assert await statuses(watched) == [503, 503, 200]
    model.ready = False  # its models close before it ends
    assert await statuses(watched) == [503, 503, 200]


async def test_probes_and_metrics_do_not_wait_for_requests(
    watched: httpx.AsyncClient, model: RecordingModel, permits: Permits
) -> None:
    model.hold = True
    busy = asyncio.create_task(watched.post("/embed", json={"inputs": "a"}))
    await model.held.wait()
    assert await statuses(watched) == [200, 200, 200]
    permits.drain()
    assert await statuses(watched) == [503, 503, 200]
    assert (await watched.get("/metrics")).status_code == 200
    busy.cancel()
    await asyncio.gather(busy, return_exceptions=True)
