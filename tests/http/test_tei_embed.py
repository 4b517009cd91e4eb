from __future__ import annotations

import httpx
import numpy as np
import pytest

from textmill.contract import SparseOptions, TextOptions
from textmill.testing.served import RecordingModel, vector_of


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


@pytest.mark.parametrize("path", ["/embed_all", "/embed_sparse"])
async def test_an_empty_text_is_refused(path: str, client: httpx.AsyncClient) -> None:
    answer = await client.post(path, json={"inputs": ["a", ""]})
    assert (answer.status_code, answer.json()["error_type"]) == (400, "Empty")
