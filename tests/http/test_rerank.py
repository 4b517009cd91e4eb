"""Reranking as LocalAI and Jina have it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import msgspec
import pytest

from textmill.contract import RerankOptions
from textmill.errors import InvalidInput
from textmill.http.rerank import RerankAnswer
from textmill.testing.served import RecordingModel

DOCUMENTS = ["aa", {"text": "a", "title": "kept out"}, "bb", "ccc"]


@pytest.mark.parametrize("path", ["/v1/rerank", "/jina/v1/rerank", "/v1/v1/rerank", "/v1//rerank"])
async def test_the_best_document_comes_first_and_of_equal_ones_the_earlier(
    path: str, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    answer = await client.post(path, json={"model": "tiny", "query": "q", "documents": DOCUMENTS})
    body = msgspec.json.decode(answer.content, type=RerankAnswer)
    assert answer.json()["results"] == [
        {"index": 3, "document": {"text": "ccc"}, "relevance_score": 3.0},
        {"index": 0, "document": {"text": "aa"}, "relevance_score": 2.0},
        {"index": 2, "document": {"text": "bb"}, "relevance_score": 2.0},
        {"index": 1, "document": {"text": "a"}, "relevance_score": 1.0},
    ]
    assert model.calls == [([("q", text) for text in ("aa", "a", "bb", "ccc")], RerankOptions())]
    assert (body.model, body.object) == ("tiny", "list")
    assert body.usage.prompt_tokens == body.usage.total_tokens == 16
    assert body.id
    assert body.meta.api_version.version == "1"
    assert (body.meta.billed_units, body.meta.tokens) == ({"search_units": 1}, {"input_tokens": 16})
    assert answer.headers["x-compute-characters"] == str(4 + 8)


@pytest.mark.parametrize(
    ("asked", "indices"), [(None, [3, 0, 2, 1]), (1, [3]), (3, [3, 0, 2]), (4, [3, 0, 2, 1]), (99, [3, 0, 2, 1])]
)
async def test_as_many_come_as_were_asked_for_and_there_are(
    asked: int | None, indices: list[int], client: httpx.AsyncClient
) -> None:
    answer = await client.post("/v1/rerank", json={"query": "q", "documents": DOCUMENTS, "top_n": asked})
    assert [result["index"] for result in answer.json()["results"]] == indices
    assert answer.json()["usage"]["total_tokens"] == 16


async def test_documents_stay_out_of_the_answer_where_they_are_not_wanted(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/rerank", json={"query": "q", "documents": ["a"], "return_documents": False})
    assert answer.json()["results"] == [{"index": 0, "relevance_score": 1.0}]


async def test_the_fields_that_are_to_be_read_are(client: httpx.AsyncClient, model: RecordingModel) -> None:
    documents = ["a", {"title": "t", "text": "x"}, {"text": "y"}, {"title": None, "text": "z", "more": 5}]
    fields = {"query": "q", "documents": documents, "rank_fields": ["title", "text"]}
    answer = await client.post("/v1/rerank", json=fields)
    assert model.calls[-1][0] == [("q", text) for text in ("a", "t\nx", "y", "z")]
    assert answer.json()["results"][0]["document"] == {"text": "t\nx"}


async def test_a_hundred_documents_count_as_one_search(client: httpx.AsyncClient) -> None:
    for count, units in ((100, 1), (101, 2)):
        answer = await client.post("/v1/rerank", json={"query": "q", "documents": ["a"] * count})
        assert answer.json()["meta"]["billed_units"] == {"search_units": units}


async def test_many_documents_are_ranked_as_few_are(client: httpx.AsyncClient) -> None:
    documents = ["x" * (1 + index) for index in range(600)]
    answer = await client.post("/v1/rerank", json={"query": "q", "documents": documents})
    assert [result["index"] for result in answer.json()["results"]] == list(range(599, -1, -1))


async def test_truncation_reaches_the_model_and_what_means_nothing_here_is_ignored(
    client: httpx.AsyncClient, model: RecordingModel
) -> None:
    asked = {"query": {"text": "q"}, "documents": ["a"]}
    ignored: dict[str, Any] = {"max_chunks_per_doc": 3, "overlap_tokens": 80, "backend": "", "user": 5}
    nulls = dict.fromkeys(("top_n", "return_documents", "truncation", "backend", "max_chunks_per_doc", "model"))
    for fields in ({"truncation": False}, ignored, nulls):
        assert (await client.post("/v1/rerank", json=asked | fields)).status_code == 200
    assert [options for _, options in model.calls] == [RerankOptions(truncate=False), RerankOptions(), RerankOptions()]


@pytest.mark.parametrize(
    ("fields", "code", "param", "words"),
    [
        ({"documents": []}, "empty_input", "documents", "nothing to rank"),
        ({"query": ""}, "empty_input", "query", "nothing to judge"),
        ({"top_n": 0}, "invalid_type", "top_n", ">= 1"),
        ({"documents": ["a", {"image": "http://…"}]}, "invalid_input", "documents", "documents[1] has an image"),
        ({"documents": [{"title": "t"}]}, "invalid_input", "documents", "documents[0]"),
        ({"documents": [{"text": 5}]}, "invalid_type", "documents", "documents[0].text"),
        ({"documents": [{"title": 5}], "rank_fields": ["title"]}, "invalid_type", "documents", "documents[0].title"),
        ({"documents": [{"text": "x"}], "rank_fields": ["a", "b"]}, "invalid_input", "documents", "fields a, b"),
        ({"rank_fields": "title"}, "invalid_type", "rank_fields", "array"),
        ({"documents": [1]}, "invalid_type", "documents", "documents"),
        ({"query": {"image": "data:…"}}, "invalid_input", "query", "query has an image"),
        ({"backend": "llama-cpp"}, "invalid_input", "backend", "runs on fake"),
        ({"backend": "onx"}, "invalid_input", "backend", "did you mean onnx"),
        ({"documents": ["a"] * 32_769}, "invalid_input", "documents", "32769"),
    ],
)
async def test_what_cannot_be_ranked_is_told(
    fields: dict[str, Any], code: str, param: str, words: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/v1/rerank", json={"query": "q", "documents": ["a"]} | fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, code, param)
    assert words in error["message"]
    assert answer.json()["detail"] == error["message"]


@pytest.mark.parametrize("backend", ["fake", "rerankers", "cross-encoder", "transformers", "cpu-rerankers"])
async def test_a_backend_that_means_the_models_own_changes_nothing(backend: str, client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/rerank", json={"query": "q", "documents": ["a"], "backend": backend})
    assert answer.status_code == 200


async def test_a_model_that_does_not_rank_says_what_to_do_instead(
    client: httpx.AsyncClient, model: RecordingModel
) -> None:
    model.info = replace(model.info, tasks=("embed",))
    answer = await client.post("/v1/rerank", json={"query": "q", "documents": ["a"]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "wrong_task")
    assert "/v1/embeddings" in answer.json()["error"]["message"]


def test_scores_are_those_of_teis_route(live: httpx.Client) -> None:
    query, texts = "what drives the mill", ["water", "bread is baked", "water drives the wheel of the mill"]
    teis = live.post("/m/reranker/rerank", json={"query": query, "texts": texts}).json()
    ours = live.post("/m/reranker/v1/rerank", json={"query": query, "documents": texts}).json()
    assert [(item["index"], item["score"]) for item in teis] == [
        (result["index"], result["relevance_score"]) for result in ours["results"]
    ]
    assert all(0 <= result["relevance_score"] <= 1 for result in ours["results"])
    [one] = live.post("/v1/rerank", json={"model": "reranker", "query": query, "documents": texts[:1]}).json()[
        "results"
    ]
    assert one["relevance_score"] == pytest.approx(next(i["score"] for i in teis if i["index"] == 0), abs=1e-6)


def test_another_model_that_ranks_is_named(live: httpx.Client) -> None:
    answer = live.post("/v1/rerank", json={"query": "q", "documents": ["a"], "model": "all-MiniLM-L6-v2"})
    assert answer.status_code == 400
    assert "reranker" in answer.json()["error"]["message"].partition("name one that does")[2]


async def test_a_document_that_is_too_long_is_wrong_in_the_documents(
    client: httpx.AsyncClient, model: RecordingModel
) -> None:
    model.error = InvalidInput("input 0 is too long", index=0)
    answer = await client.post("/v1/rerank", json={"query": "q", "documents": ["a"]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "documents")
