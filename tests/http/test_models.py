"""Which models there are, and which of them a request means."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import httpx
import pytest

from textmill.contract import Known, ModelInfo
from textmill.http.app import create_app
from textmill.http.settings import HttpSettings
from textmill.telemetry import Telemetry
from textmill.testing.served import RecordingModel, RecordingStore, info_of


class Several(RecordingStore):
    """Models with and without slashes, and weights that one of them is about."""

    def known(self, *, everything: bool = False) -> Sequence[tuple[Known, ModelInfo | None, RecordingModel | None]]:
        weights = Known(name="tiny.gguf", source="tiny.gguf", tasks=("embed",))
        ranks = Known(name="ranks", source="ranks", tasks=("rerank",), aliases=("rr",))
        return [*super().known(), (ranks, None, None), *([(weights, info_of("tiny.gguf"), None)] * everything)]


@pytest.fixture
def store() -> Several:
    return Several(RecordingModel(), RecordingModel("owner/name"))


@pytest.fixture
async def several(store: Several, settings: HttpSettings) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(store, settings, Telemetry()))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        yield client


async def ids(client: httpx.AsyncClient, query: str = "", path: str = "/v1/models") -> list[str]:
    answer = await client.get(path + query)
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["data"]]


async def test_the_list_can_be_filtered_by_a_regular_expression(several: httpx.AsyncClient) -> None:
    assert await ids(several) == ["tiny", "owner/name", "ranks"]
    assert await ids(several, "?filter=%5Et") == ["tiny"]
    assert await ids(several, "?filter=na%7Ck") == ["owner/name", "ranks"]
    assert await ids(several, "?filter=none") == []
    assert await ids(several, "?filter=TINY&excludeConfigured=false") == []


async def test_weights_of_a_model_file_are_listed_where_asked_for(several: httpx.AsyncClient) -> None:
    assert await ids(several, "?excludeConfigured=true") == ["tiny", "owner/name", "ranks"]
    for path in ("/v1/models", "/models", "/openai/v1/models", "/openai/models", "/v1/models/capabilities"):
        assert await ids(several, "?excludeConfigured=false", path) == ["tiny", "owner/name", "ranks", "tiny.gguf"]


@pytest.mark.parametrize("pattern", ["%5B", "*", "a%2B*", "a" * 501, "%5C"])
async def test_a_bad_filter_is_400(pattern: str, several: httpx.AsyncClient) -> None:
    answer = await several.get(f"/v1/models?filter={pattern}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "filter")


@pytest.mark.parametrize(
    "pattern",
    [
        "a{99999}",
        "a{1,}",
        "a{999999999}",
        "&&{7i<,Va>(*FAIL)pf3&&{3",
        r"\p{None}",
        "(" * 20 + "a" + "+)" * 20,
        "(?:a+)+",
        "(?P<x",
        "(",
        r"\(",
        "[(]",
    ],
)
async def test_a_filter_with_a_group_or_a_count_is_refused_before_it_is_unrolled(
    pattern: str, several: httpx.AsyncClient
) -> None:
    answer = await several.get("/v1/models", params={"filter": pattern})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "filter")
    assert "no ( and no {" in answer.json()["error"]["message"]


@pytest.mark.parametrize("pattern", [".*" * 10 + "$y", "x*x*x*x*x*x*x*x*x*y", "x%2Bx%2B" * 40 + "y"])
async def test_a_filter_that_never_ends_is_refused_soon(pattern: str, settings: HttpSettings) -> None:
    transport = httpx.ASGITransport(create_app(RecordingStore(RecordingModel("x" * 200)), settings, Telemetry()))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        started = time.monotonic()
        answer = await client.get(f"/v1/models?filter={pattern}")
    assert answer.status_code in (200, 400)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("path", ["/v1/models/", "/models/"])
async def test_a_model_is_described_by_any_of_its_names(path: str, several: httpx.AsyncClient) -> None:
    for name, id_ in (
        ("tiny", "tiny"),
        ("owner/tiny", "tiny"),
        ("owner/name", "owner/name"),
        ("owner%2Fname", "owner/name"),
        ("rr", "ranks"),
        ("tiny.gguf", "tiny.gguf"),
    ):
        assert (await several.get(path + name)).json()["id"] == id_
    answer = await several.get(path + "none/such")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    wrong = await several.delete(path + "tiny")
    assert (wrong.status_code, "GET" in wrong.headers["allow"]) == (405, True)


async def test_capabilities_have_localais_words(several: httpx.AsyncClient) -> None:
    answer = await several.get("/models/capabilities?filter=^tiny$|^ranks$")
    tiny, ranks = answer.json()["data"]
    assert {"embeddings", "rerank"} <= set(tiny["capabilities"])
    assert (tiny["input_modalities"], tiny["output_modalities"]) == (["text"], ["embeddings"])
    assert (ranks["capabilities"], ranks["output_modalities"]) == (["rerank"], [])


@pytest.mark.parametrize(
    ("path", "body", "bearer", "expected"),
    [
        ("/v1/embeddings", None, None, "tiny"),
        ("/v1/embeddings", None, "owner/name", "owner/name"),
        ("/v1/embeddings", None, "hf_token", "tiny"),
        ("/v1/embeddings?model=owner/name", None, "tiny", "owner/name"),
        ("/v1/embeddings?model=", None, "owner/name", "owner/name"),
        ("/v1/engines/owner/name/embeddings?model=tiny", None, "tiny", "owner/name"),
        ("/v1/engines/owner%2Fname/embeddings", None, None, "owner/name"),
        ("/v1/engines/tiny/embeddings?model=tiny", "owner/name", "tiny", "owner/name"),
        ("/m/tiny/v1/embeddings?model=owner/name", "owner/name", "owner/name", "tiny"),
        ("/embeddings?model=owner/name&model=tiny", None, None, "tiny"),
    ],
)
async def test_the_model_is_that_of_the_body_then_path_then_query_then_bearer(
    path: str, body: str | None, bearer: str | None, expected: str, several: httpx.AsyncClient
) -> None:
    headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
    answer = await several.post(path, json={"input": "a", "model": body}, headers=headers)
    assert (answer.status_code, answer.json()["model"]) == (200, expected)


async def test_the_query_picks_the_model_of_teis_routes_too(several: httpx.AsyncClient, store: Several) -> None:
    assert (await several.post("/embed?model=owner/name", json={"inputs": "a"})).status_code == 200
    assert (await several.get("/info?model=owner/name")).json()["model_id"] == "owner/owner/name"
    assert len(store.get("owner/name").calls) == 1
    for path in ("/embed?model=none", "/v1/engines/none/embeddings"):
        assert (await several.post(path, json={"inputs": "a", "input": "a"})).status_code == 404


async def test_a_bearer_is_a_key_and_no_model_where_there_are_keys(store: Several, settings: HttpSettings) -> None:
    transport = httpx.ASGITransport(create_app(store, replace(settings, api_keys=("owner/name",)), Telemetry()))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        headers = {"authorization": "Bearer owner/name"}
        answer = await client.post("/v1/embeddings", json={"input": "a"}, headers=headers)
    assert answer.json()["model"] == "tiny"
