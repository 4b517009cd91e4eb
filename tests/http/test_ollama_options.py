from __future__ import annotations

from typing import Any

import httpx
import pytest

from textmill.contract import ChatOptions, Format, GenerateOptions, Sampling
from textmill.testing.served import RecordingModel

LANGCHAINS = (
    *("mirostat", "mirostat_eta", "mirostat_tau", "num_ctx", "num_gpu", "num_thread", "num_predict"),
    *("repeat_last_n", "repeat_penalty", "temperature", "seed", "stop", "tfs_z", "top_k", "top_p"),
)
"""What its client sends, all null unless somebody has said something."""


async def asked(client: httpx.AsyncClient, model: RecordingModel, **fields: Any) -> GenerateOptions:
    said = [{"role": "user", "content": "Hello"}]
    answer = await client.post("/api/chat", json={"messages": said} | fields)
    assert answer.status_code == 200, answer.text
    return model.asked[-1][1]


async def test_nulls_are_as_absent_and_unknown_ones_are_ignored(
    client: httpx.AsyncClient, model: RecordingModel
) -> None:
    assert await asked(client, model, options=dict.fromkeys(LANGCHAINS)) == ChatOptions()
    others = {"num_ctx": 2048, "num_gpu": -1, "use_mmap": True, "low_vram": {}, "penalize_newline": False}
    assert await asked(client, model, options=others) == ChatOptions()


async def test_sampling_reaches_the_model(client: httpx.AsyncClient, model: RecordingModel) -> None:
    given: dict[str, Any] = {
        "temperature": 0,
        "top_k": 40.0,
        "top_p": 0.5,
        "min_p": 0.1,
        "typical_p": 1,
        "seed": 42.0,
        "repeat_penalty": 1.1,
        "repeat_last_n": -1,
        "presence_penalty": -1,
        "frequency_penalty": 1.5,
        "mirostat": 2.0,
        "mirostat_tau": 5,
        "mirostat_eta": 0.1,
    }
    found = (await asked(client, model, options=given | {"num_keep": 4})).sampling
    assert found == Sampling(**given, n_keep=4)
    assert all(isinstance(getattr(found, name), int) for name in ("top_k", "seed", "mirostat"))


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"options": {"num_predict": 7}}, ChatOptions(max_tokens=7)),
        ({"options": {"num_predict": -1}}, ChatOptions(max_tokens=-1)),
        ({"options": {"num_predict": -2}}, ChatOptions(max_tokens=-1)),
        ({"options": {"stop": "a"}}, ChatOptions(stop=("a",))),
        ({"options": {"stop": ["a", "b"]}}, ChatOptions(stop=("a", "b"))),
        ({"format": ""}, ChatOptions()),
        ({"format": "json"}, ChatOptions(format=Format("json_object"))),
        ({"format": {"type": "object"}}, ChatOptions(format=Format("json_schema", '{"type": "object"}'))),
        ({"think": None}, ChatOptions()),
        ({"think": True}, ChatOptions(reasoning_effort="medium")),
        ({"think": False}, ChatOptions(reasoning_effort="none")),
        ({"think": "low"}, ChatOptions(reasoning_effort="low")),
        ({"think": "max"}, ChatOptions(reasoning_effort="high")),
        ({"logprobs": True}, ChatOptions(logprobs=0)),
        ({"logprobs": False, "top_logprobs": 3}, ChatOptions()),
    ],
)
async def test_what_a_request_says_reaches_the_model(
    fields: dict[str, Any], wanted: ChatOptions, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    assert await asked(client, model, **fields) == wanted


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"options": {"top_k": "many"}}, "options.top_k"),
        ({"options": {"top_k": 1e30}}, "options.top_k"),
        ({"options": {"top_p": 2}}, "options.top_p"),
        ({"options": {"temperature": -1}}, "options.temperature"),
        ({"options": {"num_predict": -3}}, "options.num_predict"),
        ({"options": {"stop": [""]}}, "stop"),
        ({"options": [1]}, "options"),
        ({"format": "xml"}, "xml"),
        ({"format": {"$ref": "#/nowhere"}}, "$ref"),
        ({"think": "very"}, "think"),
        ({"top_logprobs": 21}, "top_logprobs"),
    ],
)
async def test_what_cannot_be_is_refused(fields: dict[str, Any], said: str, client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/generate", json={"prompt": "Hello"} | fields)
    assert answer.status_code == 400
    assert said in answer.json()["error"]
