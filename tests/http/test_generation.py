from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from textmill.contract import CompleteOptions, Sampling
from textmill.errors import InvalidInput
from textmill.testing.served import RecordingModel

Asked = list[tuple[Any, Any]]


@pytest.fixture
def model() -> RecordingModel:
    made = RecordingModel()
    made.info = replace(made.info, tasks=("chat", "complete"))
    return made


async def test_a_model_that_writes_goes_on_with_the_inputs(client: httpx.AsyncClient, model: RecordingModel) -> None:
    answer = await client.post("/", json={"inputs": "So"})
    assert answer.json() == [{"generated_text": "The mill turns."}]
    assert model.asked == [("So", CompleteOptions(max_tokens=100, sampling=Sampling(temperature=0.0)))]


async def test_parameters_reach_the_model(client: httpx.AsyncClient, model: RecordingModel) -> None:
    said = {"max_new_tokens": 3, "temperature": 0.5, "top_k": 5, "seed": 7, "stop": ["."], "repetition_penalty": 1.1}
    await client.post("/", json={"inputs": "So", "parameters": {**said, "top_p": 0.9, "typical_p": 0.8}})
    sampling = Sampling(temperature=0.5, top_p=0.9, top_k=5, typical_p=0.8, seed=7, repeat_penalty=1.1)
    assert model.asked == [("So", CompleteOptions(max_tokens=3, stop=(".",), sampling=sampling))]


async def test_sampling_without_a_temperature_is_the_models_own(
    client: httpx.AsyncClient, model: RecordingModel
) -> None:
    await client.post("/", json={"inputs": "So", "parameters": {"do_sample": True}})
    assert model.asked[0][1].sampling == Sampling()


async def test_details_and_the_whole_text_come_where_they_are_wanted(client: httpx.AsyncClient) -> None:
    body = {"inputs": "So ", "parameters": {"details": True, "return_full_text": True}}
    [said] = (await client.post("/models/tiny/pipeline/text-generation", json=body)).json()
    assert said["generated_text"] == "So The mill turns."
    assert (said["details"]["finish_reason"], said["details"]["generated_tokens"]) == ("eos_token", 2)


async def test_a_stream_has_an_event_for_each_piece_and_ends_with_the_text(client: httpx.AsyncClient) -> None:
    answer = await client.post("/", json={"inputs": "So", "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    *lines, done = [line.removeprefix("data: ") for line in answer.text.split("\n") if line]
    events = [json.loads(line) for line in lines]
    assert done == "[DONE]"
    assert [event["token"]["text"] for event in events] == ["The mill", " turns.", ""]
    assert [event["generated_text"] for event in events] == [None, None, "The mill turns."]
    assert events[-1]["details"]["input_length"] == 9


async def test_a_model_that_does_other_things_too_writes_where_tokens_are_asked_for(
    client: httpx.AsyncClient, model: RecordingModel
) -> None:
    model.info = replace(model.info, tasks=("embed", "complete"))
    answer = await client.post("/", json={"inputs": "So", "parameters": {"max_new_tokens": 2}})
    assert answer.json() == [{"generated_text": "The mill turns."}]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"inputs": ""}, 400, "nothing to go on with"),
        ({"inputs": "a", "parameters": {"stop": [""]}}, 422, "empty text"),
        ({"inputs": "a", "parameters": {"stop": ["a"] * 65}}, 422, "at most 64"),
        ({"inputs": "a", "parameters": {"max_new_tokens": 0}}, 422, "max_new_tokens"),
        ({"inputs": "a", "parameters": {"temperature": -1}}, 422, "temperature"),
        ({"inputs": ["a"]}, 422, "inputs"),
    ],
)
async def test_bad_input_is_refused(body: Any, status: int, says: str, client: httpx.AsyncClient) -> None:
    answer = await client.post("/", json=body)
    assert answer.status_code == status
    assert says in answer.text


async def test_an_error_within_a_stream_is_an_event(client: httpx.AsyncClient, model: RecordingModel) -> None:
    model.script = [*model.script[:1], InvalidInput("it went wrong")]
    answer = await client.post("/", json={"inputs": "So", "stream": True})
    assert answer.status_code == 200
    assert "it went wrong" in answer.text


async def test_instances_of_vertex_are_written_too_but_not_as_streams(client: httpx.AsyncClient) -> None:
    answer = await client.post("/vertex", json={"instances": [{"inputs": "So"}]})
    assert answer.json() == {"predictions": [[{"generated_text": "The mill turns."}]]}
    refused = await client.post("/vertex", json={"instances": [{"inputs": "So", "stream": True}]})
    assert refused.status_code == 422
