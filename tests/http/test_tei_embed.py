from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from textmill.contract import Chunking, ChunkOptions, EmbedOptions, Kind, SparseOptions, TextOptions
from textmill.testing.served import RecordingModel, vector_of

Connect = Callable[..., httpx.AsyncClient]


async def test_embed_all_gives_a_list_of_vectors_for_each_text(
    client: httpx.AsyncClient, model: RecordingModel
) -> None:
    body = {"inputs": ["ab", [7]], "truncate": False, "truncation_direction": "left", "prompt_name": "query"}
    answer = await client.post("/embed_all", json=body)
    assert answer.status_code == 200
    assert [np.shape(rows) for rows in answer.json()] == [(2, 4), (1, 4)]
    assert np.array_equal(np.float32(answer.json()[1][0]), vector_of([7], 4))
    assert model.calls == [(["ab", [7]], TextOptions(truncate=False, truncate_side="left", prompt_name="query"))]


async def test_a_single_text_is_nested_all_the_same(client: httpx.AsyncClient) -> None:
    assert np.shape((await client.post("/embed_all", json={"inputs": "abc"})).json()) == (1, 3, 4)
    assert len((await client.post("/embed_sparse", json={"inputs": "abc"})).json()) == 1


async def test_embed_sparse_gives_entries_with_index_and_value(
    client: httpx.AsyncClient, model: RecordingModel
) -> None:
    answer = await client.post("/embed_sparse", json={"inputs": ["abc", "ab"]})
    assert answer.json() == [
        [{"index": 3, "value": float(str(vector_of("abc", 1)[0]))}],
        [{"index": 2, "value": float(str(vector_of("ab", 1)[0]))}],
    ]
    assert model.calls[0][1] == SparseOptions()
    assert answer.headers["x-compute-characters"] == "5"


@pytest.mark.parametrize(("side", "kind"), [("query", "query"), ("document", "document"), (None, "document")])
async def test_embed_sparse_learns_the_side(
    side: str | None, kind: Kind, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    answer = await client.post("/embed_sparse", json={"inputs": ["abc"], "input_type": side})
    assert (answer.status_code, model.calls[0][1]) == (200, SparseOptions(kind=kind))


async def test_a_side_that_there_is_not_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.post("/embed_sparse", json={"inputs": ["abc"], "input_type": "other"})
    assert 400 <= answer.status_code < 500
    assert "input_type" in answer.text


async def test_chunks_come_with_their_places(client: httpx.AsyncClient, model: RecordingModel) -> None:
    body = {"inputs": ["ab", "c"], "chunk_tokens": 8, "chunk_overlap": 2, "late": True, "dimensions": 4}
    answer = await client.post("/embed_chunks", json=body)
    vector = [float(str(value)) for value in vector_of("ab", 4)]
    assert answer.json()[0] == [{"start": 0, "end": 2, "tokens": 2, "embedding": vector}]
    assert model.calls[0][1] == ChunkOptions(chunking=Chunking(8, 2), late=True, dimensions=4)


async def test_spans_are_pooled_late(client: httpx.AsyncClient, model: RecordingModel) -> None:
    answer = await client.post("/embed_chunks", json={"inputs": "ab", "spans": [[[0, 1], [1, 2]]]})
    assert answer.status_code == 200
    assert model.calls[0][1] == ChunkOptions(late=True, spans=[[(0, 1), (1, 2)]])


async def test_a_request_has_no_more_spans_than_it_may_have_inputs(connect: Connect) -> None:
    client = connect(max_inputs=3)
    spans = [[[0, 1], [1, 2]], [[0, 1], [1, 2]]]
    answer = await client.post("/embed_chunks", json={"inputs": ["ab", "cd"], "spans": spans})
    assert answer.status_code == 422
    assert answer.json()["error"] == "'spans' has 4 spans; this server takes 3 a request"


@pytest.mark.parametrize(
    ("fields", "truncate", "chunking"),
    [
        ({"on_overflow": "truncate"}, True, None),
        ({"on_overflow": "error"}, False, None),
        ({"on_overflow": "chunk"}, True, Chunking()),
        ({"on_overflow": "chunk", "chunk_tokens": 8, "chunk_overlap": 2}, True, Chunking(8, 2)),
    ],
)
@pytest.mark.parametrize("path", ["/embed", "/v1/embeddings"])
async def test_a_request_says_what_is_done_with_long_texts(
    path: str,
    fields: dict[str, Any],
    truncate: object,
    chunking: Chunking | None,
    client: httpx.AsyncClient,
    model: RecordingModel,
) -> None:
    answer = await client.post(path, json={"input": "a", "inputs": "a"} | fields)
    assert answer.status_code == 200
    assert model.calls[0][1] == EmbedOptions(truncate=bool(truncate), chunking=chunking)


async def test_sizes_of_chunks_without_chunks_are_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/embeddings", json={"input": "a", "chunk_tokens": 8})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "chunk_tokens"


@pytest.mark.parametrize("path", ["/embed_all", "/embed_chunks", "/embed_sparse"])
async def test_an_empty_text_is_refused(path: str, client: httpx.AsyncClient) -> None:
    answer = await client.post(path, json={"inputs": ["a", ""]})
    assert (answer.status_code, answer.json()["error_type"]) == (400, "Empty")
