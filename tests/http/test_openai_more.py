"""LocalAI's extensions of /v1/embeddings."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from textmill.contract import EmbedDefaults, EmbedOptions
from textmill.testing.served import RecordingModel, vector_of

TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
    {"role": "user", "content": [{"type": "text", "text": "What "}, {"type": "image_url", "image_url": {"url": "…"}}]},
    {"role": "user", "content": [{"type": "text", "text": "What drives "}, {"type": "text", "text": "the mill?"}]},
    {"role": "assistant", "content": ""},
    {"role": "assistant", "content": "Water."},
]


async def test_a_conversation_becomes_one_text(client: httpx.AsyncClient, model: RecordingModel) -> None:
    answer = await client.post("/v1/embeddings", json={"messages": TALK, "input": None})
    assert answer.status_code == 200
    assert [item["index"] for item in answer.json()["data"]] == [0]
    lines = ["system: Be brief.", "user: What ", "user: What drives the mill?", "assistant: Water."]
    assert model.calls == [(["\n".join(lines)], EmbedOptions())]


@pytest.mark.parametrize(
    ("body", "code", "param", "words"),
    [
        ({"messages": TALK, "input": "a"}, "invalid_type", "messages", "not both"),
        ({"messages": []}, "empty_input", "messages", "nothing to embed"),
        ({"messages": [{"role": "user"}]}, "empty_input", "messages", "nothing to embed"),
        ({"messages": [{"content": "a"}]}, "invalid_type", "messages", "'role' is missing in messages[0]"),
        ({"messages": "a"}, "invalid_type", "messages", "messages"),
        ({"input": "a", "pooling": "cls"}, "invalid_type", "pooling", "'cls'"),
        ({"input": "a", "pooling_half_life_tokens": 0}, "invalid_type", "pooling_half_life_tokens", ">= 1"),
        ({"input": "a", "backend": "llama-cpp"}, "invalid_input", "backend", "runs on fake"),
        ({"input": "", "model": "tiny"}, "empty_input", "input", "nothing to compute"),
    ],
)
async def test_what_does_not_go_is_told(
    body: dict[str, Any], code: str, param: str, words: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/v1/embeddings", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, code, param)
    assert words in error["message"]


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"pooling": ""}, EmbedOptions()),
        ({"pooling": None, "pooling_half_life_tokens": None, "messages": None, "backend": None}, EmbedOptions()),
        (
            {"pooling": "backend", "backend": "sentencetransformers", "model_base_name": "x"},
            EmbedOptions(pooling="own"),
        ),
        ({"pooling": "mean"}, EmbedOptions(pooling="mean")),
        ({"pooling": "last"}, EmbedOptions(pooling="last")),
        (
            {"pooling": "decayed_mean", "pooling_half_life_tokens": 9},
            EmbedOptions(pooling="decayed_mean", half_life=9),
        ),
    ],
)
async def test_pooling_reaches_the_model(
    fields: dict[str, Any], options: EmbedOptions, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    assert (await client.post("/v1/embeddings", json={"input": ["a", ""]} | fields)).status_code == 200
    assert model.calls == [(["a", ""], options)]


async def test_a_models_file_says_the_form_where_the_request_does_not(
    client: httpx.AsyncClient, model: RecordingModel
) -> None:
    model.info = replace(model.info, defaults=EmbedDefaults(encoding="base64"))
    packed, plain = [
        (await client.post("/v1/embeddings", json={"input": "a"} | form)).json()["data"][0]["embedding"]
        for form in ({}, {"encoding_format": "float"})
    ]
    assert np.array_equal(np.frombuffer(base64.b64decode(packed), "<f4"), vector_of("a"))
    assert isinstance(plain, list)


def test_a_real_model_pools_as_asked(live: httpx.Client) -> None:
    def embedded(**fields: Any) -> Any:
        answer = live.post("/v1/embeddings", json={"input": ["water drives the wheel", "bread"]} | fields).json()
        return np.array([item["embedding"] for item in answer["data"]]), answer["usage"]["prompt_tokens"]

    own, tokens = embedded()
    mean, counted = embedded(pooling="mean")
    np.testing.assert_allclose(mean, own, atol=1e-6)
    assert counted == tokens
    last, decayed = (embedded(pooling=how)[0] for how in ("last", "decayed_mean"))
    np.testing.assert_allclose(np.linalg.norm(last, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(decayed, axis=1), 1, atol=1e-5)
    assert np.abs(last - own).max() > 0.01
    refused = live.post("/v1/embeddings", json={"input": "a", "pooling": "mean", "pooling_half_life_tokens": 3}).json()
    assert (refused["error"]["param"], refused["code"]) == ("pooling_half_life_tokens", 400)
