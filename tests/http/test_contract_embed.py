"""TEI's embedding routes over the wire: what they take, what they answer, in what order and with which headers."""

from __future__ import annotations

import base64
import math
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest

pytestmark = pytest.mark.timeout(120)  # the first test starts the server

HEADERS = (
    *("x-compute-type", "x-compute-time", "x-compute-characters", "x-compute-tokens", "x-total-time"),
    *("x-tokenization-time", "x-queue-time", "x-inference-time"),
)
IDS = [101, 1996, 4971, 102]


def rows(answer: httpx.Response) -> npt.NDArray[np.float32]:
    assert answer.status_code == 200, answer.text
    return np.array(answer.json(), np.float32)


@pytest.mark.parametrize(
    ("inputs", "count"),
    [
        ("a", 1),
        (["a"], 1),
        (["a", "b"], 2),
        (IDS, 1),
        ([IDS], 1),
        ([IDS, [101, 102]], 2),
        (["a", IDS], 2),
        ([IDS, "a"], 2),
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/embed", "/embed_all", "/m/splade/embed_sparse"])
def test_every_shape_of_inputs_gives_a_list_with_one_answer_each(
    path: str, inputs: Any, count: int, live: httpx.Client
) -> None:
    if "splade" in path:  # its ids are others
        inputs = [[item % 300 for item in each] if isinstance(each, list) else each for each in inputs]
        inputs = [item % 300 for item in IDS] if inputs == IDS else inputs
    answer = live.post(path, json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    assert len(answer.json()) == count
    assert all(isinstance(item, list) for item in answer.json())


def test_vectors_are_of_length_one_unless_asked_otherwise(live: httpx.Client) -> None:
    unit = rows(live.post("/embed", json={"inputs": "The mill turns."}))
    plain = rows(live.post("/embed", json={"inputs": "The mill turns.", "normalize": False}))
    assert np.linalg.norm(unit) == pytest.approx(1, abs=1e-6)
    assert np.linalg.norm(plain) > 1.5
    np.testing.assert_allclose(plain / np.linalg.norm(plain), unit, atol=1e-6)


def test_dimensions_are_cut_before_scaling(live: httpx.Client) -> None:
    plain = rows(live.post("/embed", json={"inputs": "a", "normalize": False}))[:, :16]
    cut = rows(live.post("/embed", json={"inputs": "a", "dimensions": 16}))
    np.testing.assert_allclose(cut, plain / np.linalg.norm(plain), atol=1e-6)


def test_answers_keep_the_order_of_inputs(live: httpx.Client) -> None:
    texts = ["water " * n for n in (30, 1, 12, 60, 3)]
    together = rows(live.post("/embed", json={"inputs": texts}))
    alone = np.concatenate([rows(live.post("/embed", json={"inputs": text})) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_numbers_are_the_shortest_decimals_of_float32(live: httpx.Client) -> None:
    text = live.post("/embed", json={"inputs": "a"}).text
    for number in text.strip("[]").split(",")[:50]:
        digits = number.lstrip("-").replace(".", "").split("e")[0].lstrip("0")
        assert len(digits) <= 9
        assert np.float32(number) == np.float32(str(np.float32(number)))


@pytest.mark.parametrize(
    "field", ["truncate", "prompt_name", "dimensions", "normalize", "truncation_direction", "model"]
)
def test_null_is_the_same_as_absent(field: str, live: httpx.Client) -> None:
    absent = live.post("/embed", json={"inputs": "a"})
    assert live.post("/embed", json={"inputs": "a", field: None}).content == absent.content


def test_unknown_fields_are_ignored(live: httpx.Client) -> None:
    assert live.post("/embed", json={"inputs": "a", "options": {"wait_for_model": True}}).status_code == 200


@pytest.mark.parametrize("direction", ["Left", "left", "Right", "right"])
def test_the_end_that_is_cut_is_spelled_either_way(direction: str, live: httpx.Client) -> None:
    texts = [f"first {'middle ' * 400} {end}" for end in ("one", "two")]
    made = rows(live.post("/embed", json={"inputs": texts, "truncation_direction": direction, "truncate": True}))
    assert np.array_equal(made[0], made[1]) is (direction.lower() == "right")


def test_a_text_that_is_too_long_is_cut_by_default_and_told_of(live: httpx.Client) -> None:
    answer = live.post("/embed", json={"inputs": ["word " * 1000, "a"]})
    assert answer.status_code == 200
    assert answer.headers["x-truncated-inputs"] == "1"
    assert answer.headers["x-compute-tokens"] == str(256 + 3)
    refused = live.post("/embed", json={"inputs": "word " * 1000, "truncate": False})
    assert (refused.status_code, refused.json()["error_type"]) == (422, "Validation")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/embed_all", {"inputs": ["word " * 1000, "a"]}),
        ("/m/splade/embed_sparse", {"inputs": ["word " * 1000, "a"]}),
        ("/m/splade/embed", {"inputs": ["word " * 1000, "a"], "normalize": False}),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["word " * 1000]}}),
        ("/m/classifier/predict", {"inputs": [["word " * 1000], ["a", "b"]]}),
        ("/m/reranker/rerank", {"query": "q", "texts": ["word " * 1000, "a"]}),
        ("/v1/embeddings", {"input": ["word " * 1000, "a"]}),
        ("/", {"inputs": ["word " * 1000, "a"]}),
    ],
)
def test_every_route_tells_how_many_inputs_were_cut(path: str, body: object, live: httpx.Client) -> None:
    answer = live.post(path, json=body)
    assert (answer.status_code, answer.headers.get("x-truncated-inputs")) == (200, "1")


def test_too_many_characters_are_refused_only_where_nothing_may_be_cut(live: httpx.Client) -> None:
    text = "x" * (250 * 256 + 1)
    assert live.post("/embed", json={"inputs": text}).status_code == 200
    refused = live.post("/embed", json={"inputs": text, "truncate": False})
    assert (refused.status_code, refused.json()["error_type"]) == (422, "Validation")


def test_embed_all_gives_the_states_of_all_tokens(live: httpx.Client) -> None:
    made = live.post("/embed_all", json={"inputs": ["the mill", "water"]}).json()
    tokens = live.post("/tokenize", json={"inputs": ["the mill", "water"]}).json()
    assert [len(each) for each in made] == [len(each) for each in tokens]
    assert np.shape(made[0]) == (4, 384)
    mean = np.mean(np.array(made[0], np.float32), axis=0)
    embedded = rows(live.post("/embed", json={"inputs": "the mill", "normalize": False}))[0]
    np.testing.assert_allclose(mean, embedded, atol=1e-5)


def test_sparse_entries_ascend_and_none_is_zero(live: httpx.Client) -> None:
    [entries] = live.post("/m/splade/embed_sparse", json={"inputs": "the river"}).json()
    assert [set(entry) for entry in entries[:3]] == [{"index", "value"}] * 3
    indices = [entry["index"] for entry in entries]
    assert indices == sorted(set(indices))
    assert all(entry["value"] > 0 for entry in entries)


def test_a_sparse_model_embeds_densely_only_without_scaling(live: httpx.Client) -> None:
    scaled: tuple[dict[str, Any], ...] = ({}, {"normalize": True}, {"normalize": None})
    for fields in scaled:
        refused = live.post("/m/splade/embed", json={"inputs": "the river"} | fields)
        assert (refused.status_code, refused.json()["error_type"]) == (424, "Backend")
        assert "/embed_sparse" in refused.json()["error"]
    made = rows(live.post("/m/splade/embed", json={"inputs": "the river", "normalize": False}))
    [entries] = live.post("/m/splade/embed_sparse", json={"inputs": "the river"}).json()
    assert {int(i): float(made[0, i]) for i in np.flatnonzero(made[0])} == pytest.approx(
        {entry["index"]: entry["value"] for entry in entries}
    )
    cut = rows(live.post("/m/splade/embed", json={"inputs": "the river", "normalize": False, "dimensions": 9}))
    assert np.array_equal(cut, made[:, :9])
    for dimensions in (0, 10**6):
        answer = live.post("/m/splade/embed", json={"inputs": "a", "normalize": False, "dimensions": dimensions})
        assert (answer.status_code, answer.json()["error_type"]) == (422, "Validation")
    assert live.post("/m/splade/embed_all", json={"inputs": "a"}).status_code == 424
    assert live.post("/m/splade/v1/embeddings", json={"input": "a"}).json()["type"] == "Backend"


SENTENCES = {"source_sentence": "The mill turns.", "sentences": ["The wheel turns.", "The mill turns.", "Bread."]}


def test_similarities_are_a_flat_list_in_the_order_of_sentences(live: httpx.Client) -> None:
    answer = live.post("/similarity", json={"inputs": SENTENCES})
    scores = answer.json()
    vectors = rows(live.post("/embed", json={"inputs": [SENTENCES["source_sentence"], *SENTENCES["sentences"]]}))
    np.testing.assert_allclose(scores, vectors[1:] @ vectors[0], atol=1e-5)
    assert scores[1] == pytest.approx(1, abs=1e-6)
    assert max(scores) <= 1
    assert answer.headers["x-compute-characters"] == str(15 + 16 + 15 + 6)


@pytest.mark.parametrize(
    "parameters", [None, {}, {"truncate": True, "truncation_direction": "left", "prompt_name": None}]
)
def test_parameters_of_similarity_may_be_left_out(parameters: object, live: httpx.Client) -> None:
    assert live.post("/similarity", json={"inputs": SENTENCES, "parameters": parameters}).status_code == 200


def test_sparse_vectors_are_compared_too(live: httpx.Client) -> None:
    scores = live.post("/m/splade/similarity", json={"inputs": SENTENCES}).json()
    assert scores[1] == pytest.approx(1, abs=1e-6)
    assert all(0 <= score <= 1 for score in scores)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/embed", {"inputs": "héé"}),
        ("/embed_all", {"inputs": "héé"}),
        ("/m/splade/embed_sparse", {"inputs": "héé"}),
        ("/m/classifier/predict", {"inputs": ["hé", "é"]}),
        ("/m/reranker/rerank", {"query": "h", "texts": ["é", "é"]}),
        ("/similarity", {"inputs": {"source_sentence": "hé", "sentences": ["é"]}}),
        ("/v1/embeddings", {"input": "héé"}),
        ("/embeddings", {"input": "héé"}),
        ("/", {"inputs": "héé"}),
        ("/invocations", {"inputs": "héé"}),
    ],
)
def test_what_computes_says_how_much_and_how_long(path: str, body: object, live: httpx.Client) -> None:
    headers = live.post(path, json=body).headers
    assert [name for name in HEADERS if name not in headers] == []
    assert headers["x-compute-characters"] == ("4" if "rerank" in path else "3")
    assert all(headers[name].isdecimal() for name in HEADERS[1:])
    assert headers["x-compute-time"] == headers["x-total-time"]
    assert headers["x-model-fingerprint"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tokenize", {"inputs": "a"}),
        ("/decode", {"ids": IDS}),
        ("/vertex", {"instances": [{"inputs": "a"}]}),
        ("/embed", {"inputs": ""}),
    ],
)
def test_what_computes_nothing_or_fails_says_nothing_of_it(path: str, body: object, live: httpx.Client) -> None:
    headers = live.post(path, json=body).headers
    assert [name for name in HEADERS if name in headers] == []


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings"])
def test_openais_route_has_its_own_shape(path: str, live: httpx.Client) -> None:
    body = live.post(path, json={"input": ["a", "b"], "user": "me"}).json()
    assert list(body) == ["object", "data", "model", "usage"]
    assert [(item["object"], item["index"]) for item in body["data"]] == [("embedding", 0), ("embedding", 1)]
    assert body["usage"] == {"prompt_tokens": 6, "total_tokens": 6}
    assert math.hypot(*body["data"][0]["embedding"]) == pytest.approx(1, abs=1e-6)
    packed = live.post(path, json={"input": "a", "encoding_format": "base64"}).json()["data"][0]["embedding"]
    assert np.frombuffer(base64.b64decode(packed), "<f4") == pytest.approx(body["data"][0]["embedding"], abs=1e-6)
