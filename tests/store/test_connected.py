"""A model on a server has the verbs and the errors of a local one."""

from __future__ import annotations

import asyncio
import base64
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import numpy as np
import pytest
import uvicorn

import textmill
from textmill.errors import (
    ConfigInvalid,
    ForwardFailed,
    InvalidInput,
    ModelNotFound,
    Overloaded,
    TextmillError,
    Unavailable,
    WrongTask,
)
from textmill.http.app import create_app
from textmill.http.settings import HttpSettings
from textmill.store.connected import INPUTS
from textmill.telemetry import Telemetry
from textmill.testing.openai_server import Answer, Asked, OpenAIServer, threaded_openai_server
from textmill.testing.served import RecordingModel, RecordingStore, vector_of


@pytest.fixture(scope="module")
def model() -> RecordingModel:
    return RecordingModel()


@pytest.fixture(scope="module")
def url(model: RecordingModel) -> Iterator[str]:
    settings = HttpSettings(api_keys=("key",), cors_origins=(), body_limit=1 << 20, drain_s=1.0, version="0.0.0")
    app = create_app(RecordingStore(model), settings, Telemetry())
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    end = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < end, "the server did not start"
        time.sleep(0.005)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def echo(asked: Asked) -> Answer:
    """Of each text its length."""
    rows = [base64.b64encode(np.array([len(text)], "<f4").tobytes()).decode() for text in asked.body["input"]]
    return Answer(body={"data": [{"index": index, "embedding": row} for index, row in enumerate(rows)]})


@pytest.fixture
def scripted() -> Iterator[OpenAIServer]:
    with threaded_openai_server(echo) as server:
        yield server


def test_vectors_of_our_server_are_those_of_its_model(url: str) -> None:
    texts = ["one text", "another"]
    with textmill.connect(f"{url}/v1/", "tiny", api_key="key") as there:
        vectors, awaited = there.embed(texts), asyncio.run(there.aembed(texts))

    expected = np.stack([vector_of(text) for text in texts])
    assert vectors.dtype == np.float32
    assert np.array_equal(vectors, expected)
    assert np.array_equal(awaited, expected)


def test_our_server_ranks_as_its_model_does(url: str) -> None:
    texts = ["a", "abc", "ab"]
    with textmill.connect(url, api_key="key") as there:
        ranked, awaited = there.rerank("query", texts, top=2), asyncio.run(there.arerank("query", texts, top=2))

    assert [(each.index, each.score, each.text) for each in ranked] == [(1, 3.0, "abc"), (2, 2.0, "ab")]
    assert awaited == ranked


FORK = """
import os, sys, textmill
there = textmill.connect(sys.argv[1])
there.embed("text")
parents = there._client
child = os.fork()
if child == 0:
    there.embed("text")
    os._exit(there._client is parents)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_opens_connections_of_its_own(scripted: OpenAIServer) -> None:
    subprocess.run([sys.executable, "-c", FORK, scripted.base_url], check=True, timeout=50)  # noqa: S603 - ourselves


def test_none_at_all_ask_nothing() -> None:
    with textmill.connect("http://127.0.0.1:9") as there:
        assert there.embed([]).shape == (0, 0)
        assert asyncio.run(there.aembed([])).shape == (0, 0)
        assert there.rerank("query", []) == asyncio.run(there.arerank("query", [])) == []


def test_sides_prompts_and_dimensions_are_said_and_what_is_not_given_is_not(scripted: OpenAIServer) -> None:
    with textmill.connect(scripted.base_url, "m") as there:
        there.embed("text", kind="query", dimensions=1)
        there.embed("text", prompt="")
        asyncio.run(there.aembed("text", prompt_name="passage"))

    usual = {"input": ["text"], "model": "m", "encoding_format": "base64"}
    assert scripted.bodies == [
        {**usual, "input_type": "query", "dimensions": 1},
        {**usual, "prompt": ""},
        {**usual, "prompt_name": "passage"},
    ]


def test_sparse_vectors_say_their_side_and_keep_the_largest(scripted: OpenAIServer) -> None:
    row = [{"index": 7, "value": 0.5}, {"index": 2, "value": 1.5}, {"index": 4, "value": 1.0}]
    scripted.script = lambda asked: Answer(body=[row] * len(asked.body["inputs"]))
    with textmill.connect(scripted.base_url, "m", headers={"x-own": "1"}) as there:
        [every] = there.embed_sparse("a", kind="query")
        [most] = asyncio.run(there.aembed_sparse(["a"], top=2))
        assert there.embed_sparse([]) == []
        scripted.script = lambda _: Answer(body=[])
        with pytest.raises(ForwardFailed, match="0 vectors for 1 texts"):
            there.embed_sparse("a")
        scripted.script = lambda _: Answer(body=[[{"index": 7}]])
        with pytest.raises(ForwardFailed, match="its value must be a finite number"):
            there.embed_sparse("a")
        scripted.script = lambda _: Answer(body=[[{"index": 2**40, "value": 1.0}]])
        with pytest.raises(ForwardFailed, match="an index above 2,147,483,647"):
            there.embed_sparse("a")
        scripted.script = lambda _: Answer(body=[[{"index": 7, "value": 1e300}]])
        with pytest.raises(ForwardFailed, match="too large for float32"):
            there.embed_sparse("a")

    assert (every.indices.tolist(), every.values.tolist()) == ([2, 4, 7], [1.5, 1.0, 0.5])
    assert (most.indices.tolist(), most.values.tolist()) == ([2, 4], [1.5, 1.0])
    usual = {"inputs": ["a"], "truncate": True, "model": "m"}
    assert scripted.bodies[:2] == [{**usual, "input_type": "query"}, {**usual, "input_type": "document"}]
    assert {each.headers["x-own"] for each in scripted.asked} == {"1"}


def test_many_texts_become_several_requests_in_order(scripted: OpenAIServer) -> None:
    texts = ["x" * (index % 7) for index in range(2 * INPUTS + 1)]
    with textmill.connect(scripted.base_url) as there:
        vectors = there.embed(texts)
        assert np.array_equal(asyncio.run(there.aembed(texts)), vectors)

    assert vectors[:, 0].tolist() == [len(text) for text in texts]
    assert [len(body["input"]) for body in scripted.bodies] == 2 * [INPUTS, INPUTS, 1]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_a_server_is_too_busy_for_is_asked_again_as_it_says(scripted: OpenAIServer, status: int) -> None:
    busy = Answer(status=status, headers={"Retry-After": "0"}, body={"error": {"message": "later"}})
    scripted.script = lambda asked: busy if len(scripted.asked) % 3 else echo(asked)

    with textmill.connect(scripted.base_url) as there:
        assert there.embed("four").tolist() == [[4.0]]
        assert asyncio.run(there.aembed("four")).tolist() == [[4.0]]

    assert len(scripted.asked) == 6


def test_a_wait_until_a_date_is_told_in_seconds(scripted: OpenAIServer) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    scripted.script = lambda _: Answer(status=429, headers={"Retry-After": later}, body={"message": "full"})
    with textmill.connect(scripted.base_url) as model, pytest.raises(Overloaded) as refused:
        model.embed("a")
    assert 590 < refused.value.retry_after <= 600
    assert len(scripted.asked) == 1


def test_a_server_that_stays_busy_or_asks_for_long_waits_is_overloaded(scripted: OpenAIServer) -> None:
    scripted.script = lambda _: Answer(status=429, headers={"Retry-After": "0"}, body={"message": "full", "error": {}})
    with textmill.connect(scripted.base_url, retries=2) as there:
        with pytest.raises(Overloaded, match="429: full"):
            there.embed("text")
        assert len(scripted.asked) == 3
        scripted.script = lambda _: Answer(status=429, headers={"Retry-After": "600"}, body={"message": "full"})
        with pytest.raises(Overloaded) as caught:
            there.embed("text")
    assert caught.value.retry_after == 600
    assert len(scripted.asked) == 4


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        (400, {"error": {"message": "no"}, "message": "it is wrong"}, InvalidInput, "400: it is wrong"),
        (400, {"error": {"message": "no", "code": "wrong_task"}}, WrongTask, "400: no"),
        (401, {"error": "who?", "error_type": "Unauthorized"}, ConfigInvalid, "401: who?"),
        (424, {"error": "it broke", "error_type": "Backend"}, ForwardFailed, "424: it broke"),
        (418, [], Unavailable, r"418: \[\]"),
        (404, {"detail": "no such model"}, ModelNotFound, "404: no such model"),
        (422, b"plain words", InvalidInput, "422: plain words"),
        (500, {"error": {"message": "nested"}}, ForwardFailed, "500: nested"),
    ],
)
def test_errors_of_a_server_are_ours_and_are_not_tried_again(
    scripted: OpenAIServer, status: int, body: object, error: type[TextmillError], says: str
) -> None:
    scripted.script = lambda _: Answer(status=status, body=body)
    with textmill.connect(scripted.base_url) as there:
        with pytest.raises(error, match=says):
            there.embed("text")
        with pytest.raises(error, match=says):
            asyncio.run(there.arerank("query", ["text"]))
    assert len(scripted.asked) == 2


@pytest.mark.parametrize(
    "body", [b"<html>", {}, {"data": [{"embedding": "?"}]}, {"data": [{"embedding": [1.0]}] * 2}, []]
)
def test_an_answer_of_another_kind_is_an_error_that_names_the_server(scripted: OpenAIServer, body: object) -> None:
    scripted.script = lambda _: Answer(body=body)
    place = re.escape(scripted.base_url.removesuffix("/v1"))
    with textmill.connect(scripted.base_url) as there, pytest.raises(ForwardFailed, match=place):
        there.embed("text")


def test_an_input_that_is_refused_is_found_in_the_whole_call(scripted: OpenAIServer) -> None:
    def refusing(asked: Asked) -> Answer:
        texts = asked.body["input"]
        return Answer(status=422, body={"error": f"input {texts.index('')} is empty"}) if "" in texts else echo(asked)

    scripted.script = refusing
    with textmill.connect(scripted.base_url) as there:
        for embed in (there.embed, lambda texts: asyncio.run(there.aembed(texts))):
            with pytest.raises(InvalidInput, match=rf"input 1 is empty \(counted from input {INPUTS}\)"):
                embed(["text"] * (INPUTS + 1) + [""])


def test_vectors_stand_where_their_index_says(scripted: OpenAIServer) -> None:
    data = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]
    scripted.script = lambda _: Answer(body={"data": data})
    with textmill.connect(scripted.base_url) as there:
        assert there.embed(["one", "two"]).tolist() == [[1.0], [2.0]]
        assert asyncio.run(there.aembed(["one", "two"])).tolist() == [[1.0], [2.0]]


@pytest.mark.parametrize(
    "vectors",
    [
        b'{"data": [{"index": 0, "embedding": [NaN]}, {"index": 1, "embedding": [1]}]}',
        b'{"data": [{"index": 0, "embedding": [1e300]}, {"index": 1, "embedding": [1]}]}',
        {"data": [{"index": 0, "embedding": [None]}, {"index": 1, "embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": ["1"]}, {"index": 1, "embedding": ["2"]}]},
        {"data": [{"index": 0, "embedding": [[1.0]]}, {"index": 1, "embedding": [[2.0]]}]},
        {"data": [{"index": 0, "embedding": []}, {"index": 1, "embedding": []}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [2.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 2, "embedding": [2.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [2.0, 3.0]}]},
    ],
)
def test_no_answer_without_good_vectors_is_one(scripted: OpenAIServer, vectors: object) -> None:
    scripted.script = lambda _: Answer(body=vectors)
    with textmill.connect(scripted.base_url) as there, pytest.raises(ForwardFailed):
        there.embed(["one", "two"])


def test_requests_of_one_call_have_vectors_of_one_length(scripted: OpenAIServer) -> None:
    def widening(asked: Asked) -> Answer:
        texts = asked.body["input"]
        return Answer(body={"data": [{"embedding": [1.0] * (1 + (len(texts) < INPUTS))} for _ in texts]})

    scripted.script = widening
    with textmill.connect(scripted.base_url) as there, pytest.raises(ForwardFailed, match="several lengths"):
        there.embed(["text"] * (INPUTS + 1))


@pytest.mark.parametrize(
    "results",
    [
        [{"index": -1, "relevance_score": 1.0}, {"index": 0, "relevance_score": 0.5}],
        [{"index": 1, "relevance_score": 1.0}, {"index": 1, "relevance_score": 0.5}],
        [{"index": 2, "relevance_score": 1.0}, {"index": 1, "relevance_score": 0.5}],
        [{"index": 1, "relevance_score": 1.0}],
        [{"index": 1, "relevance_score": None}, {"index": 0, "relevance_score": 0.5}],
        [{"index": 1}, {"index": 0, "relevance_score": 0.5}],
    ],
)
def test_no_answer_without_good_scores_is_one(scripted: OpenAIServer, results: object) -> None:
    scripted.script = lambda _: Answer(body={"results": results})
    with textmill.connect(scripted.base_url) as there, pytest.raises(ForwardFailed):
        there.rerank("query", ["one", "two"])


def test_the_best_come_first_and_no_more_than_wanted(scripted: OpenAIServer) -> None:
    results = [{"index": 0, "relevance_score": 0.1}, {"index": 1, "relevance_score": 0.9}]
    scripted.script = lambda _: Answer(body={"results": results})
    with textmill.connect(scripted.base_url) as there:
        assert [each.index for each in there.rerank("query", ["one", "two"])] == [1, 0]
        assert [each.index for each in there.rerank("query", ["one", "two"], top=1)] == [1]
        assert [each.index for each in asyncio.run(there.arerank("query", ["one", "two"], top=5))] == [1, 0]


def test_vectors_of_plain_numbers_are_read_too(scripted: OpenAIServer) -> None:
    scripted.script = lambda _: Answer(body={"data": [{"embedding": [0.5, -1]}]})
    with textmill.connect(scripted.base_url) as there:
        assert there.embed("text").tolist() == [[0.5, -1.0]]


def test_nobody_at_the_url_is_unavailable() -> None:
    with textmill.connect("http://127.0.0.1:9/v1", retries=0) as there:
        with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:9 does not answer"):
            there.embed("text")
        with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:9 does not answer"):
            asyncio.run(there.aembed("text"))


@pytest.mark.parametrize("key", ["", "  ", None])
def test_an_empty_key_is_none(scripted: OpenAIServer, key: str | None) -> None:
    with textmill.connect(scripted.base_url, api_key=key) as there:
        there.embed("text")
    assert "authorization" not in scripted.asked[0].headers


def test_blanks_around_a_key_are_not_of_it(scripted: OpenAIServer) -> None:
    with textmill.connect(scripted.base_url, api_key="hush\n") as there:
        there.embed("text")
    assert scripted.asked[0].headers["authorization"] == "Bearer hush"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"api_key": "hush\nhush"}, "the API key"),
        ({"api_key": "hush€hush"}, "the API key"),
        ({"headers": {"X-Key": "hush\n"}}, "the header 'X-Key'"),
        ({"headers": {"Authorization": "hush\n"}}, "the API key"),
        ({"headers": {"Authorization": "Bearer hush "}}, "the API key"),
    ],
)
def test_a_key_that_no_header_may_have_is_refused_and_never_told(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigInvalid, match=f"^{says} has signs") as caught:
        textmill.connect("http://127.0.0.1:9", **given)
    assert "hush" not in str(caught.value)


def test_a_key_that_a_server_repeats_is_not_told_and_the_field_that_is_wrong_is(scripted: OpenAIServer) -> None:
    error = {"message": "hush-hush may not have 9 dimensions", "param": "dimensions"}
    scripted.script = lambda _: Answer(status=400, body={"error": error})
    with textmill.connect(scripted.base_url, api_key="hush-hush") as there, pytest.raises(InvalidInput) as caught:
        there.embed("text", dimensions=9)
    assert str(caught.value).endswith("answered 400: … may not have 9 dimensions")
    assert caught.value.param == "dimensions"


def test_a_password_in_the_url_is_never_told() -> None:
    with textmill.connect("http://me:hush@127.0.0.1:9/v1", retries=0) as there, pytest.raises(Unavailable) as caught:
        there.embed("text")
    assert str(caught.value).startswith("http://127.0.0.1:9 does not answer")
    for url in ("ftp://me:hush@host", "me:hush@host:8080", "http://me:hu/hush@host", "http://host?key=hush"):
        with pytest.raises(ConfigInvalid, match="url is") as refused:
            textmill.connect(url)
        assert "hush" not in str(refused.value)
    with pytest.raises(ConfigInvalid, match=r"v1\?…'; it is to be") as refused:
        textmill.connect("http://host/v1?key=hush")
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8080",
        "ftp://host",
        "",
        "http://",
        "http://[host",
        "http://host:99999",
        "http://host/v1?key=hush",
        "http://host:x",
        "http://ho\nst",
    ],
)
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigInvalid, match="url is"):
        textmill.connect(url)


def test_raw_scores_are_refused() -> None:
    with textmill.connect("http://127.0.0.1:9") as there, pytest.raises(InvalidInput, match="scoring is 'raw'"):
        there.rerank("query", ["text"], scoring="raw")
