"""The tokenizer as LocalAI has it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from textmill.contract import TokenizeOptions
from textmill.testing.served import RecordingModel


async def test_a_text_becomes_ids_without_any_prompt(client: httpx.AsyncClient, model: RecordingModel) -> None:
    answer = await client.post("/v1/tokenize", json={"model": "tiny", "content": "ab"})
    assert answer.json() == {"tokens": [101, 97, 98, 102]}
    answer = await client.post("/v1/tokenize", json={"content": "ab", "add_special_tokens": False})
    assert answer.json() == {"tokens": [97, 98]}
    assert [options for _, options in model.calls] == [
        TokenizeOptions(prompt=""),
        TokenizeOptions(prompt="", special_tokens=False),
    ]


async def test_ids_become_a_text(client: httpx.AsyncClient) -> None:
    for fields, content in (({}, "ab"), ({"skip_special_tokens": False}, "[CLS]ab[SEP]")):
        answer = await client.post("/v1/detokenize", json={"tokens": [101, 97, 98, 102]} | fields)
        assert answer.json() == {"content": content}
    assert (await client.post("/v1/detokenize", json={"tokens": []})).json() == {"content": ""}


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/tokenize", {}, "content"),
        ("/v1/tokenize", {"content": ["a", "b"]}, "content"),
        ("/v1/detokenize", {}, "tokens"),
        ("/v1/detokenize", {"tokens": "abc"}, "tokens"),
        ("/v1/detokenize", {"tokens": [-1]}, "tokens"),
        ("/v1/detokenize", {"tokens": [1.5]}, "tokens"),
        ("/v1/detokenize", {"tokens": [2**40]}, "tokens"),
    ],
)
async def test_other_shapes_are_refused(path: str, body: dict[str, Any], param: str, client: httpx.AsyncClient) -> None:
    answer = await client.post(path, json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)


def test_there_and_back_with_a_real_model(live: httpx.Client) -> None:
    text = "water drives the wheel"
    tokens = live.post("/v1/tokenize", json={"content": text}).json()["tokens"]
    embedded = [live.post("/v1/embeddings", json={"input": given}).json() for given in (text, tokens)]
    assert embedded[0]["usage"]["prompt_tokens"] == len(tokens)
    assert embedded[0]["data"][0]["embedding"] == pytest.approx(embedded[1]["data"][0]["embedding"], abs=1e-6)
    assert live.post("/v1/detokenize", json={"tokens": tokens}).json() == {"content": text}
    assert live.post("/v1/tokenize", json={"content": ""}).json()["tokens"] == [tokens[0], tokens[-1]]


def test_ids_that_the_model_does_not_have_are_told(live: httpx.Client) -> None:
    answer = live.post("/v1/detokenize", json={"tokens": [101, 30522]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_input")
    assert "30522" in answer.json()["error"]["message"]
