"""POST /, /invocations and /vertex over the wire: what the body and the model tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from textmill.contract import ClassifyOptions, ZeroShotOptions
from textmill.testing.served import RecordingModel

Connect = Callable[..., httpx.AsyncClient]

pytestmark = pytest.mark.timeout(120)  # the first test starts the server

SIMILARITY = {"inputs": {"source_sentence": "a", "sentences": ["b", "c"]}}
RANKING = {"query": "q", "texts": ["water", "dog"]}


@pytest.mark.parametrize("path", ["/", "/invocations"])
@pytest.mark.parametrize(
    ("model", "body", "route"),
    [
        ("all-MiniLM-L6-v2", {"inputs": "a"}, "/embed"),
        ("all-MiniLM-L6-v2", {"inputs": ["a", "b"], "normalize": False}, "/embed"),
        ("all-MiniLM-L6-v2", {"inputs": "a", "parameters": {"top_k": 1}}, "/embed"),
        ("all-MiniLM-L6-v2", SIMILARITY, "/similarity"),
        ("all-MiniLM-L6-v2", SIMILARITY | {"parameters": {}}, "/similarity"),
        ("all-MiniLM-L6-v2", RANKING, "/rerank"),
        ("all-MiniLM-L6-v2", {"inputs": 5}, "/embed"),
        ("all-MiniLM-L6-v2", {}, "/embed"),
        ("splade", {"inputs": ["the river", "a"]}, "/embed_sparse"),
        ("splade", SIMILARITY, "/similarity"),
        ("classifier", {"inputs": "a"}, "/predict"),
        ("classifier", {"inputs": ["a", "b"]}, "/predict"),
        ("classifier", {"inputs": [["a"], ["b"]], "parameters": None}, "/predict"),
        ("classifier", RANKING, "/rerank"),
        ("classifier", {"inputs": ["a", "b", "c"]}, "/predict"),
        ("reranker", RANKING, "/rerank"),
        ("reranker", RANKING | {"return_text": True, "raw_scores": True}, "/rerank"),
        ("reranker", {"inputs": "a"}, "/predict"),
        ("reranker", {"query": "q"}, "/rerank"),
    ],
)
def test_the_body_and_the_model_tell_the_route(
    path: str, model: str, body: dict[str, Any], route: str, live: httpx.Client
) -> None:
    given, expected = (live.post(where, json=body | {"model": model}) for where in (path, route))
    assert (given.status_code, given.content) == (expected.status_code, expected.content)
    assert given.headers["content-type"] == expected.headers["content-type"]
    prefixed = live.post(f"/m/{model}{path}", json=body)
    assert prefixed.content == expected.content


@pytest.mark.parametrize(
    ("parameters", "labels"), [({}, 3), ({"top_k": 1}, 1), ({"top_k": 2}, 2), ({"top_k": None}, 3), ({"top_k": 9}, 3)]
)
def test_with_parameters_a_classifier_answers_one_more_list(
    parameters: dict[str, Any], labels: int, live: httpx.Client
) -> None:
    answer = live.post("/m/classifier", json={"inputs": "a", "parameters": parameters})
    plain = live.post("/m/classifier", json={"inputs": "a"})
    assert answer.json() == [plain.json()[:labels]]


@pytest.mark.parametrize(
    ("function", "scoring"), [("softmax", "softmax"), ("sigmoid", "sigmoid"), ("none", "raw"), (None, None)]
)
async def test_the_function_of_a_pipeline_makes_the_scores(
    function: str | None, scoring: Any, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    body = {"inputs": "a", "parameters": {"function_to_apply": function}}
    assert (await client.post("/", json=body)).status_code == 200
    assert model.calls == [(["a"], ClassifyOptions(scoring=scoring))]


@pytest.mark.parametrize("parameters", [{"top_k": 0}, {"top_k": "1"}, {"function_to_apply": "tanh"}, 5, [1]])
def test_parameters_of_the_wrong_kind_are_refused(parameters: Any, live: httpx.Client) -> None:
    answer = live.post("/m/classifier", json={"inputs": "a", "parameters": parameters})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "text/plain; charset=utf-8")


async def test_candidate_labels_are_judged(connect: Connect, model: RecordingModel) -> None:
    model.info = replace(model.info, tasks=("classify", "classify_zero_shot"))
    how = {"candidate_labels": ["joy", "sadness"], "multi_label": True, "hypothesis_template": "It is {}."}
    answer = await connect().post("/", json={"inputs": "a", "parameters": how})
    assert answer.json() == [{"score": 7.0, "label": "sadness"}, {"score": 3.0, "label": "joy"}]
    assert model.calls == [(["a"], ZeroShotOptions(hypothesis="It is {}.", multi_label=True))]


def test_a_model_that_cannot_judge_labels_says_so(live: httpx.Client) -> None:
    answer = live.post("/", json={"inputs": "a", "parameters": {"candidate_labels": ["joy"]}})
    assert (answer.status_code, answer.json()["error_type"]) == (424, "Backend")


async def test_the_task_of_similarity_makes_it_what_post_to_the_root_does(
    connect: Connect, model: RecordingModel
) -> None:
    model.info = replace(model.info, tasks=("embed",))
    client = connect(root_task="similarity")
    assert (await client.post("/", json=SIMILARITY)).status_code == 200
    assert (await client.post("/", json={"inputs": ["a"]})).status_code == 422


@pytest.mark.parametrize(
    ("model", "instances"),
    [
        ("all-MiniLM-L6-v2", [{"inputs": "a"}, {"inputs": ["b", "c"], "normalize": False}]),
        ("classifier", [{"inputs": "a"}, {"inputs": [["b"], ["c", "d"]]}]),
        ("reranker", [RANKING, {"inputs": ["q", "water"]}, RANKING | {"return_text": True}]),
        ("splade", [{"inputs": "the river"}]),
        ("splade", []),
    ],
)
def test_instances_are_answered_in_order(model: str, instances: list[Any], live: httpx.Client) -> None:
    answer = live.post(f"/m/{model}/vertex", json={"instances": instances})
    assert answer.status_code == 200, answer.text
    alone = [live.post(f"/m/{model}", json=instance) for instance in instances]
    assert answer.json() == {"predictions": [each.json() for each in alone]}
    told = {each.headers["x-model-fingerprint"] for each in alone}
    assert set(answer.headers.get_list("x-model-fingerprint")) == told


@pytest.mark.parametrize(
    ("instances", "status", "kind"),
    [
        ([{"inputs": "a"}, {}], 422, "Validation"),
        ([{"inputs": 5}], 422, "Validation"),
        ([5], 422, "Validation"),
        ([{"inputs": "a"}, {"inputs": ""}, {}], 400, "Empty"),
        ([RANKING], 424, "Backend"),
        ([{"inputs": "a", "prompt_name": "nope"}, {"inputs": ""}], 422, "Validation"),
    ],
)
def test_the_first_instance_that_fails_fails_all_in_json(
    instances: list[Any], status: int, kind: str, live: httpx.Client
) -> None:
    answer = live.post("/vertex", json={"instances": instances})
    assert (answer.status_code, answer.json()["error_type"]) == (status, kind)


def test_parameters_of_the_wrong_kind_mean_nothing_to_a_model_that_has_none(live: httpx.Client) -> None:
    assert live.post("/", json={"inputs": "a", "parameters": "x"}).status_code == 200
