from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import msgspec
import pytest

from textmill.contract import ClassifyOptions, EmbedOptions
from textmill.http.infinity import ClassifyAnswer
from textmill.testing.served import RecordingModel


async def test_all_labels_come_the_best_first(client: httpx.AsyncClient, model: RecordingModel) -> None:
    body = {"input": ["a", "b c"], "model": "default/not-specified", "raw_scores": True}
    answer = await client.post("/classify", json=body)
    made = msgspec.json.decode(answer.content, type=ClassifyAnswer)
    assert [sorted(each.label for each in row) for row in made.data] == [["anger", "fear", "joy"]] * 2
    assert all(row[0].score >= row[1].score >= row[2].score for row in made.data)
    assert (made.model, made.usage.total_tokens) == ("tiny", 8)
    assert model.calls == [(["a", "b c"], ClassifyOptions(scoring="raw"))]


async def test_its_client_asks_for_embeddings_of_no_dimensions(
    client: httpx.AsyncClient, model: RecordingModel
) -> None:
    """It means all of them, and says so in every request."""
    fields = {"input": ["a"], "model": "default/not-specified", "modality": "text"}
    assert (await client.post("/embeddings", json=fields | {"dimensions": 0})).status_code == 200
    assert model.calls == [(["a"], EmbedOptions())]
    answer = await client.post("/embeddings", json=fields | {"dimensions": -1})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "dimensions")


async def test_null_equals_absent(client: httpx.AsyncClient, model: RecordingModel) -> None:
    await client.post("/classify", json={"input": "a", "model": None, "raw_scores": None})
    assert model.calls == [(["a"], ClassifyOptions())]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "invalid_type", "input"),
        ({"input": []}, "empty_input", "input"),
        ({"input": ["a", ""]}, "empty_input", "input"),
        ({"input": 5}, "invalid_type", "input"),
        ({"input": "a", "raw_scores": "yes"}, "invalid_type", "raw_scores"),
    ],
)
async def test_bad_input_is_refused(body: dict[str, Any], code: str, param: str, client: httpx.AsyncClient) -> None:
    answer = await client.post("/classify", json=body)
    assert answer.status_code == 400
    assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == (code, param)


async def test_a_model_without_labels_says_what_it_can(client: httpx.AsyncClient, model: RecordingModel) -> None:
    model.info = replace(model.info, tasks=("embed",))
    answer = await client.post("/classify", json={"input": "a"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "wrong_task")
    assert "it can embed" in answer.json()["detail"]


async def test_a_score_that_is_no_number_is_the_models_failure(
    client: httpx.AsyncClient, model: RecordingModel
) -> None:
    model.scores = float("nan")
    assert (await client.post("/classify", json={"input": "a"})).status_code == 500
