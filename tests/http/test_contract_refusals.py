"""What TEI's routes refuse over the wire: the status, the type of error, and whether a person or a program reads it."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.timeout(120)  # the first test starts the server

JSON = {"content-type": "application/json"}
VALID: dict[str, Any] = {
    "/embed": {"inputs": "a"},
    "/embed_all": {"inputs": "a"},
    "/embed_sparse": {"inputs": "a"},
    "/predict": {"inputs": "a"},
    "/rerank": {"query": "q", "texts": ["a"]},
    "/similarity": {"inputs": {"source_sentence": "a", "sentences": ["b"]}},
    "/tokenize": {"inputs": "a"},
    "/decode": {"ids": [1, 2]},
    "/vertex": {"instances": []},
    "/": {"inputs": "a"},
    "/invocations": {"inputs": "a"},
}
NATIVE = list(VALID)
NOTHING: tuple[Any, ...] = ([], [[]], [""], ["a", ""])
REQUIRED = {"/rerank": "query", "/decode": "ids", "/vertex": "instances"}


def plain(answer: httpx.Response, status: int) -> None:
    """A refusal before the route saw the request: plain text, without TEI's headers."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/plain; charset=utf-8"), answer.text
    assert answer.text
    assert not answer.text.startswith("{")
    assert "x-compute-time" not in answer.headers


def error(answer: httpx.Response, status: int, kind: str) -> None:
    """A refusal by the route: JSON with two fields."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json"), answer.text
    body = answer.json()
    assert list(body) == ["error", "error_type"]
    assert body["error_type"] == kind, body
    assert "x-compute-time" not in answer.headers


@pytest.mark.parametrize("path", NATIVE)
@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonl", "json"])
def test_a_content_type_that_is_not_jsons_is_415(path: str, kind: str | None, live: httpx.Client) -> None:
    headers = {} if kind is None else {"content-type": kind}
    plain(live.post(path, content=b'{"inputs":"a"}', headers=headers), 415)


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/problem+json"]
)
def test_every_spelling_of_jsons_content_type_is_taken(kind: str, live: httpx.Client) -> None:
    assert live.post("/embed", content=b'{"inputs":"a"}', headers={"content-type": kind}).status_code == 200


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings"])
@pytest.mark.parametrize("kind", [None, "text/plain"])
def test_openais_routes_take_any_content_type(path: str, kind: str | None, live: httpx.Client) -> None:
    headers = {} if kind is None else {"content-type": kind}
    assert live.post(path, content=b'{"input":"a"}', headers=headers).status_code == 200


@pytest.mark.parametrize("path", NATIVE)
@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", None])
def test_what_is_not_json_is_400_in_plain_text(path: str, body: bytes | None, live: httpx.Client) -> None:
    body = json.dumps(VALID[path])[:-1].encode() if body is None else body
    plain(live.post(path, content=body, headers=JSON), 400)


def test_what_is_not_utf8_is_400_in_plain_text(live: httpx.Client) -> None:
    plain(live.post("/embed", content=b'{"inputs":"\xff"}', headers=JSON), 400)


@pytest.mark.parametrize("path", NATIVE)
@pytest.mark.parametrize("body", ["[]", "null", "5", '"a"'])
def test_what_is_no_object_is_422_in_plain_text(path: str, body: str, live: httpx.Client) -> None:
    plain(live.post(path, content=body, headers=JSON), 422)


@pytest.mark.parametrize("path", NATIVE)
def test_a_missing_field_is_named(path: str, live: httpx.Client) -> None:
    answer = live.post(path, json={})
    plain(answer, 422)
    assert f"'{REQUIRED.get(path, 'inputs')}'" in answer.text


@pytest.mark.parametrize("path", [path for path in NATIVE if path not in REQUIRED])
def test_a_field_that_occurs_twice_is_422(path: str, live: httpx.Client) -> None:
    plain(live.post(path, content=b'{"inputs":"a","inputs":"b"}', headers=JSON), 422)
    inside = b'{"inputs":"a","options":{"inputs":1,"inputs":2}}'
    assert live.post("/embed", content=inside, headers=JSON).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"inputs":{"source_sentence":"a","source_sentence":"b","sentences":["c"]}}', "inputs.source_sentence"),
        ('{"inputs":{"source_sentence":"a","sentences":["b"],"sentences":["c"]}}', "inputs.sentences"),
        (
            '{"inputs":{"source_sentence":"a","sentences":["b"]},"parameters":{"truncate":true,"truncate":false}}',
            "parameters.truncate",
        ),
    ],
)
def test_a_field_that_occurs_twice_further_within_is_422(body: str, field: str, live: httpx.Client) -> None:
    for path in ("/similarity", "/"):
        answer = live.post(path, content=body, headers=JSON)
        plain(answer, 422)
        assert f"'{field}'" in answer.text


def test_texts_that_read_like_fields_are_texts(live: httpx.Client) -> None:
    names = ["inputs", "truncate", "truncate", '"inputs"']
    assert live.post("/embed", json={"inputs": names}).status_code == 200
    compared = {"inputs": {"source_sentence": "sentences", "sentences": ["sentences", "sentences"]}}
    assert live.post("/similarity", json=compared).status_code == 200


def test_what_follows_the_value_is_not_read(live: httpx.Client) -> None:
    expected = live.post("/embed", json={"inputs": "a"}).content
    for tail in (b" ", b"\n\n", b"x", b'{"inputs":"b"}', b"\x00"):
        assert live.post("/embed", content=b'{"inputs":"a"}' + tail, headers=JSON).content == expected


@pytest.mark.parametrize("path", ["/embed", "/embed_all", "/embed_sparse", "/"])
@pytest.mark.parametrize(
    "inputs", [[1, "a"], ["a", 1], 5, {}, None, [None], [-1], [2**32], [1.5], [["a"]], [[1, "a"]], [[[1]]], True]
)
def test_inputs_of_another_shape_are_422_in_plain_text(path: str, inputs: Any, live: httpx.Client) -> None:
    plain(live.post(path, json={"inputs": inputs}), 422)


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("/embed", "truncate", "yes"),
        ("/embed", "normalize", 1),
        ("/embed", "prompt_name", 5),
        ("/embed", "dimensions", -1),
        ("/embed", "dimensions", "8"),
        ("/embed", "truncation_direction", "up"),
        ("/embed", "model", 7),
        ("/embed_all", "truncation_direction", 1),
        ("/predict", "raw_scores", "no"),
        ("/rerank", "return_text", 1),
        ("/rerank", "texts", "a"),
        ("/rerank", "texts", [1]),
        ("/rerank", "query", None),
        ("/similarity", "parameters", {"truncate": 1}),
        ("/similarity", "inputs", {"source_sentence": "a"}),
        ("/similarity", "inputs", {"source_sentence": [1], "sentences": ["b"]}),
        ("/similarity", "inputs", "a"),
        ("/tokenize", "inputs", [1]),
        ("/tokenize", "inputs", [["a"]]),
        ("/tokenize", "add_special_tokens", "no"),
        ("/decode", "ids", [1, [2]]),
        ("/decode", "ids", "a"),
        ("/decode", "ids", [-1]),
        ("/decode", "skip_special_tokens", 0),
        ("/vertex", "instances", {}),
    ],
)
def test_a_field_of_the_wrong_type_is_422_in_plain_text(path: str, field: str, value: Any, live: httpx.Client) -> None:
    plain(live.post(path, json=VALID[path] | {field: value}), 422)


@pytest.mark.parametrize(
    "path", ["/embed", "/embed_all", "/m/splade/embed_sparse", "/m/classifier/predict", "/tokenize"]
)
def test_an_empty_text_is_empty(path: str, live: httpx.Client) -> None:
    error(live.post(path, json={"inputs": ""}), 400, "Empty")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        *((path, {"inputs": given}) for path in ("/embed", "/embed_all", "/") for given in NOTHING),
        ("/m/splade/embed_sparse", {"inputs": ["a", ""]}),
        ("/m/classifier/predict", {"inputs": ["", ""]}),
        ("/m/classifier/predict", {"inputs": [["a"], [""]]}),
        ("/m/reranker/rerank", {"query": "q", "texts": []}),
        ("/m/reranker/rerank", {"query": "", "texts": ["a", ""]}),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": []}}),
        ("/similarity", {"inputs": {"source_sentence": "", "sentences": ["a"]}}),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": [""]}}),
        ("/tokenize", {"inputs": []}),
        ("/tokenize", {"inputs": ["a", ""]}),
        ("/decode", {"ids": []}),
        ("/decode", {"ids": [[]]}),
    ],
)
def test_nothing_to_compute_is_empty(path: str, body: Any, live: httpx.Client) -> None:
    error(live.post(path, json=body), 400, "Empty")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/embed", {"inputs": "a", "prompt_name": "nope"}),
        ("/embed_all", {"inputs": "a", "prompt_name": "nope"}),
        ("/tokenize", {"inputs": "a", "prompt_name": "nope"}),
        ("/similarity", {**VALID["/similarity"], "parameters": {"prompt_name": "nope"}}),
        ("/embed", {"inputs": "a", "dimensions": 0}),
        ("/embed", {"inputs": "a", "dimensions": 385}),
        ("/embed", {"inputs": [30522]}),
        ("/decode", {"ids": [30522]}),
        ("/tokenize", {"inputs": "x" * (250 * 256 + 1)}),
        ("/embed", {"inputs": "word " * 1000, "truncate": False}),
        ("/embed", {"inputs": [101] * 1000, "truncate": False}),
        ("/m/classifier/predict", {"inputs": ["word " * 100, "a"], "truncate": False}),
        ("/m/reranker/rerank", {"query": "q", "texts": ["a", "word " * 100], "truncate": False}),
    ],
)
def test_what_the_model_cannot_take_does_not_validate(path: str, body: Any, live: httpx.Client) -> None:
    error(live.post(path, json=body), 422, "Validation")


@pytest.mark.parametrize(
    ("model", "path", "can"),
    [
        *(("classifier", path, "/predict") for path in ("/embed", "/embed_all", "/embed_sparse", "/similarity")),
        *(("reranker", path, "/rerank") for path in ("/embed", "/embed_all", "/embed_sparse", "/similarity")),
        ("classifier", "/rerank", "/predict"),
        *(("splade", path, "/embed_sparse") for path in ("/predict", "/rerank", "/embed", "/embed_all")),
        *(("all-MiniLM-L6-v2", path, "/embed") for path in ("/predict", "/rerank", "/embed_sparse")),
    ],
)
def test_another_kind_of_model_says_what_it_can_do(model: str, path: str, can: str, live: httpx.Client) -> None:
    answer = live.post(path, json=VALID[path] | {"model": model})
    error(answer, 424, "Backend")
    assert can in answer.json()["error"]


def test_the_kind_of_model_counts_before_an_empty_text_but_not_before_an_empty_list(live: httpx.Client) -> None:
    error(live.post("/m/classifier/embed", json={"inputs": ""}), 424, "Backend")
    error(live.post("/predict", json={"inputs": ""}), 424, "Backend")
    error(live.post("/rerank", json={"query": "q", "texts": []}), 400, "Empty")
    error(
        live.post("/m/classifier/similarity", json={"inputs": {"source_sentence": "a", "sentences": []}}), 400, "Empty"
    )


def test_one_bad_input_fails_the_request_and_an_empty_one_is_told_first(live: httpx.Client) -> None:
    answer = live.post("/embed", json={"inputs": ["a", "word " * 1000, ""], "truncate": False})
    error(answer, 400, "Empty")
    assert "inputs[2]" in answer.json()["error"]


@pytest.mark.parametrize("path", ["/embed", "/tokenize", "/vertex", "/", "/rerank", "/v1/embeddings"])
def test_a_model_that_is_not_there_is_404_in_the_routes_shape(path: str, live: httpx.Client) -> None:
    answer = live.post(path, json=VALID.get(path, {"input": "a"}) | {"model": "nope"})
    prefixed = live.post(f"/m/nope{path}", json=VALID.get(path, {"input": "a"}))
    assert answer.json() == prefixed.json()
    if path == "/v1/embeddings":
        assert (answer.status_code, answer.json()["error"]["param"]) == (404, "model")
        assert answer.json()["error"]["code"] == "model_not_found"
    else:
        error(answer, 404, "NotFound")
    assert "all-MiniLM-L6-v2" in answer.text


def test_a_field_twice_is_found_behind_blanks(live: httpx.Client) -> None:
    body = b' \n{"inputs": "a", "inputs": "b"}'
    plain(live.post("/embed", content=body, headers={"content-type": "application/json"}), 422)


def test_states_of_more_tokens_than_an_answer_can_hold_are_refused(live: httpx.Client) -> None:
    error(live.post("/embed_all", json={"inputs": ["word " * 300] * 400}), 422, "Validation")


def test_a_compressed_body_is_told_as_such(live: httpx.Client) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = live.post("/embed", content=gzip.compress(b'{"inputs": "a"}'), headers=headers)
    plain(answer, 400)
    assert answer.text.startswith("the body is compressed (gzip)")
