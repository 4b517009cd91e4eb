"""Cohere's /v1/embed, /v2/embed and /v2/rerank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from textmill.contract import EmbedOptions
from textmill.errors import ForwardFailed, InvalidInput
from textmill.http.cohere import CohereEmbedAnswer, CohereFirstEmbedAnswer
from textmill.http.cohere_vectors import int8
from textmill.http.rerank import RerankAnswer
from textmill.tasks.bits import unsigned_bits
from textmill.testing.served import RecordingModel, vector_of

SECOND = ["/v2/embed", "/v1/v2/embed"]
FIRST = ["/v1/embed", "/v1/v1/embed"]
EVERY = [*FIRST, *SECOND]
TYPES = ["float", "int8", "uint8", "binary", "ubinary", "base64"]


def asked(model: RecordingModel) -> EmbedOptions:
    options = model.calls[-1][1]
    assert isinstance(options, EmbedOptions)
    return options


@pytest.mark.parametrize("path", FIRST)
async def test_the_first_version_gives_a_bare_list_of_floats(path: str, client: httpx.AsyncClient) -> None:
    answer = await client.post(path, json={"texts": ["a", ""], "model": "tiny", "input_type": "search_document"})
    body = answer.json()
    msgspec.json.decode(answer.content, type=CohereFirstEmbedAnswer)
    assert body["response_type"] == "embeddings_floats"
    assert np.array_equal(np.array(body["embeddings"], np.float32), np.stack([vector_of("a"), vector_of("")]))
    assert body["texts"] == ["a", ""]
    assert body["meta"]["api_version"] == {"version": "1"}
    assert body["meta"]["billed_units"] == {"input_tokens": 5}
    assert answer.headers["x-model-fingerprint"] == "f00d"


@pytest.mark.parametrize("path", SECOND)
@pytest.mark.parametrize("types", [None, []])
async def test_the_second_version_gives_floats_by_their_type(path: str, types: Any, client: httpx.AsyncClient) -> None:
    answer = await client.post(path, json={"texts": ["a"], "embedding_types": types})
    body = answer.json()
    msgspec.json.decode(answer.content, type=CohereEmbedAnswer)
    assert body["response_type"] == "embeddings_by_type"
    assert list(body["embeddings"]) == ["float"]
    assert body["meta"]["api_version"] == {"version": "2"}


@pytest.mark.parametrize("path", EVERY)
async def test_every_type_comes_that_was_asked_for_and_no_other(path: str, client: httpx.AsyncClient) -> None:
    texts = ["a", "b", "c"]
    rows = np.stack([vector_of(text) for text in texts])
    answer = await client.post(path, json={"texts": texts, "embedding_types": [*TYPES, "int8"]})
    body = answer.json()
    assert answer.text.count('"int8":') == 1
    assert body["response_type"] == "embeddings_by_type"
    assert list(body["embeddings"]) == TYPES
    assert body["embeddings"]["int8"] == int8(rows).tolist()
    assert body["embeddings"]["ubinary"] == unsigned_bits(rows).tolist()
    one = (await client.post(path, json={"texts": texts, "embedding_types": ["binary"]})).json()
    assert list(one["embeddings"]) == ["binary"]
    assert len(one["embeddings"]["binary"][0]) == 48


@pytest.mark.parametrize("path", EVERY)
async def test_every_null_is_as_if_it_were_not_there(
    path: str, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    names = ("inputs", "images", "model", "input_type", "embedding_types", "output_dimension", "truncate", "max_tokens")
    answer = await client.post(path, json={"texts": ["a"], "priority": None, "unknown": 1} | dict.fromkeys(names))
    assert answer.status_code == 200
    assert asked(model) == EmbedOptions()


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"input_type": "search_query"}, EmbedOptions(kind="query")),
        ({"input_type": "search_document"}, EmbedOptions(kind="document")),
        ({"input_type": "classification"}, EmbedOptions(prompt_name="Classification")),
        ({"input_type": "clustering"}, EmbedOptions()),
        ({"truncate": "NONE"}, EmbedOptions(truncate=False)),
        ({"truncate": "START"}, EmbedOptions(truncate_side="left")),
        ({"truncate": "END"}, EmbedOptions(truncate_side="right")),
        ({"output_dimension": 8}, EmbedOptions(dimensions=8)),
        ({"max_tokens": 256}, EmbedOptions()),
    ],
)
async def test_what_a_request_says_reaches_the_model(
    fields: dict[str, Any], options: EmbedOptions, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    model.info = replace(model.info, prompts=("query", "Classification"))
    answer = await client.post("/v2/embed", json={"texts": ["a"]} | fields)
    assert answer.status_code == 200, answer.text
    assert asked(model) == options


async def test_inputs_of_parts_are_texts(client: httpx.AsyncClient, model: RecordingModel) -> None:
    def text(said: str) -> dict[str, str]:
        return {"type": "text", "text": said}

    inputs = [{"content": [text("a"), text("b")]}, {"content": [text("")]}]
    body = (await client.post("/v2/embed", json={"inputs": inputs})).json()
    assert model.calls[-1][0] == body["texts"] == ["a\nb", ""]


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@pytest.mark.parametrize("path", EVERY)
@pytest.mark.parametrize(
    ("fields", "code", "param", "words"),
    [
        ({}, "invalid_type", "texts", "missing"),
        ({"texts": []}, "empty_input", "texts", "nothing to embed"),
        ({"inputs": []}, "empty_input", "inputs", "nothing to embed"),
        ({"inputs": [{"content": []}]}, "empty_input", "inputs", "inputs[0].content"),
        ({"texts": ["a"], "inputs": [{"content": []}]}, "invalid_type", "inputs", "not both"),
        ({"texts": "a"}, "invalid_type", "texts", "texts"),
        ({"texts": ["a", 1]}, "invalid_type", "texts", "texts"),
        ({"texts": [None]}, "invalid_type", "texts", "texts"),
        ({"inputs": [{}]}, "invalid_type", "inputs", "content"),
        ({"inputs": [{"content": [IMAGE]}]}, "invalid_input", "inputs", "inputs[0].content[0] is an image"),
        ({"inputs": [{"content": [{"type": "sound"}]}]}, "invalid_input", "inputs", "'sound'"),
        ({"inputs": [{"content": [{"type": "text"}]}]}, "invalid_input", "inputs", "no 'text'"),
        ({"images": ["data:image/png;base64,AA=="], "input_type": "image"}, "invalid_input", "images", "only texts"),
        ({"texts": ["a"], "input_type": "image"}, "invalid_input", "input_type", "search_query"),
        ({"texts": ["a"], "input_type": "query"}, "invalid_type", "input_type", "'query'"),
        ({"texts": ["a"], "embedding_types": ["float64"]}, "invalid_type", "embedding_types", "'float64'"),
        ({"texts": ["a"], "embedding_types": "float"}, "invalid_type", "embedding_types", "array"),
        ({"texts": ["a"], "output_dimension": 0}, "invalid_type", "output_dimension", ">= 1"),
        ({"texts": ["a"], "output_dimension": "x"}, "invalid_type", "output_dimension", "int"),
        ({"texts": ["a"], "truncate": "MIDDLE"}, "invalid_type", "truncate", "'MIDDLE'"),
        ({"texts": ["a"], "max_tokens": 8}, "invalid_input", "max_tokens", "reads 256 tokens"),
        ({"texts": ["a"] * 32_769}, "invalid_input", "texts", "32769"),
    ],
)
async def test_what_cannot_be_embedded_is_told(
    path: str, fields: dict[str, Any], code: str, param: str, words: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post(path, json=fields)
    body = answer.json()
    assert answer.status_code == 400, body
    assert (body["error"]["code"], body["error"]["param"]) == (code, param), body
    assert words in body["message"]
    assert body["message"] == body["detail"] == body["error"]["message"]


@pytest.mark.parametrize(
    ("error", "param"),
    [
        (InvalidInput("too long", index=0), {"texts": "texts", "inputs": "inputs"}),
        (InvalidInput("too long", param="input", index=0), {"texts": "texts", "inputs": "inputs"}),
        (InvalidInput("too many", param="dimensions"), dict.fromkeys(("texts", "inputs"), "output_dimension")),
        (InvalidInput("no such prompt", param="prompt_name"), dict.fromkeys(("texts", "inputs"), "prompt_name")),
    ],
)
async def test_errors_of_the_model_name_fields_of_the_request(
    error: InvalidInput, param: dict[str, str], client: httpx.AsyncClient, model: RecordingModel
) -> None:
    given: dict[str, Any] = {"texts": ["a"], "inputs": [{"content": [{"type": "text", "text": "a"}]}]}
    for field, value in given.items():
        model.error = error
        answer = await client.post("/v2/embed", json={field: value})
        assert answer.json()["error"]["param"] == param[field]


async def test_errors_of_others_are_as_in_openais_dialect(
    client: httpx.AsyncClient, model: RecordingModel, connect: Callable[..., httpx.AsyncClient]
) -> None:
    assert (await client.post("/v2/embed", json={"texts": ["a"], "model": "no"})).json()["error"][
        "code"
    ] == "model_not_found"
    assert (await client.post("/v2/embed", content=b"{")).json()["error"]["code"] == "invalid_json"
    model.error = ForwardFailed("broken")
    assert (await client.post("/v1/embed", json={"texts": ["a"]})).status_code == 500
    refused = await connect(api_keys=("key",)).post("/v2/embed", json={"texts": ["a"]})
    assert (refused.status_code, refused.json()["code"]) == (401, 401)


async def test_as_tei_empty_texts_are_refused(connect: Callable[..., httpx.AsyncClient]) -> None:
    answer = await connect(as_tei=True).post("/v2/embed", json={"texts": ["a", ""]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "texts")


@pytest.mark.parametrize("path", ["/v2/rerank", "/v1/v2/rerank"])
async def test_the_second_version_ranks_and_repeats_documents_only_where_they_are_wanted(
    path: str, client: httpx.AsyncClient
) -> None:
    fields = {"model": "tiny", "query": "q", "documents": ["a", "bbb", {"text": "cc"}], "max_tokens_per_doc": None}
    answer = await client.post(path, json=fields | {"top_n": 9, "relevant_spans": {"mode": "disabled"}, "priority": 0})
    body = answer.json()
    msgspec.json.decode(answer.content, type=RerankAnswer)
    assert body["results"] == [{"index": i, "relevance_score": score} for i, score in ((1, 3.0), (2, 2.0), (0, 1.0))]
    assert body["id"]
    assert body["meta"]["api_version"] == {"version": "2"}
    assert body["meta"]["billed_units"] == {"search_units": 1}
    wanted = (await client.post(path, json=fields | {"return_documents": True, "top_n": 1})).json()
    assert wanted["results"] == [{"index": 1, "document": {"text": "bbb"}, "relevance_score": 3.0}]


async def test_spans_that_nobody_finds_are_refused(client: httpx.AsyncClient) -> None:
    fields = {"query": "q", "documents": ["a"], "relevant_spans": {"mode": "enabled"}}
    answer = await client.post("/v2/rerank", json=fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "relevant_spans")
