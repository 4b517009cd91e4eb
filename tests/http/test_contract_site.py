"""What TEI's server says of itself over the wire, its paths and methods, and models by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from textmill.errors import ForwardFailed
from textmill.http.app import create_app
from textmill.http.settings import HttpSettings
from textmill.telemetry import Telemetry
from textmill.testing.served import RecordingModel, RecordingStore

pytestmark = pytest.mark.timeout(120)  # the first test starts the server

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
KEYS = [
    *("model_id", "model_sha", "model_dtype", "served_model_name", "model_type", "max_concurrent_requests"),
    *("max_input_length", "max_batch_tokens", "max_batch_requests", "max_client_batch_size", "auto_truncate"),
    *("tokenization_workers", "version", "sha", "docker_label"),
]
POST = (
    *("/embed", "/embed_all", "/embed_sparse", "/predict", "/rerank", "/similarity", "/tokenize", "/decode"),
    *("/v1/embeddings", "/embeddings", "/vertex", "/invocations"),
)


@pytest.mark.parametrize("path", ["/health", "/", "/ping"])
def test_health_has_three_paths_and_no_body(path: str, live: httpx.Client) -> None:
    answer = live.get(path)
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("path", ["/health", "/", "/ping", "/info", "/metrics", "/docs", "/openapi.json"])
def test_head_is_get_without_the_body(path: str, live: httpx.Client) -> None:
    head, get = live.head(path), live.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers.get("content-type") == get.headers.get("content-type")


@pytest.mark.parametrize("path", POST)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
def test_another_method_is_405(path: str, method: str, live: httpx.Client) -> None:
    answer = live.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("path", "allow"),
    [("/", "GET, HEAD, POST"), ("/health", "GET, HEAD"), ("/info", "GET, HEAD"), ("/metrics", "GET, HEAD")],
)
def test_allow_names_all_methods_of_a_path(path: str, allow: str, live: httpx.Client) -> None:
    for prefix in ("", "/m/splade"):
        answer = live.put(prefix + path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allow)


@pytest.mark.parametrize("path", ["/nothing", "/embed/", "/embed/x", "/v1", "/m/", "/m//embed"])
def test_another_path_is_404_and_is_not_sent_elsewhere(path: str, live: httpx.Client) -> None:
    assert live.post(path, json={"inputs": "a"}).status_code == 404


def test_the_page_is_found_with_a_slash_too(live: httpx.Client) -> None:
    answer = live.get("/docs/")
    assert answer.is_redirect
    assert live.get("/docs/", follow_redirects=True).headers["content-type"].startswith("text/html")


def test_info_has_teis_keys_in_their_order(live: httpx.Client) -> None:
    info = live.get("/info").json()
    assert list(info)[: len(KEYS)] == KEYS
    assert info["model_id"] == MINILM
    assert info["model_type"] == {"embedding": {"pooling": "mean"}}
    assert (info["model_dtype"], info["max_input_length"], info["auto_truncate"]) == ("float32", 256, True)
    assert info["max_client_batch_size"] == 32_768


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("splade", {"embedding": {"pooling": "splade"}}),
        ("reranker", {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}}),
        (
            "classifier",
            {
                "classifier": {
                    "id2label": {"0": "joy", "1": "anger", "2": "fear"},
                    "label2id": {"joy": 0, "anger": 1, "fear": 2},
                }
            },
        ),
    ],
)
def test_info_of_each_model_says_its_kind(model: str, kind: Any, live: httpx.Client) -> None:
    info = live.get(f"/m/{model}/info").json()
    assert (info["served_model_name"], info["model_type"]) == (model, kind)


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", MINILM, quote(MINILM, safe="")])
@pytest.mark.parametrize("path", ["/embed", "/v1/embeddings", "", "/", "/tokenize"])
def test_a_path_names_a_model_also_with_slashes(name: str, path: str, live: httpx.Client) -> None:
    body = {"inputs": "a", "input": "a"}
    assert live.post(f"/m/{name}{path}", json=body).content == live.post(path or "/", json=body).content


def test_the_path_counts_more_than_the_body(live: httpx.Client) -> None:
    answer = live.post("/m/classifier/predict", json={"inputs": "a", "model": "whatever"})
    assert answer.status_code == 200


def test_every_route_is_there_below_a_model(live: httpx.Client) -> None:
    for path in ("/health", "/ping", "", "/", "/metrics", "/docs", "/openapi.json"):
        assert live.get(f"/m/splade{path}").status_code == 200
    assert [card["id"] for card in live.get("/m/splade/v1/models").json()["data"]] == ["splade"]
    assert live.get("/m/splade/nothing").status_code == 404


@pytest.mark.parametrize("name", ["nope", "owner/nope", "owner%2Fnope", "nope/with/slashes"])
@pytest.mark.parametrize("path", ["", "/", "/info", "/health", "/v1/models"])
def test_a_name_that_no_model_has_is_404(name: str, path: str, live: httpx.Client) -> None:
    answer = live.get(f"/m/{name}{path}")
    assert answer.status_code == 404
    assert name.replace("%2F", "/") in answer.text


async def connected(settings: HttpSettings, *models: RecordingModel) -> httpx.AsyncClient:
    app = create_app(RecordingStore(*models), settings, Telemetry())
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server")


async def test_the_longest_name_that_leaves_a_route_counts(settings: HttpSettings) -> None:
    client = await connected(settings, *(RecordingModel(name) for name in ("a", "a/b", "a/embed")))
    for path, name in (
        ("/m/a/info", "a"),
        ("/m/a/b/info", "a/b"),
        ("/m/a/embed/info", "a/embed"),
        ("/m/a%2Fb/info", "a/b"),
    ):
        assert (await client.get(path)).json()["served_model_name"] == name
    assert (await client.post("/m/a/embed", json={"inputs": "a"})).status_code == 200


async def test_health_of_one_model_does_not_hang_on_another(settings: HttpSettings) -> None:
    sound, dead = RecordingModel("sound"), RecordingModel("dead")
    dead.ready = False
    client = await connected(settings, sound, dead)
    statuses = [(await client.get(path)).status_code for path in ("/m/sound/health", "/m/dead/health", "/health")]
    assert statuses == [200, 503, 503]


async def test_as_tei_openais_route_refuses_with_teis_statuses(settings: HttpSettings) -> None:
    ours = await connected(settings, RecordingModel())
    teis = await connected(replace(settings, as_tei=True), RecordingModel())
    bodies: list[tuple[dict[str, object], int, int]] = [
        ({"input": [""]}, 200, 400),
        ({"input": ""}, 400, 400),
        ({"input": []}, 400, 400),
        ({"input": "a", "dimensions": 0}, 400, 422),
        ({"input": "a", "encoding_format": "hex"}, 400, 422),
        ({"input": [1, "a"]}, 400, 422),
        ({"input": "a", "model": "other"}, 404, 404),
    ]
    for body, our_status, tei_status in bodies:
        assert (await ours.post("/v1/embeddings", json=body)).status_code == our_status, body
        answer = await teis.post("/embeddings", json=body)
        assert answer.status_code == tei_status, body
        assert answer.json()["code"] == tei_status


async def test_as_tei_a_model_that_failed_is_424_on_openais_route_and_logged(
    settings: HttpSettings, caplog: pytest.LogCaptureFixture
) -> None:
    model = RecordingModel()
    client = await connected(replace(settings, as_tei=True), model)
    model.error = ForwardFailed("the model gave no numbers")
    assert (await client.post("/v1/embeddings", json={"input": "a"})).status_code == 424
    assert "the model gave no numbers" in caplog.text


async def test_any_name_means_the_default_where_that_is_wanted(settings: HttpSettings) -> None:
    client = await connected(replace(settings, any_model_name=True), RecordingModel("tiny"), RecordingModel("other"))
    answers = [
        (await client.post("/v1/embeddings", json={"input": "a", "model": name})).json()["model"]
        for name in ("tei", "other", "")
    ]
    assert answers == ["tiny", "other", "tiny"]
    assert (await client.post("/m/tei/embed", json={"inputs": "a"})).status_code == 404


async def test_a_wrong_method_on_a_protected_path_needs_the_key_first(settings: HttpSettings) -> None:
    client = await connected(replace(settings, api_keys=("key",)), RecordingModel())
    assert (await client.get("/embed")).status_code == 401
    assert (await client.get("/embed", headers={"authorization": "Bearer key"})).status_code == 405
    assert (await client.put("/")).status_code == 405
    assert (await client.post("/")).status_code == 401
    assert (await client.get("/nothing")).status_code == 404
    assert (await client.get("/m/tiny/info")).status_code == 401
    assert (await client.get("/m/tiny/health")).status_code == 200


@pytest.mark.parametrize(
    ("tasks", "pooling", "said"),
    [
        (("embed_multi", "rerank"), "", "multi_vector"),
        (("embed", "embed_sparse", "embed_multi"), "cls", "cls"),
        (("embed",), "lasttoken", "last_token"),
        (("embed",), "", "none"),
    ],
)
async def test_pooling_is_never_empty(tasks: Any, pooling: str, said: str, settings: HttpSettings) -> None:
    model = RecordingModel()
    model.info = replace(model.info, tasks=tasks, pooling=pooling)
    info = (await (await connected(settings, model)).get("/info")).json()
    assert info["model_type"] == {"embedding": {"pooling": said}}
