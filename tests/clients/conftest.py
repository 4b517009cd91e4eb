from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from textmill.http.app import create_app
from textmill.http.settings import HttpSettings
from textmill.telemetry import Telemetry
from textmill.testing.served import RecordingModel, RecordingStore

PATIENCE_S = 10.0


@pytest.fixture
def model() -> RecordingModel:
    return RecordingModel()


@pytest.fixture
def url(model: RecordingModel) -> Iterator[str]:
    """Of a server in a thread, on a real port, whose model answers at once."""
    settings = HttpSettings(api_keys=("key",), cors_origins=(), body_limit=1 << 20, drain_s=1.0, version="0.0.0")
    app = create_app(RecordingStore(model), settings, Telemetry())
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    end = time.monotonic() + PATIENCE_S
    while not server.started:
        assert time.monotonic() < end, "the server did not start"
        time.sleep(0.005)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(PATIENCE_S)
