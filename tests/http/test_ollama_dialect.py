from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from textmill.errors import InvalidInput, Overloaded
from textmill.http.app import create_app
from textmill.http.ollama_dialect import leaves, nanoseconds, stamp
from textmill.http.settings import HttpSettings
from textmill.telemetry import Telemetry
from textmill.testing.served import RecordingModel, RecordingStore

Connect = Callable[..., httpx.AsyncClient]

UNLOAD = {"model": "tiny", "keep_alive": 0}


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("tiny", "tiny"),
        ("tiny:latest", "tiny"),
        ("owner/tiny:latest", "tiny"),
        ("small", "small:latest"),
        ("small:latest", "small:latest"),
        ("both", "both"),
        ("both:latest", "both:latest"),
    ],
)
async def test_latest_may_be_left_out_or_added(
    asked: str, answered: str, settings: HttpSettings, telemetry: Telemetry
) -> None:
    models = [RecordingModel(name) for name in ("tiny", "small:latest", "both", "both:latest")]
    app = create_app(RecordingStore(*models), settings, telemetry)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
        answer = await client.post("/api/embed", json={"model": asked, "input": "a"})
        assert answer.json()["model"] == asked
        assert [model.info.name for model in models if model.calls] == [answered]
        unknown = await client.post("/api/embed", json={"model": f"{asked}er", "input": "a"})
        assert unknown.status_code == 404


@pytest.mark.parametrize("given", [0, 0.0, "0", "0s", "0m0s", "-0", "0.0ms"])
def test_no_time_is_at_once(given: float | str) -> None:
    assert leaves(given)


@pytest.mark.parametrize("given", [None, 1, -1, 300, 0.5, "5m", "1h30m", "-1", "-1m", "300", "1.5h", "10ms", "2µs"])
def test_any_other_time_is_not(given: float | str | None) -> None:
    assert not leaves(given)


@pytest.mark.parametrize("given", ["", "soon", "5 m", "m", "5d", "1e3", "5m "])
def test_a_text_that_is_no_time_is_refused(given: str) -> None:
    with pytest.raises(InvalidInput, match="keep_alive"):
        leaves(given)


def test_times_are_told_as_go_tells_them() -> None:
    assert stamp(1_700_000_000) == "2023-11-14T22:13:20Z"
    assert (nanoseconds(1.5), nanoseconds(-1e-9)) == (1_500_000_000, 0)


async def test_models_leave_for_those_who_may_manage(connect: Connect, model: RecordingModel) -> None:
    client = connect(api_keys=("a-user",), admin_keys=("the-admin",), exposed=True)
    answers = [
        await client.post("/api/generate", json=UNLOAD, headers={"authorization": key}) for key in ("no", "a-user")
    ]
    assert [answer.status_code for answer in answers] == [401, 403]
    assert model.ready
    assert (await client.post("/api/generate", json=UNLOAD, headers={"authorization": "the-admin"})).json()["done"]
    assert not model.ready


async def test_a_page_of_another_origin_has_no_model_leave(client: httpx.AsyncClient, model: RecordingModel) -> None:
    answer = await client.post("/api/chat", json=UNLOAD, headers={"origin": "http://elsewhere"})
    assert (answer.status_code, model.ready) == (403, True)


async def test_who_names_no_model_has_none_leave(client: httpx.AsyncClient, model: RecordingModel) -> None:
    answer = await client.post("/api/generate", json={"keep_alive": 0})
    assert (answer.status_code, "'model'" in answer.json()["error"], model.ready) == (400, True, True)
    assert (await client.post("/m/tiny/api/generate", json={"keep_alive": 0})).json()["done_reason"] == "unload"
    assert (await client.post("/api/generate", json={"model": "nobody", "keep_alive": 0})).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "instead"),
    [
        ("POST", "/api/pull", "textmill pull"),
        ("POST", "/api/create", "model file"),
        ("POST", "/api/copy", "model file"),
        ("POST", "/api/push", "uploads"),
        ("DELETE", "/api/delete", "textmill models rm"),
        ("GET", "/api/anything", "/docs"),
    ],
)
async def test_what_is_not_there_says_what_to_do_instead(
    method: str, path: str, instead: str, client: httpx.AsyncClient
) -> None:
    answer = await client.request(method, path, json={"model": "tiny"})
    assert answer.status_code == 404
    assert instead in answer.json()["error"]


async def test_errors_are_a_text(client: httpx.AsyncClient, model: RecordingModel) -> None:
    broken = await client.post("/api/chat", content=b"{")
    assert (broken.status_code, broken.json()["error_type"]) == (400, "Validation")
    assert (await client.get("/api/chat")).json()["error"] == "/api/chat does not take GET; use POST"
    model.error = Overloaded("too much waits", retry_after=2)
    busy = await client.post("/api/embed", json={"input": "a"})
    assert (busy.status_code, busy.headers["retry-after"], busy.json()["error"]) == (429, "2", "too much waits")


async def test_a_key_is_asked_for(connect: Connect) -> None:
    client = connect(api_keys=("key",))
    for method, path in (("GET", "/api/tags"), ("GET", "/api/ps"), ("POST", "/api/chat"), ("POST", "/api/embed")):
        answer = await client.request(method, path)
        assert (answer.status_code, "key" in answer.json()["error"]) == (401, True)
