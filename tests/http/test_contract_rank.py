"""TEI's /predict and /rerank over the wire: shapes of pairs and batches, scores, order."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest

pytestmark = pytest.mark.timeout(120)  # the first test starts the server

LABELS = {"joy", "anger", "fear"}


def predict(live: httpx.Client, inputs: Any, **fields: Any) -> Any:
    answer = live.post("/m/classifier/predict", json={"inputs": inputs, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def rerank(live: httpx.Client, texts: list[str], **fields: Any) -> Any:
    answer = live.post("/m/reranker/rerank", json={"query": "who turns the mill?", "texts": texts, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("inputs", ["a", ["a"], ["a", "b"], ["a", ""], ["", "b"]], ids=str)
def test_one_text_or_pair_has_one_list_of_all_labels(inputs: Any, live: httpx.Client) -> None:
    made = predict(live, inputs)
    assert [list(item) for item in made] == [["score", "label"]] * 3
    assert {item["label"] for item in made} == LABELS
    assert sum(item["score"] for item in made) == pytest.approx(1, abs=1e-6)
    scores = [item["score"] for item in made]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("inputs", [[["a"]], [["a"], ["b"]], [["a"], ["b", "c"]], [["a", "b"], ["a", "b"]]], ids=str)
def test_a_list_of_lists_is_a_batch(inputs: Any, live: httpx.Client) -> None:
    made = predict(live, inputs)
    assert len(made) == len(inputs)
    for one, many in zip(inputs, made, strict=True):
        alone = {item["label"]: item["score"] for item in predict(live, one)}
        assert {item["label"]: item["score"] for item in many} == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize(
    "inputs", [["a", "b", "c"], [["a", "b", "c"]], [[]], [], ["a", ["b"]], [["a"], "b"], [1], [[1]], None, 5], ids=str
)
def test_other_shapes_are_refused_in_plain_text(inputs: Any, live: httpx.Client) -> None:
    answer = live.post("/m/classifier/predict", json={"inputs": inputs})
    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("text/plain")


def test_raw_scores_are_what_shares_are_made_of(live: httpx.Client) -> None:
    raw = {item["label"]: item["score"] for item in predict(live, "a text", raw_scores=True)}
    shares = {item["label"]: item["score"] for item in predict(live, "a text")}
    total = sum(np.exp(value) for value in raw.values())
    assert shares == pytest.approx({label: np.exp(value) / total for label, value in raw.items()}, abs=1e-5)


def test_one_label_has_a_score_of_its_own(live: httpx.Client) -> None:
    [raw] = live.post("/m/reranker/predict", json={"inputs": ["a", "b"], "raw_scores": True}).json()
    [share] = live.post("/m/reranker/predict", json={"inputs": ["a", "b"]}).json()
    assert raw["label"] == share["label"] == "LABEL_0"
    assert share["score"] == pytest.approx(1 / (1 + np.exp(-raw["score"])), abs=1e-5)


def test_a_long_text_is_cut_unless_it_must_not_be(live: httpx.Client) -> None:
    answer = live.post("/m/classifier/predict", json={"inputs": [["word " * 100], ["a"]]})
    assert answer.headers["x-truncated-inputs"] == "1"


def test_the_best_text_comes_first_and_of_equal_ones_the_later(live: httpx.Client) -> None:
    made = rerank(live, ["water", "the dog", "water", "river stone"])
    assert [list(rank) for rank in made] == [["index", "score"]] * 4
    scores = [rank["score"] for rank in made]
    assert scores == sorted(scores, reverse=True)
    order = [rank["index"] for rank in made]
    assert sorted(order) == [0, 1, 2, 3]
    assert order.index(2) + 1 == order.index(0)
    assert all(0 < score < 1 for score in scores)


def test_one_text_is_a_list_too(live: httpx.Client) -> None:
    assert [rank["index"] for rank in rerank(live, ["water"])] == [0]


def test_texts_are_repeated_when_asked_for(live: httpx.Client) -> None:
    made = rerank(live, ["water", "dog"], return_text=True)
    assert [rank["text"] for rank in made] == [["water", "dog"][rank["index"]] for rank in made]
    assert [list(rank) for rank in made] == [["index", "text", "score"]] * 2


def test_raw_scores_of_a_ranking_are_squeezed_by_a_sigmoid(live: httpx.Client) -> None:
    raw = {rank["index"]: rank["score"] for rank in rerank(live, ["water", "dog"], raw_scores=True)}
    shares = {rank["index"]: rank["score"] for rank in rerank(live, ["water", "dog"])}
    assert shares == pytest.approx({i: 1 / (1 + np.exp(-score)) for i, score in raw.items()}, abs=1e-5)


def test_an_empty_query_or_text_is_ranked_as_long_as_the_other_is_there(live: httpx.Client) -> None:
    assert live.post("/m/reranker/rerank", json={"query": "", "texts": ["a"]}).status_code == 200
    assert live.post("/m/reranker/rerank", json={"query": "q", "texts": ["", "a"]}).status_code == 200


def test_null_is_the_same_as_absent(live: httpx.Client) -> None:
    fields = ("truncate", "truncation_direction", "raw_scores", "return_text", "model")
    assert rerank(live, ["water", "dog"], **dict.fromkeys(fields)) == rerank(live, ["water", "dog"])
    assert predict(live, "a", **dict.fromkeys(fields[:3])) == predict(live, "a")


def test_characters_count_the_query_once_a_text(live: httpx.Client) -> None:
    answer = live.post("/m/reranker/rerank", json={"query": "four", "texts": ["a", "bb", "word " * 100]})
    assert answer.headers["x-compute-characters"] == str(3 * 4 + 1 + 2 + 500)
    assert answer.headers["x-truncated-inputs"] == "1"
