from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from textmill.http.app import create_app
from textmill.http.settings import HttpSettings
from textmill.telemetry import Telemetry
from textmill.testing.served import RecordingModel, RecordingStore

Connect = Callable[..., httpx.AsyncClient]


@pytest.fixture
def model() -> RecordingModel:
    return RecordingModel()


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
def settings() -> HttpSettings:
    return HttpSettings(api_keys=(), cors_origins=(), body_limit=1 << 20, drain_s=1.0, version="0.0.0")


@pytest.fixture
async def connect(model: RecordingModel, telemetry: Telemetry, settings: HttpSettings) -> AsyncIterator[Connect]:
    """Makes clients of apps with these settings in place of the fixture's."""
    clients: list[httpx.AsyncClient] = []

    def client_of(**changes: Any) -> httpx.AsyncClient:
        app = create_app(RecordingStore(model), replace(settings, **changes), telemetry)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        clients.append(httpx.AsyncClient(transport=transport, base_url="http://server"))
        return clients[-1]

    yield client_of
    for client in clients:
        await client.aclose()


@pytest.fixture
def client(connect: Connect) -> httpx.AsyncClient:
    return connect()
