"""POST /rerank: whose route it is, by the keys of the body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from textmill.contract import RerankOptions
from textmill.testing.served import RecordingModel

TEXTS = {"query": "q", "texts": ["a", "bbb"]}
DOCUMENTS = {"query": "q", "documents": ["a", "bbb"]}
WEAVIATES = DOCUMENTS | {"property": ""}


async def test_texts_are_teis(client: httpx.AsyncClient, model: RecordingModel) -> None:
    fields = {"raw_scores": False, "truncate": False, "truncation_direction": "Right", "return_text": True}
    answer = await client.post("/rerank", json=TEXTS | fields)
    assert answer.json() == [{"index": 1, "text": "bbb", "score": 3.0}, {"index": 0, "text": "a", "score": 1.0}]
    assert model.calls[-1][1] == RerankOptions(truncate=False, truncate_side="right")


async def test_documents_are_coheres_and_jinas(client: httpx.AsyncClient, model: RecordingModel) -> None:
    body = (await client.post("/rerank", json=DOCUMENTS | {"top_n": 1, "model": "tiny", "truncation": False})).json()
    assert (body["object"], body["results"]) == ("rerank", [{"index": 1, "relevance_score": 3.0}])
    assert model.calls[-1][1] == RerankOptions(truncate=False)
    wanted = (await client.post("/rerank", json=DOCUMENTS | {"return_documents": True})).json()
    assert wanted["results"][0] == {"index": 1, "document": {"text": "bbb"}, "relevance_score": 3.0}


@pytest.mark.parametrize("name", ["", "title"])
async def test_documents_with_a_property_are_weaviates(name: str, client: httpx.AsyncClient) -> None:
    answer = await client.post("/rerank", json=DOCUMENTS | {"property": name})
    assert answer.json() == {
        "query": "q",
        "scores": [{"document": "a", "score": 1.0}, {"document": "bbb", "score": 3.0}],
    }
    assert answer.headers["x-model-fingerprint"] == "f00d"


async def test_many_documents_keep_their_order(client: httpx.AsyncClient) -> None:
    documents = ["x" * (1 + index % 7) for index in range(600)]
    answer = await client.post("/rerank", json={"query": "q", "documents": documents, "property": ""})
    assert [each["document"] for each in answer.json()["scores"]] == documents


@pytest.mark.parametrize(("fields", "status"), [(TEXTS, 424), (DOCUMENTS, 500), (WEAVIATES, 500)])
async def test_a_score_that_is_no_number_is_the_models_failure_for_all(
    fields: dict[str, Any], status: int, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    model.scores = float("nan")
    answer = await client.post("/rerank", json=fields)
    assert answer.status_code == status


@pytest.mark.parametrize("fields", [DOCUMENTS, WEAVIATES])
async def test_only_tei_insists_on_the_type_of_json(fields: dict[str, Any], client: httpx.AsyncClient) -> None:
    def content(value: dict[str, Any]) -> bytes:
        return httpx.Request("POST", "http://server", json=value).content

    assert (await client.post("/rerank", content=content(fields))).status_code == 200
    assert (await client.post("/rerank", content=content(TEXTS))).status_code == 415


async def test_null_is_as_if_it_were_not_there(client: httpx.AsyncClient) -> None:
    for fields in (TEXTS | {"documents": None, "property": None}, TEXTS | {"top_n": None}):
        assert isinstance((await client.post("/rerank", json=fields)).json(), list)
    assert "results" in (await client.post("/rerank", json=DOCUMENTS | {"texts": None, "property": None})).json()


def kind(answer: httpx.Response) -> str:
    """Whose error it is."""
    if answer.headers["content-type"].startswith("text/plain"):
        return "tei"
    body = answer.json()
    if isinstance(body["error"], dict):
        assert body["detail"] == body["message"]
        return "documents"
    assert isinstance(body["error"], str)
    return "weaviate"


@pytest.mark.parametrize(
    ("fields", "whose", "status", "words"),
    [
        ({}, "tei", 422, "query"),
        ({"query": "q"}, "tei", 422, "texts"),
        ({"query": "q", "raw_scores": True}, "tei", 422, "texts"),
        ({"query": "q", "top_n": 1}, "documents", 400, "documents"),
        ({"query": "q", "return_documents": True}, "documents", 400, "documents"),
        ({"query": "q", "property": "p"}, "weaviate", 400, "documents"),
        (TEXTS | DOCUMENTS, "tei", 422, "not both"),
        (TEXTS | DOCUMENTS | {"top_n": 1}, "documents", 400, "not both"),
        (TEXTS | WEAVIATES, "weaviate", 400, "not both"),
        (TEXTS | {"texts": [1]}, "tei", 422, "texts"),
        (DOCUMENTS | {"documents": [1]}, "documents", 400, "documents"),
        (DOCUMENTS | {"documents": []}, "documents", 400, "nothing to rank"),
        (DOCUMENTS | {"top_n": 0}, "documents", 400, "top_n"),
        (DOCUMENTS | {"model": "no"}, "documents", 404, "'no'"),
        (WEAVIATES | {"documents": "a"}, "weaviate", 400, "documents"),
        (WEAVIATES | {"documents": []}, "weaviate", 400, "nothing to rank"),
        (WEAVIATES | {"query": ""}, "weaviate", 400, "query"),
        (WEAVIATES | {"documents": ["a"] * 32_769}, "weaviate", 400, "32769"),
    ],
)
async def test_errors_are_in_the_dialect_of_who_asks(
    fields: dict[str, Any], whose: str, status: int, words: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post("/rerank", json=fields)
    assert (answer.status_code, kind(answer)) == (status, whose), answer.text
    assert words in answer.text


@pytest.mark.parametrize("body", [b"[]", b"1", b'"a"', b"null", b"", b"{"])
async def test_what_is_no_object_is_teis(body: bytes, client: httpx.AsyncClient) -> None:
    answer = await client.post("/rerank", content=body, headers={"content-type": "application/json"})
    assert kind(answer) == "tei"
    assert answer.status_code in (400, 422)


async def test_one_error_does_not_change_the_next_ones_dialect(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        assert kind(await client.post("/rerank", json=DOCUMENTS | {"documents": []})) == "documents"
        assert kind(await client.post("/rerank", json={"query": "q"})) == "tei"


async def test_as_tei_all_three_are_there(connect: Callable[..., httpx.AsyncClient]) -> None:
    client = connect(as_tei=True, any_model_name=True)
    assert isinstance((await client.post("/rerank", json=TEXTS)).json(), list)
    assert "results" in (await client.post("/rerank", json=DOCUMENTS | {"model": "rerank-v3.5"})).json()
    assert "scores" in (await client.post("/rerank", json=WEAVIATES)).json()


async def test_it_is_counted_as_teis_metrics_have_it(client: httpx.AsyncClient) -> None:
    for fields in (TEXTS, DOCUMENTS, WEAVIATES):
        assert (await client.post("/rerank", json=fields)).status_code == 200
    assert 'te_request_count{method="batch"} 3' in (await client.get("/metrics")).text


@pytest.mark.parametrize("fields", [TEXTS, DOCUMENTS, WEAVIATES])
async def test_a_wrong_key_is_told_to_all_who_may_ask(
    fields: dict[str, Any], connect: Callable[..., httpx.AsyncClient]
) -> None:
    """TEI's and Weaviate's clients read `error`, Cohere's `message`, and Jina's stumbles over an answer without `detail`."""
    answer = await connect(api_keys=("key",)).post("/rerank", json=fields, headers={"authorization": "Bearer wrong"})
    body = answer.json()
    assert (answer.status_code, answer.headers["www-authenticate"], body["error_type"]) == (
        401,
        "Bearer",
        "Unauthorized",
    )
    assert body["error"] == body["message"] == body["detail"]
    assert "API key" in body["detail"]


async def test_infinitys_clients_get_the_models_own_scores(client: httpx.AsyncClient, model: RecordingModel) -> None:
    fields = {"model": "default/not-specified", "raw_scores": True}
    assert (await client.post("/rerank", json=DOCUMENTS | fields)).status_code == 200
    assert model.calls[-1][1] == RerankOptions(scoring="raw")
    await client.post("/rerank", json=DOCUMENTS | {"raw_scores": None})
    assert model.calls[-1][1] == RerankOptions()
