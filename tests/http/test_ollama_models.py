from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import httpx

from textmill.contract import Known, ModelInfo
from textmill.http.app import create_app
from textmill.http.settings import HttpSettings
from textmill.telemetry import Telemetry
from textmill.testing.gguf_templates import REASONING
from textmill.testing.served import RecordingModel, RecordingStore

Connect = Callable[..., httpx.AsyncClient]

DETAILS = {
    "parent_model": "",
    "format": "safetensors",
    "family": "bert",
    "families": ["bert"],
    "parameter_size": "",
    "quantization_level": "float32",
}
CAN = ["completion", "tools", "embedding"]


async def test_the_models_are_listed(client: httpx.AsyncClient) -> None:
    [found] = (await client.get("/api/tags")).json()["models"]
    assert len(bytes.fromhex(found.pop("digest"))) == 32
    assert found == {
        "name": "tiny",
        "model": "tiny",
        "modified_at": "2023-11-14T22:13:20Z",
        "size": 10**7,
        "details": DETAILS,
        "capabilities": CAN,
    }
    assert (await client.head("/api/tags")).status_code == 200


class NotLoaded(RecordingStore):
    """A model that can be loaded, and one that cannot be served."""

    def known(self, *, everything: bool = False) -> Sequence[tuple[Known, ModelInfo | None, RecordingModel | None]]:
        del everything
        broken = Known(name="broken", source="b", refusal="its file is damaged")
        return [(Known(name="later", source="l", tasks=("embed",)), None, None), (broken, None, None)]


async def test_models_that_cannot_be_served_are_no_tags(settings: HttpSettings) -> None:
    transport = httpx.ASGITransport(create_app(NotLoaded(), settings, Telemetry()))
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
        [found] = (await client.get("/api/tags")).json()["models"]
        assert (await client.get("/api/ps")).json() == {"models": []}
    assert (found["name"], found["size"], found["capabilities"]) == ("later", 0, ["embedding"])
    assert len(bytes.fromhex(found["digest"])) == 32


async def test_the_loaded_ones_are_listed(client: httpx.AsyncClient, model: RecordingModel) -> None:
    [found] = (await client.get("/api/ps")).json()["models"]
    assert found.pop("digest") == (await client.get("/api/tags")).json()["models"][0]["digest"]
    assert found.pop("expires_at") > "2300"
    assert found == {
        "name": "tiny",
        "model": "tiny",
        "size": 10**7,
        "details": DETAILS,
        "size_vram": 0,
        "context_length": 256,
    }
    model.info = replace(model.info, device="cuda:0", runtime="llama.cpp", architecture="qwen3")
    [found] = (await client.get("/api/ps")).json()["models"]
    assert (found["size_vram"], found["details"]["format"], found["details"]["family"]) == (10**7, "gguf", "qwen3")


async def test_a_model_is_described(client: httpx.AsyncClient) -> None:
    for body in (
        {"model": "tiny"},
        {"name": "tiny"},
        {"model": "tiny:latest", "verbose": True},
        {"model": "owner/tiny"},
    ):
        found = (await client.post("/api/show", json=body)).json()
        assert found["details"] == DETAILS
        assert found["capabilities"] == CAN
        assert found["model_info"] == {
            "general.architecture": "bert",
            "bert.context_length": 256,
            "bert.embedding_length": 384,
            "bert.vocab_size": 30522,
        }
        assert found["modified_at"] == "2023-11-14T22:13:20Z"
    assert (await client.post("/m/tiny/api/show", json={})).json() == found


async def test_a_template_is_shown_and_says_whether_a_model_thinks(
    client: httpx.AsyncClient, model: RecordingModel
) -> None:
    for template, can in (("{{ messages }}", CAN), (REASONING, ["completion", "tools", "thinking", "embedding"])):
        model.info = replace(model.info, template=template)
        found = (await client.post("/api/show", json={"model": "tiny"})).json()
        assert (found["template"], found["capabilities"]) == (template, can)


async def test_an_unknown_model_and_none_are_refused(client: httpx.AsyncClient) -> None:
    missing = await client.post("/api/show", json={"model": "nobody:latest"})
    assert (missing.status_code, "nobody" in missing.json()["error"]) == (404, True)
    unnamed = await client.post("/api/show", json={"model": None})
    assert (unnamed.status_code, unnamed.json()["error"]) == (400, "the field 'model' is missing")


async def test_the_version_is_one_that_clients_take(client: httpx.AsyncClient) -> None:
    body = (await client.get("/api/version")).json()
    assert tuple(map(int, body["version"].split("."))) >= (0, 6, 4)  # what VS Code asks for
    assert body["textmill"] == "0.0.0"
