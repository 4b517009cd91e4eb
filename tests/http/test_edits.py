from __future__ import annotations

from typing import Any

import httpx
import pytest

from textmill.contract import CompleteOptions
from textmill.testing.served import RecordingModel


async def ask(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post("/v1/edits", json={"instruction": "Mend it.", "input": "The mil."} | fields)


async def test_an_edit_has_localais_shape(client: httpx.AsyncClient, model: RecordingModel) -> None:
    body = (await ask(client, temperature=0)).json()
    assert {key: body[key] for key in ("object", "choices")} == {
        "object": "edit",
        "choices": [{"index": 0, "text": "The mill turns.", "finish_reason": "stop"}],
    }
    assert body["usage"]["total_tokens"] == 11
    [(prompt, options)] = model.asked
    assert isinstance(options, CompleteOptions)
    assert (prompt, options.instruction, options.sampling.temperature) == ("The mil.", "Mend it.", 0)


async def test_several_texts_are_edited_in_their_order(client: httpx.AsyncClient, model: RecordingModel) -> None:
    body = (await ask(client, input=["a", "b"])).json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    assert body["usage"]["total_tokens"] == 22
    assert [prompt for prompt, _ in model.asked] == ["a", "b"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"instruction": " "}, "instruction"),
        ({"instruction": None}, "instruction"),
        ({"input": []}, "input"),
        ({"stream": True}, "stream"),
        ({"n": -1}, "n"),
    ],
)
async def test_what_cannot_be_is_400(fields: dict[str, Any], param: str, client: httpx.AsyncClient) -> None:
    answer = await ask(client, **fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_an_edit_may_come_without_a_text(client: httpx.AsyncClient, model: RecordingModel) -> None:
    assert (await ask(client, input=None)).status_code == 200
    assert model.asked[0][0] == ""
