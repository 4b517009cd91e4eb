from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from textmill.contract import EmbedOptions
from textmill.errors import ForwardFailed, InvalidInput, Overloaded, Unavailable
from textmill.http.tei import Info
from textmill.http.tei_dialect import ErrorText
from textmill.testing.served import RecordingModel, vector_of

Connect = Callable[..., httpx.AsyncClient]


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        ("a", ["a"]),
        ([101, 102], [[101, 102]]),
        (["a", "b"], ["a", "b"]),
        (["a", [101, 102]], ["a", [101, 102]]),
        ([[1, 2], [3]], [[1, 2], [3]]),
    ],
)
async def test_every_shape_of_inputs_gives_a_list_of_vectors(
    given: Any, rows: list[Any], client: httpx.AsyncClient, model: RecordingModel
) -> None:
    answer = await client.post("/embed", json={"inputs": given})
    assert answer.status_code == 200
    assert np.array_equal(np.float32(answer.json()), np.stack([vector_of(row) for row in rows]))
    assert model.calls[0][0] == rows


async def test_numbers_are_the_shortest_float32_decimals(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed", json={"inputs": "a"})
    assert answer.json() == [[float(str(value)) for value in vector_of("a")]]


async def test_a_large_answer_is_one_array_in_order(client: httpx.AsyncClient) -> None:
    texts = [str(i) for i in range(400)]
    rows = (await client.post("/embed", json={"inputs": texts})).json()
    assert len(rows) == 400
    assert np.array_equal(np.float32(rows[399]), vector_of("399"))


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, EmbedOptions()),
        (
            dict.fromkeys(("truncate", "truncation_direction", "prompt_name", "normalize", "dimensions")),
            EmbedOptions(),
        ),
        ({"truncate": False, "normalize": False}, EmbedOptions(truncate=False, normalize=False)),
        ({"truncation_direction": "Left"}, EmbedOptions(truncate_side="left")),
        ({"truncation_direction": "left"}, EmbedOptions(truncate_side="left")),
        ({"truncation_direction": "Right", "options": {"wait_for_model": True}}, EmbedOptions(truncate_side="right")),
        ({"prompt_name": "query", "dimensions": 8}, EmbedOptions(prompt_name="query", dimensions=8)),
    ],
)
async def test_options_reach_the_model(
    fields: dict[str, Any], options: EmbedOptions, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    answer = await client.post("/embed", json={"inputs": "a"} | fields)
    assert answer.status_code == 200
    assert model.calls[0][1] == options


async def test_headers_say_what_was_computed_and_where_the_time_went(client: httpx.AsyncClient) -> None:
    headers = (await client.post("/embed", json={"inputs": ["héé", [5, 6]]})).headers
    assert headers["x-compute-type"] == "cpu+optimized"
    assert headers["x-compute-characters"] == "5"
    assert headers["x-compute-tokens"] == "9"
    assert (headers["x-tokenization-time"], headers["x-queue-time"], headers["x-inference-time"]) == ("1", "2", "3")
    assert headers["x-total-time"] == headers["x-compute-time"]
    assert headers["x-total-time"].isdecimal()
    assert headers["x-model-fingerprint"] == "f00d"
    assert "x-truncated-inputs" not in headers


async def test_a_cut_text_is_told(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed", json={"inputs": ["x" * 300, "a"]})
    assert answer.headers["x-truncated-inputs"] == "1"


PLAIN = [
    (b"{", 400, "not JSON"),
    (b"", 400, "empty"),
    (b'{"inputs":"\\udc00"}', 400, "not JSON"),
    (b"{}", 422, "'inputs' is missing"),
    (b'{"inputs":null}', 422, "inputs"),
    (b'{"inputs":5}', 422, "inputs"),
    (b'{"inputs":[1,"a"]}', 422, "mixes"),
    (b'{"inputs":[-1]}', 422, "inputs[0]"),
    (b'{"inputs":[4294967296]}', 422, "inputs[0]"),
    (b'{"inputs":"a","dimensions":-1}', 422, "dimensions"),
    (b'{"inputs":"a","truncation_direction":"up"}', 422, "'up'"),
    (b'{"inputs":"a","normalize":"yes"}', 422, "normalize"),
]


@pytest.mark.parametrize(("body", "status", "says"), PLAIN, ids=[str(row[0]) for row in PLAIN])
async def test_a_body_that_cannot_be_read_is_refused_in_plain_text(
    body: bytes, status: int, says: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/embed", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/plain; charset=utf-8")
    assert says in answer.text
    assert (await client.post("/embed", json={"inputs": "a"})).status_code == 200


@pytest.mark.parametrize("inputs", [[], "", [""], ["a", ""], [[]], ["a", []]], ids=str)
async def test_nothing_to_embed_is_empty(inputs: Any, client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed", json={"inputs": inputs})
    assert (answer.status_code, answer.json()["error_type"]) == (400, "Empty")


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidInput("too long"), 422, "Validation"),
        (Overloaded("full", retry_after=0.2), 429, "Overloaded"),
        (Unavailable("closing"), 503, "Unhealthy"),
        (ForwardFailed("the runtime failed"), 424, "Backend"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_the_models_errors_have_their_statuses(
    error: Exception, status: int, kind: str, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    model.error = error
    answer = await client.post("/embed", json={"inputs": "a"})
    body = msgspec.json.decode(answer.content, type=ErrorText)
    assert (answer.status_code, body) == (status, ErrorText(str(error), kind))
    assert answer.headers.get("retry-after") == ("1" if status == 429 else None)
    assert "x-compute-time" not in answer.headers


async def test_too_many_inputs_are_a_validation_error(connect: Connect) -> None:
    client = connect(max_inputs=2)
    answer = await client.post("/embed", json={"inputs": ["a", "b", "c"]})
    assert (answer.status_code, answer.json()["error_type"]) == (422, "Validation")
    assert (await client.post("/embed", json={"inputs": [1, 2, 3]})).status_code == 200


async def test_info_has_teis_keys_first_and_then_ours(connect: Connect) -> None:
    answer = await connect(version="1.2.3").get("/info")
    keys = list(answer.json())
    assert keys[:5] == ["model_id", "model_sha", "model_dtype", "served_model_name", "model_type"]
    info = msgspec.json.decode(answer.content, type=Info)
    assert (info.model_id, info.served_model_name, info.version) == ("owner/tiny", "tiny", "1.2.3")
    assert answer.json()["model_type"] == {"embedding": {"pooling": "mean"}}
    assert info.models == ["tiny"]


@pytest.mark.parametrize(
    ("tasks", "labels", "kind"),
    [
        (("embed_sparse",), (), {"embedding": {"pooling": "splade"}}),
        (("rerank", "classify"), ("ok",), {"reranker": {"id2label": {"0": "ok"}, "label2id": {"ok": 0}}}),
        (
            ("classify",),
            ("no", "yes"),
            {"classifier": {"id2label": {"0": "no", "1": "yes"}, "label2id": {"no": 0, "yes": 1}}},
        ),
    ],
)
async def test_info_says_what_kind_of_model_it_is(
    tasks: Any, labels: Any, kind: Any, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    model.info = replace(model.info, tasks=tasks, labels=labels)
    assert (await client.get("/info")).json()["model_type"] == kind


async def test_health_is_empty_while_ready_and_503_afterwards(client: httpx.AsyncClient, model: RecordingModel) -> None:
    healthy = await client.get("/health")
    assert (healthy.status_code, healthy.content) == (200, b"")
    model.ready = False
    unhealthy = await client.get("/health")
    assert (unhealthy.status_code, unhealthy.json()["error_type"]) == (503, "Unhealthy")
