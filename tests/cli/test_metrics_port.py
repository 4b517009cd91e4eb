from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest

from textmill.cli.door import bind, listen
from textmill.cli.metrics_port import serving
from textmill.cli.observing import observing
from textmill.config import ServeOptions
from textmill.errors import ConfigInvalid


@pytest.fixture
def url() -> Iterator[str]:
    with bind("127.0.0.1", 0) as door, serving(door, lambda: (b"some 1\n", "text/plain; version=x")):
        yield f"http://127.0.0.1:{door.getsockname()[1]}"


@pytest.mark.parametrize("path", ["/metrics", "/metrics?name=te_queue_size", "/"])
def test_it_serves_the_metrics(url: str, path: str) -> None:
    answer = httpx.get(url + path)
    assert (answer.status_code, answer.text) == (200, "some 1\n")
    assert answer.headers["content-type"] == "text/plain; version=x"


def test_it_is_healthy(url: str) -> None:
    answer = httpx.get(f"{url}/health")
    assert (answer.status_code, answer.text) == (200, "OK")


def test_it_serves_nothing_else(url: str) -> None:
    assert httpx.get(f"{url}/embed").status_code == 404
    assert httpx.post(f"{url}/metrics").is_error


def test_a_client_that_says_nothing_keeps_nobody_waiting(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))):
        assert httpx.get(f"{url}/metrics").status_code == 200


def test_the_port_is_free_afterwards_and_models_are_loading_until_then() -> None:
    with bind("127.0.0.1", 0) as door:
        port = door.getsockname()[1]
    with observing(ServeOptions(prometheus_port=port, models=("mine",))):
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        assert 'textmill_model_state{model="mine",state="loading"} 1' in text
        assert "te_queue_size 0" in text
    with bind("127.0.0.1", port) as door:
        listen(door)


def test_a_taken_port_is_named_by_its_flag() -> None:
    with bind("127.0.0.1", 0) as taken:
        listen(taken)
        options = ServeOptions(prometheus_port=taken.getsockname()[1])
        with pytest.raises(ConfigInvalid, match="--prometheus-port"), observing(options):
            pass
