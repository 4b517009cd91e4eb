from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace

import httpx
import pytest

from textmill.errors import ConfigInvalid
from textmill.http.app import create_app
from textmill.http.settings import HttpSettings
from textmill.telemetry import Telemetry
from textmill.testing.served import RecordingModel, RecordingStore

Connect = Callable[..., httpx.AsyncClient]

JSON = {"content-type": "application/json"}
SECRET = "correct-horse"  # noqa: S105 - a key for tests only


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        ("/v1/nothing", "code", 404),
        ("/v1", "code", 404),
        ("/v1nothing", "error_type", "NotFound"),
        ("/nothing", "error_type", "NotFound"),
    ],
)
async def test_an_unknown_path_is_404_in_the_paths_dialect(
    path: str, key: str, value: object, client: httpx.AsyncClient
) -> None:
    answer = await client.post(path, json={})
    assert answer.status_code == 404
    assert answer.json()[key] == value
    assert path in answer.text


@pytest.mark.parametrize("path", ["//embed", "/m/tiny//embed", "//m/tiny/embed", "//", "/m/tiny//", "//models/tiny"])
async def test_a_slash_too_many_is_none(path: str, client: httpx.AsyncClient, model: RecordingModel) -> None:
    """As clients send it whose base URL ends in one."""
    assert (await client.post(f"http://server{path}", json={"inputs": "a"})).status_code == 200
    assert model.calls[0][0] == ["a"]


@pytest.mark.parametrize("path", ["//nothing", "/models//tiny", "/m/tiny//nothing"])
async def test_other_paths_with_two_slashes_are_as_they_are(path: str, client: httpx.AsyncClient) -> None:
    answer = await client.post(f"http://server{path}", json={"inputs": "a"})
    assert answer.status_code == 404


async def test_a_wrong_method_says_which_are_allowed(client: httpx.AsyncClient) -> None:
    openai = await client.get("/v1/embeddings")
    assert (openai.status_code, openai.headers["allow"]) == (405, "POST")
    assert openai.json()["error"]["code"] == "method_not_allowed"
    tei = await client.post("/info")
    assert (tei.status_code, tei.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {SECRET}"},
        {"authorization": f"bearer {SECRET}"},
        {"authorization": SECRET},
        {"api-key": SECRET},
        {"x-api-key": SECRET},
        {"xi-api-key": SECRET},
        {"cookie": f"theme=dark; token={SECRET}; other=1"},
        {"authorization": "Bearer other", "api-key": SECRET},
    ],
)
async def test_every_key_opens_in_every_form(headers: Mapping[str, str], connect: Connect) -> None:
    for keys in ((SECRET,), ("first", SECRET)):
        client = connect(api_keys=keys)
        assert (await client.post("/embed", json={"inputs": "a"}, headers=dict(headers))).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer "},
        {"api-key": ""},
        {"cookie": f"tokens={SECRET}; token="},
    ],
)
async def test_a_wrong_key_opens_nothing_that_is_protected(
    headers: Mapping[str, str], connect: Connect, model: RecordingModel
) -> None:
    client = connect(api_keys=(SECRET,))
    tei = await client.post("/embed", json={"inputs": "a"}, headers=dict(headers))
    assert (tei.status_code, tei.content, tei.headers["www-authenticate"]) == (401, b"", "Bearer")
    openai = await client.post("/v1/embeddings", json={"input": "a"}, headers=dict(headers))
    assert (openai.status_code, openai.json()["error"]["code"]) == (401, "invalid_api_key")
    for path in ("/info", "/v1/models"):
        assert (await client.get(path, headers=dict(headers))).status_code == 401
    assert model.calls == []


@pytest.mark.parametrize("path", ["/health", "/metrics", "/docs", "/openapi.json", "/api-doc/openapi.json"])
async def test_health_metrics_and_documentation_need_no_key(path: str, connect: Connect) -> None:
    client = connect(api_keys=(SECRET,))
    assert (await client.get(path)).status_code == 200
    assert (await client.head(path)).status_code == 200


def test_an_empty_key_is_refused_at_the_start(connect: Connect) -> None:
    with pytest.raises(ConfigInvalid, match="empty"):
        connect(api_keys=("",))


async def test_keys_are_in_no_log_and_no_repr(
    connect: Connect, settings: HttpSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        await connect(api_keys=(SECRET,)).post("/embed", headers={"authorization": "Bearer nearly-" + SECRET})
    assert SECRET not in caplog.text
    assert SECRET not in repr(replace(settings, api_keys=(SECRET,)))


async def test_a_body_over_the_limit_is_413_with_and_without_a_length(connect: Connect) -> None:
    client = connect(body_limit=100)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 10

    announced = await client.post("/embed", content=b" " * 101, headers=JSON)
    chunked = await client.post("/embed", content=chunks(), headers=JSON)
    openai = await client.post("/v1/embeddings", content=b" " * 101)
    assert [announced.status_code, chunked.status_code, openai.status_code] == [413, 413, 413]
    assert openai.json()["error"]["code"] == "body_too_large"
    assert (await client.post("/embed", content=b'{"inputs":"a"}'.ljust(100), headers=JSON)).status_code == 200


async def test_a_body_may_come_in_pieces(client: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"inputs":'
        yield b'"a"}'

    assert (await client.post("/embed", content=pieces(), headers=JSON)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embed"])
async def test_a_bug_is_500_without_internals_and_raised_for_the_servers_log(
    path: str, client: httpx.AsyncClient, model: RecordingModel, settings: HttpSettings
) -> None:
    model.error = ZeroDivisionError("secret internals")
    answer = await client.post(path, json={"input": "a", "inputs": "a"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "error" in answer.json()
    strict = httpx.ASGITransport(create_app(RecordingStore(model), settings, Telemetry()))
    async with httpx.AsyncClient(transport=strict, base_url="http://server") as watcher:
        with pytest.raises(ZeroDivisionError):
            await watcher.post(path, json={"input": "a", "inputs": "a"})
    model.error = None
    assert (await client.post(path, json={"input": "a", "inputs": "a"})).status_code == 200


async def test_shutting_down_closes_the_store_with_the_deadline(model: RecordingModel, settings: HttpSettings) -> None:
    store = RecordingStore(model)
    app = create_app(store, replace(settings, drain_s=7.0), Telemetry())
    async with app.router.lifespan_context(app):
        assert store.closed_with is None
    assert store.closed_with == 7.0


async def test_metrics_count_requests_by_known_routes_only(client: httpx.AsyncClient, model: RecordingModel) -> None:
    await client.post("/embed", json={"inputs": ["a", "b"]})
    await client.post("/embeddings", json={"input": "a", "model": "gpt"})
    await client.post("/made-up-by-a-client")
    model.error = ZeroDivisionError()
    await client.post("/embed", json={"inputs": "a"})
    text = (await client.get("/metrics")).text
    assert 'textmill_requests_total{model="tiny",route="/embed",status="200"} 1' in text
    assert 'textmill_requests_total{model="",route="/v1/embeddings",status="404"} 1' in text
    assert 'textmill_requests_total{model="",route="unknown",status="404"} 1' in text
    assert 'textmill_requests_total{model="",route="/embed",status="500"} 1' in text
    assert 'textmill_inputs_total{model="tiny"} 2' in text
    assert 'textmill_tokens_total{model="tiny"} 6' in text
    assert 'textmill_model_ready{model="tiny"} 1' in text
    assert "made-up" not in text


async def test_metrics_have_the_line_as_it_is_at_the_scrape(client: httpx.AsyncClient, model: RecordingModel) -> None:
    """A runtime that hangs ends no batch, and that is when the line matters."""
    for waiting in ((3, 70), (0, 0)):
        model.waiting = waiting
        text = (await client.get("/metrics")).text
        assert f'textmill_waiting_rows{{model="tiny"}} {waiting[0]}' in text
        assert f'textmill_waiting_tokens{{model="tiny"}} {waiting[1]}' in text


async def test_a_path_that_the_options_choose_comes_before_what_is_there(connect: Connect) -> None:
    client = connect(health_route="/info", api_keys=(SECRET,))

    assert (await client.get("/info")).status_code == 200
    assert (await client.get("/info")).content == (await client.get("/health")).content


async def test_metrics_can_be_left_to_their_own_port(connect: Connect) -> None:
    assert (await connect(metrics=False).get("/metrics")).status_code == 404
