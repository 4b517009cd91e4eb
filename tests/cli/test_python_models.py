"""Objects of Python in a server's models folder, as its clients see them."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

import textmill
from textmill.cli.models import open_store
from textmill.config import ServeOptions
from textmill.http.app import create_app
from textmill.http.settings import HttpSettings
from textmill.store.store import Store
from textmill.telemetry import Telemetry

SOURCE = """
import threading
begun, go = threading.Event(), threading.Event()

class Good:
    labels = ["yes", "no"]
    def embed(self, texts): return [[len(text), 1] for text in texts]
    def rerank(self, query, texts): return [len(text) for text in texts]
    def classify(self, texts): return [[1, 2]] * len(texts)

class Hangs:
    dimensions = 2
    def embed(self, texts):
        begun.set()
        go.wait(15)
        return [[1, 1]] * len(texts)
"""
FILES = """
- {name: good, backend: python, parameters: {model: 'mill_served:Good'}}
- {name: hangs, backend: python, parameters: {model: 'mill_served:Hangs'}}
- {name: none, backend: python, parameters: {model: 'mill_served:Nothing'}}
- {name: other, backend: python, parameters: {model: 'json:loads'}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "mill_served.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "all.yaml").write_text(FILES)
    return tmp_path / "models"


def client_of(store: Store) -> httpx.AsyncClient:
    settings = HttpSettings(api_keys=(), cors_origins=(), body_limit=1 << 20, drain_s=1.0, version="0")
    transport = httpx.ASGITransport(create_app(store, settings, Telemetry()))
    return httpx.AsyncClient(transport=transport, base_url="http://textmill")


async def test_an_allowed_module_serves_and_another_is_refused_with_the_flag(folder: Path) -> None:
    store = open_store(ServeOptions(models_path=str(folder), python_models=("mill_served",)), Telemetry())
    async with client_of(store) as client:

        async def asked(path: str, **body: Any) -> httpx.Response:
            return await client.post(path, json=body)

        made = await asked("/v1/embeddings", model="good", input=["abc", "a"])
        assert made.status_code == 200
        assert [round(each["embedding"][0], 4) for each in made.json()["data"]] == [0.9487, 0.7071]
        ranked = await asked("/v1/rerank", model="good", query="q", documents=["a", "abc"])
        assert [each["index"] for each in ranked.json()["results"]] == [1, 0]
        none = await asked("/v1/embeddings", model="none", input="a")
        assert none.status_code == 503
        assert "all.yaml: the module mill_served has nothing called Nothing" in none.text
        other = await asked("/v1/embeddings", model="other", input="a")
        assert "start it with --python-models json" in other.text
        ids = await asked("/v1/embeddings", model="good", input=[[1, 2]])
        assert ids.status_code in (400, 422)

        hanging = asyncio.create_task(asked("/v1/embeddings", model="hangs", input="a"))
        import mill_served  # type: ignore[import-not-found]  # noqa: PLC0415 - written by the test

        assert isinstance(mill_served.begun, threading.Event)
        await asyncio.to_thread(mill_served.begun.wait, 10)
        assert (await asked("/v1/embeddings", model="good", input="a")).status_code == 200
        mill_served.go.set()
        assert (await hanging).status_code == 200
        assert (await asked("/backend/shutdown", model="good")).status_code == 200
    store.close(0)


async def test_no_module_is_imported_by_default(folder: Path) -> None:
    store = open_store(ServeOptions(models_path=str(folder)), Telemetry())
    async with client_of(store) as client:
        refused = await client.post("/v1/embeddings", json={"model": "good", "input": "a"})
    assert "which this server may not; start it with --python-models mill_served" in refused.text
    assert refused.status_code in (500, 503)
    store.close(0)


async def test_a_model_of_a_program_can_be_served() -> None:
    with textmill.custom(lambda texts: [[3, 4]] * len(texts), "pairs") as model:
        store = Store([model])
        async with client_of(store) as client:
            made = await client.post("/v1/embeddings", json={"model": "pairs", "input": "a"})
            assert made.json()["data"][0]["embedding"] == pytest.approx([0.6, 0.8])
