from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.http.lines import lines_of

from textmill.contract import ChatOptions, CompleteOptions, Ended, Message, Piece, Spent
from textmill.testing.served import RecordingModel


async def ask(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post("/api/generate", json={"model": "tiny", "prompt": "Hello"} | fields)


async def test_a_prompt_is_what_a_user_says(client: httpx.AsyncClient, model: RecordingModel) -> None:
    body = (await ask(client, system="Be short.", think="max", stream=False)).json()
    assert (body["response"], body["done"], body["done_reason"], body["eval_count"]) == (
        "The mill turns.",
        True,
        "stop",
        2,
    )
    assert not {"message", "context", "thinking"} & body.keys()
    said = (Message(role="system", content="Be short."), Message(role="user", content="Hello"))
    assert model.asked == [(said, ChatOptions(reasoning_effort="high"))]


async def test_lines_have_the_response_and_the_thinking(client: httpx.AsyncClient, model: RecordingModel) -> None:
    model.script = (
        Piece(reasoning="hm"),
        Piece(text="Yes."),
        Ended(0, "stop"),
        Spent(prompt_tokens=1, completion_tokens=2),
    )
    lines = lines_of(await ask(client))
    assert [(line["response"], line.get("thinking"), line["done"]) for line in lines] == [
        ("", "hm", False),
        ("Yes.", None, False),
        ("", None, True),
    ]


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"raw": True, "think": True}, CompleteOptions(raw=True)),
        ({"suffix": "end"}, CompleteOptions(suffix="end")),
        ({"raw": True, "options": {"num_predict": 5}}, CompleteOptions(max_tokens=5, raw=True)),
    ],
)
async def test_a_raw_prompt_or_one_with_a_suffix_goes_on(
    fields: dict[str, Any], wanted: CompleteOptions, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    assert (await ask(client, stream=False, **fields)).json()["response"] == "The mill turns."
    assert model.asked == [("Hello", wanted)]


@pytest.mark.parametrize("prompt", [None, ""])
async def test_without_a_prompt_the_model_loads_or_leaves(
    prompt: str | None, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    for keep_alive, reason in ((None, "load"), ("5m", "load"), (-1, "load"), (0, "unload")):
        body = (await ask(client, prompt=prompt, keep_alive=keep_alive)).json()
        assert (body["model"], body["response"], body["done"], body["done_reason"]) == ("tiny", "", True, reason)
    assert not model.asked
    assert not model.ready


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"images": ["aGk="]}, "images"),
        ({"template": "{{ .Prompt }}"}, "templates"),
        ({"context": [1, 2]}, "/api/chat"),
        ({"raw": True, "system": "x"}, "system"),
        ({"suffix": "y", "system": "x"}, "system"),
        ({"prompt": 3}, "prompt"),
    ],
)
async def test_what_is_not_done_is_refused(fields: dict[str, Any], said: str, client: httpx.AsyncClient) -> None:
    answer = await ask(client, **fields)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


async def test_null_and_nothing_are_as_absent(client: httpx.AsyncClient, model: RecordingModel) -> None:
    none = dict.fromkeys(("system", "suffix", "raw", "format", "options", "think", "keep_alive", "stream", "logprobs"))
    await ask(client, images=[], template="", context=[], **none)
    assert model.asked == [((Message(role="user", content="Hello"),), ChatOptions())]
