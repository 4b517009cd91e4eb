from __future__ import annotations

import base64
from typing import Any

import httpx
import msgspec
import numpy as np
import openai
import pytest

from textmill.contract import EmbedOptions
from textmill.errors import ForwardFailed, InvalidInput, Overloaded, Unavailable
from textmill.http.models import ModelList
from textmill.http.openai import EmbeddingsAnswer, ErrorBody
from textmill.testing.served import RecordingModel, vector_of


def official_client(client: Any) -> openai.AsyncOpenAI:
    """OpenAI's own client over the app. ``client`` is Any: its types name httpx2, and it takes httpx as well."""
    return openai.AsyncOpenAI(base_url="http://server/v1", api_key="any", http_client=client, max_retries=0)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings"])
async def test_a_text_is_answered_with_one_item(path: str, client: httpx.AsyncClient) -> None:
    answer = await client.post(path, json={"input": "a b", "model": "tiny"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = msgspec.json.decode(answer.content, type=EmbeddingsAnswer)
    assert [item.index for item in body.data] == [0]
    assert body.model == "tiny"
    assert (body.usage.prompt_tokens, body.usage.total_tokens) == (5, 5)
    assert np.array_equal(np.array(body.data[0].embedding, np.float32), vector_of("a b"))


async def test_numbers_are_the_shortest_float32_decimals(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/embeddings", json={"input": "a"})
    shortest = [float(str(value)) for value in vector_of("a")]
    assert answer.json()["data"][0]["embedding"] == shortest


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        ("a", ["a"]),
        (["a", ""], ["a", ""]),
        ([7, 8], [[7, 8]]),
        ([[7, 8], [9]], [[7, 8], [9]]),
        (["a", [7, 8]], ["a", [7, 8]]),
        ("\x00", ["\x00"]),
        ("x" * 1_000_000, ["x" * 1_000_000]),
    ],
    ids=["text", "texts", "ids", "lists of ids", "mixed", "NUL", "long"],
)
async def test_every_shape_of_input_becomes_rows(
    given: Any, rows: list[Any], client: httpx.AsyncClient, model: RecordingModel
) -> None:
    answer = await client.post("/v1/embeddings", json={"input": given})
    assert answer.status_code == 200
    assert model.calls[0][0] == rows


async def test_null_equals_absent_and_unknown_fields_are_ignored(
    client: httpx.AsyncClient, model: RecordingModel
) -> None:
    fields = ("model", "encoding_format", "dimensions", "user", "prompt", "prompt_name")
    nulls = {"input": "a", "nonsense": {"deep": [1]}} | dict.fromkeys(fields)
    answer = await client.post("/v1/embeddings", json=nulls)
    assert answer.status_code == 200
    assert isinstance(answer.json()["data"][0]["embedding"], list)
    assert model.calls[0][1] == EmbedOptions()


async def test_an_empty_model_name_means_the_default(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/embeddings", json={"input": "a", "model": ""})
    assert answer.json()["model"] == "tiny"


async def test_options_reach_the_model(client: httpx.AsyncClient, model: RecordingModel) -> None:
    asked = {"input": "a", "dimensions": 16, "prompt": "p: ", "prompt_name": "query", "user": 5}
    answer = await client.post("/v1/embeddings", json=asked)
    assert len(answer.json()["data"][0]["embedding"]) == 16
    assert model.calls[0][1] == EmbedOptions(prompt="p: ", prompt_name="query", dimensions=16)


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
async def test_the_content_type_does_not_matter(content_type: str | None, client: httpx.AsyncClient) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = await client.post("/v1/embeddings", content=b'\xef\xbb\xbf{"input":"a"}', headers=headers)
    assert answer.status_code == 200


async def test_a_large_answer_keeps_the_order_of_its_inputs(client: httpx.AsyncClient) -> None:
    texts = [str(i) for i in range(400)]
    for encoding in ("float", "base64"):
        body = (await client.post("/v1/embeddings", json={"input": texts, "encoding_format": encoding})).json()
        assert [item["index"] for item in body["data"]] == list(range(400))
        last = body["data"][399]["embedding"]
        row = np.float32(last) if encoding == "float" else np.frombuffer(base64.b64decode(last), "<f4")
        assert np.array_equal(row, vector_of("399"))


async def test_the_official_client_reads_base64_and_floats(client: httpx.AsyncClient) -> None:
    official = official_client(client)
    by_default = await official.embeddings.create(model="tiny", input=["a", "b"])
    floats = await official.embeddings.create(model="tiny", input=["a", "b"], encoding_format="float")
    assert np.array_equal(np.array(by_default.data[1].embedding, np.float32), vector_of("b"))
    assert np.array_equal(np.array(floats.data[1].embedding, np.float32), vector_of("b"))
    assert by_default.usage.total_tokens == 6


async def test_the_official_client_raises_its_own_errors(client: httpx.AsyncClient, model: RecordingModel) -> None:
    official = official_client(client)
    with pytest.raises(openai.NotFoundError, match="tiny") as missing:
        await official.embeddings.create(model="gpt", input="a")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as wrong:
        await official.embeddings.create(model="tiny", input=[])
    assert (wrong.value.param, wrong.value.code) == ("input", "empty_input")
    model.error = Overloaded("too much waits", retry_after=3)
    with pytest.raises(openai.RateLimitError, match="too much waits"):
        await official.embeddings.create(model="tiny", input="a")


async def test_the_official_client_lists_the_models(client: httpx.AsyncClient) -> None:
    official = official_client(client)
    assert [card.id async for card in official.models.list()] == ["tiny"]


async def test_models_say_what_they_are(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/models")
    (card,) = msgspec.json.decode(answer.content, type=ModelList).data
    assert (card.dimensions, card.max_tokens, card.fingerprint, card.ready) == (384, 256, "f00d", True)


BAD = [
    (b"", 400, "invalid_json", None, "empty"),
    (b"{", 400, "invalid_json", None, "not JSON"),
    (b"not json", 400, "invalid_json", None, "not JSON"),
    (b'{"input":"a",}', 400, "invalid_json", None, "trailing comma"),
    (b'{"input":"a"} x', 400, "invalid_json", None, "trailing characters"),
    (b'{"input":"\\ud800"}', 400, "invalid_json", None, "stands alone"),
    (b'{"input":"\\ud800 and more text"}', 400, "invalid_json", None, "stands alone"),
    (b'{"input":"\xff"}', 400, "invalid_json", None, "UTF-8"),
    (b'{"input":"\xed\xa0\x80"}', 400, "invalid_json", None, "UTF-8"),
    (b'{"input":"\x00"}', 400, "invalid_json", None, "not JSON"),
    (b'{"input":"a","x":' + b"[" * 100_000, 400, "invalid_json", None, "deeply"),
    (b"[]", 400, "invalid_type", None, "the body: expected object, got array"),
    (b"null", 400, "invalid_type", None, "got null"),
    (b"{}", 400, "invalid_type", "input", "'input' is missing"),
    (b'{"input":null}', 400, "invalid_type", "input", "'input' is missing"),
    (b'{"input":5}', 400, "invalid_type", "input", "got int"),
    (b'{"input":{"a":1}}', 400, "invalid_type", "input", "without a 'text'"),
    (b'{"input":["a",null]}', 400, "invalid_type", "input", "input[1]"),
    (b'{"input":[1,"a"]}', 400, "invalid_type", "input", "mixes"),
    (b'{"input":[1.5]}', 400, "invalid_type", "input", "got float"),
    (b'{"input":[[1,true]]}', 400, "invalid_type", "input", "input[0][1]"),
    (b'{"input":[-1]}', 400, "invalid_type", "input", "check_embedding_ctx_length=False"),
    (b'{"input":[[99999999999]]}', 400, "invalid_type", "input", "check_embedding_ctx_length=False"),
    (b'{"input":[' + b"9" * 5000 + b"]}", 400, "invalid_type", "input", "check_embedding_ctx_length=False"),
    (b'{"input":"a","dimensions":-1}', 400, "invalid_type", "dimensions", "dimensions: expected int >= 1"),
    (b'{"input":"a","dimensions":0}', 400, "invalid_type", "dimensions", "dimensions"),
    (b'{"input":"a","dimensions":"8"}', 400, "invalid_type", "dimensions", "got str"),
    (b'{"input":"a","encoding_format":"hex"}', 400, "invalid_type", "encoding_format", "'hex'"),
    (b'{"input":"a","model":7}', 400, "invalid_type", "model", "got int"),
    (b'{"input":"a","model":"gpt"}', 404, "model_not_found", "model", "tiny"),
    (b'{"input":""}', 400, "empty_input", "input", "nothing to compute"),
    (b'{"input":[]}', 400, "empty_input", "input", "'input' is an empty list; there is nothing to compute"),
    (b'{"input":[[]]}', 400, "empty_input", "input", "input[0]"),
]


@pytest.mark.parametrize(("body", "status", "code", "param", "says"), BAD, ids=[str(row[0][:40]) for row in BAD])
async def test_bad_input_is_the_callers_mistake_and_the_next_request_is_right(
    body: bytes, status: int, code: str, param: str | None, says: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/v1/embeddings", content=body)
    refused = msgspec.json.decode(answer.content, type=ErrorBody)
    assert (answer.status_code, refused.error.code, refused.error.param) == (status, code, param)
    assert says in refused.error.message
    assert refused.message == refused.detail == refused.error.message
    assert refused.code == status
    assert refused.error.type == "invalid_request_error"
    assert (await client.post("/v1/embeddings", json={"input": "a"})).status_code == 200


async def test_an_error_of_one_input_blames_the_input_field(client: httpx.AsyncClient, model: RecordingModel) -> None:
    model.error = InvalidInput("input 3 has token id 99999", index=3)
    answer = await client.post("/v1/embeddings", json={"input": "a"})
    assert answer.json()["error"]["param"] == "input"


async def test_of_a_key_that_occurs_twice_the_last_counts(client: httpx.AsyncClient, model: RecordingModel) -> None:
    await client.post("/v1/embeddings", content=b'{"input":"a","input":"b"}')
    assert model.calls[0][0] == ["b"]


@pytest.mark.parametrize(
    ("error", "status", "kind", "flat"),
    [
        (InvalidInput("too long", param="input", index=3), 400, "invalid_request_error", "Validation"),
        (Overloaded("full", retry_after=2.2), 429, "rate_limit_error", "Overloaded"),
        (Unavailable("closing"), 503, "server_error", "Unhealthy"),
        (ForwardFailed("the runtime failed"), 500, "server_error", "Backend"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_the_models_errors_have_their_statuses(
    error: Exception, status: int, kind: str, flat: str, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    model.error = error
    answer = await client.post("/v1/embeddings", json={"input": "a"})
    body = msgspec.json.decode(answer.content, type=ErrorBody)
    assert (answer.status_code, body.error.type, body.type) == (status, kind, flat)
    assert body.message == str(error)
    assert answer.headers.get("retry-after") == ("3" if status == 429 else None)
