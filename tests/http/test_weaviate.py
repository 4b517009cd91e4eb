"""What Weaviate's modules ask of their services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from textmill.contract import EmbedOptions
from textmill.testing.served import RecordingModel, vector_of

SENT: dict[str, Any] = {
    "text": "a",
    "dims": 0,
    "vector": None,
    "error": "",
    "config": {"pooling_strategy": "masked_mean", "task_type": "passage"},
}
"""A request of Weaviate's, as its Go client writes it."""


@pytest.mark.parametrize("path", ["/vectors", "/vectors/"])
async def test_one_text_gives_one_vector(path: str, client: httpx.AsyncClient, model: RecordingModel) -> None:
    answer = await client.post(path, content=httpx.Request("POST", "http://server", json=SENT).content)
    body = answer.json()
    assert np.array_equal(np.array(body.pop("vector"), np.float32), vector_of("a"))
    assert body == {"text": "a", "dim": 384, "dims": 384}
    assert model.calls == [(["a"], EmbedOptions(kind="document"))]


async def test_several_texts_give_as_many(client: httpx.AsyncClient, model: RecordingModel) -> None:
    config = {"task_type": "query", "dimensions": 4}
    body = (await client.post("/vectors", json={"texts": ["a", ""], "config": config})).json()
    assert np.array_equal(np.array(body["vectors"], np.float32), np.stack([vector_of("a", 4), vector_of("", 4)]))
    assert body["dims"] == 4
    assert model.calls == [(["a", ""], EmbedOptions(kind="query", dimensions=4))]


@pytest.mark.parametrize(
    "config", [None, {}, dict.fromkeys(("pooling_strategy", "task_type", "dimensions")), {"task_type": ""}]
)
async def test_a_configuration_may_say_nothing(config: Any, client: httpx.AsyncClient, model: RecordingModel) -> None:
    assert (await client.post("/vectors", json={"text": "", "texts": None, "config": config})).status_code == 200
    assert model.calls == [([""], EmbedOptions())]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "'text' is missing"),
        ({"text": "a", "texts": ["b"]}, "not both"),
        ({"texts": []}, "nothing to embed"),
        ({"text": 1}, "text"),
        ({"texts": ["a", None]}, "texts"),
        ({"text": "a", "config": {"task_type": "image"}}, "task_type"),
        ({"text": "a", "config": {"dimensions": 0}}, "dimensions"),
        ({"text": "a", "config": []}, "config"),
        ({"texts": ["a"] * 32_769}, "32769"),
        ([], "object"),
    ],
)
async def test_what_cannot_be_embedded_is_a_text(fields: Any, words: str, client: httpx.AsyncClient) -> None:
    answer = await client.post("/vectors", json=fields)
    assert answer.status_code == 400
    assert isinstance(answer.json()["error"], str)
    assert words in answer.json()["error"]


async def test_a_wrong_key_is_a_text_too(connect: Callable[..., httpx.AsyncClient]) -> None:
    answer = await connect(api_keys=("key",)).post("/vectors", json=SENT)
    assert (answer.status_code, list(answer.json())) == (401, ["error", "error_type"])


async def test_as_tei_an_empty_text_is_refused(connect: Callable[..., httpx.AsyncClient]) -> None:
    assert (await connect(as_tei=True).post("/vectors", json={"text": ""})).status_code == 400


async def test_meta_is_about_the_model(client: httpx.AsyncClient) -> None:
    for path in ("/meta", "/m/tiny/meta"):
        body = (await client.get(path)).json()
        assert (body["model"], body["dimensions"], body["fingerprint"]) == ("tiny", 384, "f00d")


@pytest.mark.parametrize("path", ["/.well-known/ready", "/.well-known/live", "/m/tiny/.well-known/ready"])
async def test_readiness_has_no_body_and_no_length(
    path: str, connect: Callable[..., httpx.AsyncClient], model: RecordingModel
) -> None:
    client = connect(api_keys=("key",))
    answer = await client.get(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-length" not in answer.headers
    assert "content-type" not in answer.headers
    model.ready = False
    answer = await client.get(path)
    assert (answer.status_code, isinstance(answer.json()["error"], str)) == (503, True)


async def test_one_text_and_several_are_told_apart_in_metrics(client: httpx.AsyncClient) -> None:
    await client.post("/vectors", json={"text": "a"})
    await client.post("/vectors", json={"texts": ["a"]})
    told = (await client.get("/metrics")).text
    assert 'te_request_count{method="single"} 1' in told
    assert 'te_request_count{method="batch"} 1' in told
