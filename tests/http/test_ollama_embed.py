from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest

from textmill.contract import EmbedOptions
from textmill.testing.served import RecordingModel, vector_of


async def ask(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post("/api/embed", json={"model": "tiny"} | fields)


@pytest.mark.parametrize(("given", "texts"), [("a", ["a"]), (["a", "bc", ""], ["a", "bc", ""])])
async def test_texts_become_vectors_in_their_order(given: object, texts: list[str], client: httpx.AsyncClient) -> None:
    body = (await ask(client, input=given)).json()
    np.testing.assert_array_equal(np.float32(body.pop("embeddings")), np.stack([vector_of(text) for text in texts]))
    assert body.pop("total_duration") >= body.pop("load_duration") >= 0
    assert body == {"model": "tiny", "prompt_eval_count": sum(len(text) + 2 for text in texts)}


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, EmbedOptions(normalize=True)),
        ({"truncate": None, "dimensions": None, "options": None, "keep_alive": None}, EmbedOptions(normalize=True)),
        ({"truncate": True, "dimensions": 0, "options": {"num_ctx": 1}}, EmbedOptions(normalize=True)),
        ({"truncate": False, "dimensions": 4}, EmbedOptions(normalize=True, truncate=False, dimensions=4)),
    ],
)
async def test_what_a_request_says_reaches_the_model(
    fields: dict[str, Any], wanted: EmbedOptions, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    assert (await ask(client, input="a", **fields)).status_code == 200
    assert model.calls == [(["a"], wanted)]


@pytest.mark.parametrize("given", [None, "", []])
async def test_without_texts_the_model_loads(given: object, client: httpx.AsyncClient, model: RecordingModel) -> None:
    assert (await ask(client, input=given)).json() == {"model": "tiny", "embeddings": []}
    assert not model.calls


@pytest.mark.parametrize(
    "fields", [{"input": [1, 2]}, {"input": [["a"]]}, {"input": {"a": 1}}, {"input": "a", "dimensions": -1}]
)
async def test_what_is_no_text_is_refused(fields: dict[str, Any], client: httpx.AsyncClient) -> None:
    answer = await ask(client, **fields)
    assert answer.status_code == 400
    assert "expected" in answer.json()["error"]


async def test_the_older_route_answers_one_vector(client: httpx.AsyncClient, model: RecordingModel) -> None:
    answer = await client.post("/api/embeddings", json={"model": "tiny", "prompt": "a", "options": {}})
    np.testing.assert_array_equal(np.float32(answer.json()["embedding"]), vector_of("a"))
    assert model.calls == [(["a"], EmbedOptions(normalize=True))]
    assert (await client.post("/api/embeddings", json={"model": "tiny"})).json() == {"embedding": []}


def test_vectors_of_a_real_model_have_length_one_and_are_those_of_openais_route(live: httpx.Client) -> None:
    texts = ["The mill turns.", "Water drives the wheel."]
    found = np.array(live.post("/api/embed", json={"input": texts}).json()["embeddings"])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    openais = live.post("/v1/embeddings", json={"input": texts}).json()["data"]
    np.testing.assert_allclose(found, [each["embedding"] for each in openais], atol=1e-6)
    few = np.array(live.post("/api/embed", json={"input": texts, "dimensions": 8}).json()["embeddings"])
    np.testing.assert_allclose(few, found[:, :8] / np.linalg.norm(found[:, :8], axis=1, keepdims=True), atol=1e-5)
    refused = live.post("/api/embed", json={"input": "water " * 300, "truncate": False})
    assert (refused.status_code, "256 tokens" in refused.json()["error"]) == (400, True)
    older = live.post("/api/embeddings", json={"prompt": texts[0]}).json()["embedding"]
    np.testing.assert_allclose(older, found[0], atol=1e-6)
    wrong = live.post("/api/chat", json={"messages": [{"role": "user", "content": "x"}]})
    assert (wrong.status_code, "cannot chat" in wrong.json()["error"]) == (400, True)
