from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from textmill.contract import Classifications, ClassifyOptions, Input, Pair, RerankOptions, Scores
from textmill.errors import WrongTask
from textmill.http.app import create_app
from textmill.http.settings import HttpSettings
from textmill.telemetry import Telemetry
from textmill.testing.served import RecordingModel, RecordingStore, vector_of


@pytest.mark.parametrize(
    ("given", "examples", "batch"),
    [
        ("a", ["a"], False),
        (["a"], ["a"], False),
        (["a", "b"], [("a", "b")], False),
        (["a", ""], [("a", "")], False),
        ([["a"], ["b", "c"]], ["a", ("b", "c")], True),
        ([["a"]], ["a"], True),
    ],
)
async def test_a_list_of_texts_is_one_text_or_one_pair(
    given: Any, examples: list[Any], batch: object, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    answer = await client.post("/predict", json={"inputs": given})
    assert answer.status_code == 200
    assert model.calls == [(examples, ClassifyOptions())]
    predictions = answer.json() if batch else [answer.json()]
    for example, prediction in zip(examples, predictions, strict=True):
        scores = dict(zip(model.info.labels, vector_of(example, 3), strict=True))
        assert [item["label"] for item in prediction] == sorted(scores, key=lambda name: -scores[name])
        assert [item["score"] for item in prediction] == [float(str(scores[item["label"]])) for item in prediction]


@pytest.mark.parametrize("given", [["a", "b", "c"], [["a", "b", "c"]], [[]], [], ["a", ["b"]], [["a"], "b"], 5])
async def test_other_shapes_are_refused_in_plain_text(given: Any, client: httpx.AsyncClient) -> None:
    answer = await client.post("/predict", json={"inputs": given})
    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("given", ["", [""], ["", ""], [["a"], [""]]])
async def test_an_example_without_text_is_empty(given: Any, client: httpx.AsyncClient) -> None:
    answer = await client.post("/predict", json={"inputs": given})
    assert (answer.status_code, answer.json()["error_type"]) == (400, "Empty")


async def test_raw_scores_and_truncation_reach_the_model(client: httpx.AsyncClient, model: RecordingModel) -> None:
    fields = {"raw_scores": True, "truncate": False, "truncation_direction": "Left"}
    await client.post("/predict", json={"inputs": "a"} | fields)
    await client.post("/rerank", json={"query": "q", "texts": ["a"]} | fields)
    how: dict[str, Any] = {"scoring": "raw", "truncate": False, "truncate_side": "left"}
    assert [options for _, options in model.calls] == [ClassifyOptions(**how), RerankOptions(**how)]


async def test_the_best_text_comes_first_and_of_equal_ones_the_later(client: httpx.AsyncClient) -> None:
    answer = await client.post("/rerank", json={"query": "q", "texts": ["aa", "a", "bb", "ccc"]})
    assert answer.json() == [
        {"index": 3, "score": 3.0},
        {"index": 2, "score": 2.0},
        {"index": 0, "score": 2.0},
        {"index": 1, "score": 1.0},
    ]
    assert answer.headers["x-compute-characters"] == str(4 + 8)


async def test_texts_are_repeated_only_when_asked_for(client: httpx.AsyncClient) -> None:
    answer = await client.post("/rerank", json={"query": "q", "texts": ["a", "bb"], "return_text": True})
    assert answer.json() == [{"index": 1, "text": "bb", "score": 2.0}, {"index": 0, "text": "a", "score": 1.0}]


async def test_many_texts_are_ranked_as_few_are(client: httpx.AsyncClient) -> None:
    texts = [f"text {index}" for index in range(700)]
    ranks = (await client.post("/rerank", json={"query": "q", "texts": texts, "return_text": True})).json()
    assert sorted(rank["index"] for rank in ranks) == list(range(700))
    assert all(rank["text"] == texts[rank["index"]] for rank in ranks)
    scores = [rank["score"] for rank in ranks]
    assert scores == sorted(scores, reverse=True)


async def test_no_texts_are_empty(client: httpx.AsyncClient) -> None:
    answer = await client.post("/rerank", json={"query": "q", "texts": []})
    assert (answer.status_code, answer.json()["error_type"]) == (400, "Empty")


async def test_another_kind_of_model_is_a_backend_error_with_the_reason(
    client: httpx.AsyncClient, model: RecordingModel
) -> None:
    model.error = WrongTask("this model cannot rerank; it can embed")
    answer = await client.post("/rerank", json={"query": "q", "texts": ["a"]})
    assert answer.status_code == 424
    assert answer.json() == {"error": "this model cannot rerank; it can embed", "error_type": "Backend"}


class Broken(RecordingModel):
    """Scores that are not numbers."""

    async def classify_inputs(self, inputs: Sequence[Input | Pair], options: ClassifyOptions) -> Classifications:
        made = await super().classify_inputs(inputs, options)
        return replace(made, scores=np.full_like(made.scores, np.nan))

    async def rerank_inputs(self, query: str, texts: Sequence[str], options: RerankOptions) -> Scores:
        made = await super().rerank_inputs(query, texts, options)
        return replace(made, scores=np.array([1, np.nan], np.float32))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", {"inputs": "a"}),
        ("/rerank", {"query": "q", "texts": ["a", "b"]}),
        ("/", {"inputs": "a", "parameters": {}}),
    ],
)
async def test_a_score_that_is_no_number_is_a_failure_of_the_model(
    path: str, body: dict[str, Any], settings: HttpSettings
) -> None:
    transport = httpx.ASGITransport(create_app(RecordingStore(Broken()), settings, Telemetry()))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        answer = await client.post(path, json=body)
    assert (answer.status_code, answer.json()["error_type"]) == (424, "Backend")
