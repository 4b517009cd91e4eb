"""Models that a backend of LocalAI's runs, over a server that starts its process, and one that dials it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.http.live import serving

from textmill.providers.process import free_address
from textmill.testing import backend as program
from textmill.testing.backend import WIDTH, vector_of

SCRIPT = Path(program.__file__)
FILES = """
- {name: mine, backend: mine, embeddings: true, parameters: {model: some/weights}}
- {name: broken, backend: mine, embeddings: true, parameters: {model: broken}}
- {name: ranks, backend: mine, reranking: true, parameters: {model: some/ranker}}
- {name: dialled, backend: there, embeddings: true, parameters: {model: some/weights}}
"""
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    models = tmp_path_factory.mktemp("external") / "models"
    models.mkdir()
    (models / "all.yaml").write_text(FILES)
    address = free_address()
    there = program.serve(address)
    with serving("--models-path", str(models), EXTERNAL_GRPC_BACKENDS=f"mine:{SCRIPT},there:{address}") as client:
        yield client
    there.stop(None)


def ask(server: httpx.Client, given: Any, model: str = "mine", **more: Any) -> httpx.Response:
    return server.post("/v1/embeddings", json={"model": model, "input": given, **more})


def near(text: str) -> Any:
    return pytest.approx(vector_of(text.encode()), abs=1e-6)


@pytest.mark.parametrize("model", ["mine", "dialled"])
def test_texts_and_ids_are_embedded_by_the_backend(model: str, server: httpx.Client) -> None:
    answer = ask(server, ["sun", "the cat"], model)
    assert answer.status_code == 200, answer.text
    assert [item["embedding"] for item in answer.json()["data"]] == [near("sun"), near("the cat")]
    assert answer.json()["usage"]["prompt_tokens"] == 7
    ids = ask(server, [104, 105], model).json()["data"]
    assert ids[0]["embedding"] == near("hi")
    assert ask(server, "!tokens", model).status_code == 200  # a vector for each token becomes their mean


def test_what_it_is_is_listed(server: httpx.Client) -> None:
    ask(server, "sun")
    card = server.get("/v1/models/mine").json()
    assert (card["runtime"], card["device"], card["dimensions"], card["tasks"]) == (
        "external",
        "mine",
        WIDTH,
        ["embed"],
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [("!raise", "this text is not liked"), ("!short", "3 values"), ("!nan", "no numbers")],
)
def test_an_answer_that_is_no_vector_is_an_error_for_who_asked(text: str, why: str, server: httpx.Client) -> None:
    answer = ask(server, ["sun", text])
    assert (answer.status_code, why in answer.json()["error"]["message"]) == (500, True)
    assert ask(server, "sun").status_code == 200


def test_a_model_that_the_backend_does_not_load_says_why(server: httpx.Client) -> None:
    answer = ask(server, "sun", "broken")
    assert answer.status_code == 503
    assert "no such weights" in answer.json()["error"]["message"]


def test_a_process_that_dies_is_started_again(server: httpx.Client) -> None:
    before = ask(server, "sun").json()["data"]
    answer = ask(server, "!die")
    assert (answer.status_code, "exit code 3" in answer.json()["error"]["message"]) == (503, True)
    assert ask(server, "sun").json()["data"] == before


def test_documents_are_ranked_and_texts_tokenised_by_the_backend(server: httpx.Client) -> None:
    answer = server.post("/v1/rerank", json={"model": "ranks", "query": "a", "documents": ["b", "banana", "cat"]})
    assert [result["index"] for result in answer.json()["results"]] == [1, 2, 0]
    assert server.post("/v1/tokenize", json={"model": "mine", "content": "hi"}).json() == {"tokens": [104, 105]}
    assert server.post("/v1/detokenize", json={"model": "mine", "tokens": [104, 105]}).json() == {"content": "hi"}


def test_what_the_protocol_does_not_have_is_refused(server: httpx.Client) -> None:
    assert server.post("/predict", json={"model": "mine", "inputs": "a"}).status_code == 424
    assert ask(server, "a", dimensions=WIDTH + 1).status_code == 400
    assert server.post("/embed_all", json={"model": "mine", "inputs": "a"}).status_code == 424
    assert ask(server, "a", "ranks").status_code == 400
    raw = server.post("/rerank", json={"model": "ranks", "query": "a", "texts": ["b"], "raw_scores": True})
    assert (raw.status_code, "leave the scoring out" in raw.json()["error"]) == (422, True)


def children(parent: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    found = [int(each) for each in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    return [*found, *(below for each in found for below in children(each))]


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells whose child a process is, and ends it with its parent"
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_server(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("{name: mine, backend: mine, embeddings: true, parameters: {model: x}}")
    command = [
        sys.executable,
        "-m",
        "textmill",
        "serve",
        "--models-path",
        str(tmp_path),
        "--port",
        "0",
        "--load",
        "mine",
    ]
    command += ["--external-grpc-backends", f"mine:{SCRIPT}"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # noqa: TID251 - to pass it on
    with subprocess.Popen(  # noqa: S603 - ours
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ
    ) as process:
        assert process.stdout
        assert re.search("ready on", process.stdout.readline())
        started = children(process.pid)
        assert len(started) == 2  # the backend, and what minds it
        process.send_signal(number)
        process.wait(20)
    end = time.monotonic() + 20
    while any(Path(f"/proc/{each}").exists() and "Z" not in state(each) for each in started):
        assert time.monotonic() < end, "the backend still runs"
        time.sleep(0.05)


def state(process: int) -> str:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
