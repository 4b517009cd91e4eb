"""A server that answers as TEI 1.6 does, with limits, over the wire."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.timeout(120)  # the first test starts the server

LONG = "word " * 100


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error_type"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/embed", {"inputs": LONG}),
        ("/embed", {"inputs": LONG, "truncate": None}),
        ("/embed", {"inputs": LONG, "truncate": False}),
        ("/embed_all", {"inputs": LONG}),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": [LONG]}}),
        ("/embed", {"inputs": ["a"] * 5}),
        ("/embed", {"inputs": "a", "prompt_name": "nope"}),
        ("/embed", {"inputs": "a", "dimensions": 0}),
        ("/embed", {"inputs": ""}),
        ("/embed", {"inputs": ["a", ""]}),
        ("/embed", {"inputs": []}),
        ("/embed", {"inputs": [[]]}),
        ("/tokenize", {"inputs": ""}),
        ("/tokenize", {"inputs": ["a"] * 5}),
        ("/vertex", {"instances": [{}]}),
    ],
)
def test_older_versions_answer_413_to_what_does_not_validate(path: str, body: Any, old: httpx.Client) -> None:
    assert refused(old.post(path, json=body)) == (413, "Validation")


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        ("/rerank", {"query": "q", "texts": []}, 400, "Empty"),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": []}}, 400, "Empty"),
        ("/tokenize", {"inputs": []}, 400, "Empty"),
        ("/rerank", {"query": "q", "texts": ["a"]}, 424, "Backend"),
        ("/embed", {"inputs": "a", "model": "nope"}, 404, "NotFound"),
    ],
)
def test_other_statuses_are_the_same_in_older_versions(
    path: str, body: Any, status: int, kind: str, old: httpx.Client
) -> None:
    assert refused(old.post(path, json=body)) == (status, kind)


def test_what_cannot_be_read_is_422_in_older_versions_too(old: httpx.Client) -> None:
    answer = old.post("/embed", json={"inputs": 5})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "text/plain; charset=utf-8")


def test_a_request_may_ask_to_be_cut_where_the_server_does_not(old: httpx.Client) -> None:
    for fields in ({"truncate": True}, {"on_overflow": "truncate"}):
        answer = old.post("/embed", json={"inputs": LONG} | fields)
        assert (answer.status_code, answer.headers["x-truncated-inputs"]) == (200, "1")
    assert old.post("/v1/embeddings", json={"input": LONG}).status_code == 400
    assert old.post("/v1/embeddings", json={"input": LONG, "on_overflow": "truncate"}).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/embed", {"inputs": ["a"] * 4}),
        ("/embed", {"inputs": [5] * 9}),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["b"] * 3}}),
        ("/tokenize", {"inputs": ["a"] * 4}),
        ("/decode", {"ids": [5] * 9}),
        ("/vertex", {"instances": [{"inputs": "a"}] * 6}),
    ],
)
def test_as_many_inputs_as_allowed_are_taken(path: str, body: Any, old: httpx.Client) -> None:
    assert old.post(path, json=body).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/embed_all", {"inputs": ["a"] * 5}),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": ["b"] * 4}}),
        ("/decode", {"ids": [[5]] * 5}),
        ("/predict", {"inputs": [["a"]] * 5}),
    ],
)
def test_more_inputs_than_allowed_do_not_validate(path: str, body: Any, old: httpx.Client) -> None:
    assert refused(old.post(path, json=body)) == (413, "Validation")


def test_the_kind_of_model_counts_before_the_number_of_texts(old: httpx.Client) -> None:
    assert refused(old.post("/rerank", json={"query": "q", "texts": ["a"] * 5})) == (424, "Backend")


def test_a_body_that_is_too_large_is_413_in_plain_text(old: httpx.Client) -> None:
    answer = old.post("/embed", json={"inputs": "x" * 5000})
    assert (answer.status_code, answer.headers["content-type"]) == (413, "text/plain; charset=utf-8")


def test_a_prompt_stands_before_the_text(old: httpx.Client) -> None:
    [made] = old.post("/tokenize", json={"inputs": "river", "prompt_name": "query"}).json()
    assert [(token["text"], token["start"], token["stop"]) for token in made[1:-1]] == [
        ("query", 0, 5),
        (":", 5, 6),
        ("river", 7, 12),
    ]
    plain = old.post("/embed", json={"inputs": "query: river"}).json()[0]
    prompted = old.post("/embed", json={"inputs": "river", "prompt_name": "query"})
    assert prompted.json()[0] == pytest.approx(plain, abs=1e-6)
    assert prompted.headers["x-compute-characters"] == "5"


def test_info_is_true_to_the_options(old: httpx.Client) -> None:
    info = old.get("/info").json()
    assert info["auto_truncate"] is False
    assert info["max_concurrent_requests"] == 7


@pytest.mark.parametrize("path", ["/info", "/embed", "/", "/v1/embeddings", "/m/tiny/embed"])
def test_without_the_key_nothing_protected_answers(path: str, old: httpx.Client) -> None:
    method = "GET" if path == "/info" else "POST"
    answer = old.request(method, path, headers={"authorization": "Bearer wrong"}, json={"inputs": "a"})
    assert answer.status_code == 401
    if path != "/v1/embeddings":
        assert answer.content == b""


@pytest.mark.parametrize("path", ["/health", "/", "/ping", "/metrics", "/docs", "/api-doc/openapi.json"])
def test_what_is_public_needs_no_key(path: str, old: httpx.Client) -> None:
    assert old.get(path, headers={"authorization": ""}).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/embed_all", {"inputs": 4 * LONG}),
        ("/m/splade/embed_sparse", {"inputs": LONG}),
        ("/m/classifier/predict", {"inputs": LONG}),
        ("/m/reranker/rerank", {"query": "q", "texts": [LONG]}),
    ],
)
def test_what_is_too_long_is_cut_or_refused_as_the_request_says(
    path: str, body: dict[str, Any], live: httpx.Client
) -> None:
    cut = live.post(path, json=body | {"on_overflow": "truncate", "truncate": False})
    assert (cut.status_code, cut.headers["x-truncated-inputs"]) == (200, "1")
    refused = live.post(path, json=body | {"on_overflow": "error", "truncate": True})
    assert (refused.status_code, refused.json()["error_type"]) == (422, "Validation")
    assert live.post(path, json=body | {"on_overflow": "chunk"}).status_code == 422
