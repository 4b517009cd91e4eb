from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from textmill.contract import ZeroShotOptions
from textmill.testing.served import RecordingModel, vector_of


@pytest.fixture
def model() -> RecordingModel:
    made = RecordingModel()
    made.info = replace(made.info, tasks=(*made.info.tasks, "classify_zero_shot"))
    return made


ZERO_SHOT: Any = {"inputs": "a", "parameters": {"candidate_labels": ["x", "yy"]}}


@pytest.mark.parametrize(
    "path",
    [
        "/models/tiny/pipeline/feature-extraction",
        "/models/owner/tiny/pipeline/feature-extraction",
        "/hf-inference/models/owner%2Ftiny/pipeline/feature-extraction",
        "/pipeline/feature-extraction/owner/tiny",
        "/models/owner/tiny",
        "/hf-inference/models/tiny",
    ],
)
async def test_a_path_names_the_model_and_what_it_does(
    path: str, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    if "pipeline" not in path:
        model.info = replace(model.info, tasks=("embed",))
    answer = await client.post(path, json={"inputs": ["a"], "normalize": None, "options": {"wait_for_model": True}})
    assert answer.status_code == 200
    assert np.array_equal(np.float32(answer.json()[0]), vector_of("a"))


@pytest.mark.parametrize(
    ("pipeline", "body", "answered"),
    [
        ("sentence-similarity", {"inputs": {"source_sentence": "a", "sentences": ["a", "b"]}}, 2),
        ("text-ranking", {"query": "q", "texts": ["a", "bb", "c"]}, 3),
        ("zero-shot-classification", ZERO_SHOT, 2),
        ("text-generation", {"inputs": "So"}, 1),
    ],
)
async def test_each_pipeline_answers_in_its_shape(
    pipeline: str, body: Any, answered: int, client: httpx.AsyncClient
) -> None:
    answer = await client.post(f"/models/tiny/pipeline/{pipeline}", json=body)
    assert answer.status_code == 200
    assert len(answer.json()) == answered


async def test_classes_stand_in_a_list_for_each_text(client: httpx.AsyncClient) -> None:
    for body in ({"inputs": "a"}, {"inputs": "a", "parameters": {}}, {"inputs": "a", "parameters": None}):
        [labels] = (await client.post("/models/tiny/pipeline/text-classification", json=body)).json()
        assert {each["label"] for each in labels} == {"joy", "anger", "fear"}


async def test_zero_shot_takes_its_parameters(client: httpx.AsyncClient, model: RecordingModel) -> None:
    await client.post("/pipeline/zero-shot-classification/tiny", json=ZERO_SHOT)
    assert model.calls[0] == (["a"], ZeroShotOptions())


async def test_an_unknown_pipeline_names_those_that_are_there(client: httpx.AsyncClient) -> None:
    answer = await client.post("/models/tiny/pipeline/fill-mask", json={"inputs": "a"})
    assert answer.status_code == 404
    assert "'fill-mask' here; there are feature-extraction" in answer.json()["error"]


async def test_an_unknown_model_is_404(client: httpx.AsyncClient) -> None:
    for path in ("/models/gpt/pipeline/feature-extraction", "/models/gpt"):
        answer = await client.post(path, json={"inputs": "a"})
        assert (answer.status_code, answer.json()["error_type"]) == (404, "NotFound")


async def test_a_missing_field_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.post("/models/tiny/pipeline/feature-extraction", json={"input": "a"})
    assert answer.status_code == 422
    assert "'inputs'" in answer.text
