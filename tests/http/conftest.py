from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from tests.http.live import serving

from textmill.http.app import create_app
from textmill.http.settings import HttpSettings
from textmill.telemetry import Telemetry
from textmill.testing.checkpoints import tiny_bert
from textmill.testing.heads import tiny_classifier, tiny_reranker, tiny_splade
from textmill.testing.installer import RecordingInstaller
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
def installer() -> RecordingInstaller:
    return RecordingInstaller()


@pytest.fixture
async def connect(
    model: RecordingModel, telemetry: Telemetry, settings: HttpSettings, installer: RecordingInstaller
) -> AsyncIterator[Connect]:
    """Makes clients of apps with these settings in place of the fixture's."""
    clients: list[httpx.AsyncClient] = []

    def client_of(**changes: Any) -> httpx.AsyncClient:
        app = create_app(RecordingStore(model), replace(settings, **changes), telemetry, installer=installer)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        clients.append(httpx.AsyncClient(transport=transport, base_url="http://server"))
        return clients[-1]

    yield client_of
    for client in clients:
        await client.aclose()


@pytest.fixture
def client(connect: Connect) -> httpx.AsyncClient:
    return connect()


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server with MiniLM, which is the default, and tiny models called classifier, reranker and splade."""
    folder = tmp_path_factory.mktemp("served")
    tiny = [tiny_classifier(folder / "classifier"), tiny_reranker(folder / "reranker"), tiny_splade(folder / "splade")]
    with serving("all-MiniLM-L6-v2", *map(str, tiny)) as client:
        yield client


@pytest.fixture(scope="session")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client with a key of a server of a tiny model that answers as TEI 1.6 does, takes four inputs, and cuts none by itself."""
    folder = tiny_bert(tmp_path_factory.mktemp("old") / "tiny", prompts={"query": "query: "})
    limits = ("--max-client-batch-size", "4", "--body-limit", "5000", "--max-concurrent-requests", "7")
    variables = {"TEXTMILL_AUTO_TRUNCATE": "false", "TEXTMILL_API_KEY": "key"}
    with serving(str(folder), "--tei-compat", "1.6", *limits, **variables) as client:
        client.headers["authorization"] = "Bearer key"
        yield client
