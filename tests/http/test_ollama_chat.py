from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.http.lines import lines_of

from textmill.contract import (
    Alternative,
    CallPiece,
    ChatOptions,
    Ended,
    Message,
    Piece,
    Spent,
    TokenLogprob,
    Tool,
    ToolCall,
)
from textmill.errors import ContextExceeded, ForwardFailed
from textmill.testing.served import RecordingModel

HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "turn", "parameters": {"type": "object", "properties": {}}}}
DURATIONS = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


async def ask(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post("/api/chat", json={"model": "tiny", "messages": HELLO} | fields)


async def test_an_answer_as_a_whole_has_ollamas_shape(client: httpx.AsyncClient) -> None:
    answer = await ask(client, stream=False)
    body = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert body.pop("created_at").endswith("Z")
    assert all(body.pop(name) >= 0 for name in DURATIONS)
    assert body == {
        "model": "tiny",
        "message": {"role": "assistant", "content": "The mill turns."},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 9,
        "eval_count": 2,
    }


async def test_unless_told_otherwise_lines_come_as_they_are_written(client: httpx.AsyncClient) -> None:
    lines = lines_of(await ask(client))
    assert [line["message"]["content"] for line in lines] == ["The mill", " turns.", ""]
    assert [line["done"] for line in lines] == [False, False, True]
    assert {line["model"] for line in lines} == {"tiny"}
    assert not any(name in line for line in lines[:-1] for name in ("done_reason", "eval_count", *DURATIONS))
    assert (lines[-1]["done_reason"], lines[-1]["eval_count"], lines[-1]["prompt_eval_count"]) == ("stop", 2, 9)


async def test_durations_are_those_that_the_engine_tells(client: httpx.AsyncClient, model: RecordingModel) -> None:
    spent = Spent(prompt_tokens=1, completion_tokens=1, prompt_s=0.25, generation_s=1.5)
    model.script = (Piece(text="a"), Ended(0, "length"), spent)
    for stream in (True, False):
        answer = await ask(client, stream=stream)
        last = lines_of(answer)[-1] if stream else answer.json()
        assert (last["prompt_eval_duration"], last["eval_duration"]) == (250_000_000, 1_500_000_000)
        assert last["done_reason"] == "length"


async def test_thinking_and_calls_stand_in_the_message(client: httpx.AsyncClient, model: RecordingModel) -> None:
    model.script = (
        Piece(reasoning="hm"),
        Piece(calls=(CallPiece(0, "c1", "turn", '{"n":'),)),
        Piece(calls=(CallPiece(0, arguments=" 1}"), CallPiece(1, None, "stop", ""))),
        Ended(0, "tool_calls"),
        Spent(prompt_tokens=1, completion_tokens=3),
    )
    thought, called, last = lines_of(await ask(client, tools=[TOOL]))
    assert thought["message"] == {"role": "assistant", "content": "", "thinking": "hm"}
    first, second = called["message"]["tool_calls"]
    assert first == {"id": "c1", "function": {"index": 0, "name": "turn", "arguments": {"n": 1}}}
    assert second["function"] == {"index": 1, "name": "stop", "arguments": {}}
    assert second["id"]
    assert (last["done_reason"], last["message"]) == ("stop", {"role": "assistant", "content": ""})
    whole = (await ask(client, tools=[TOOL], stream=False)).json()["message"]
    assert (whole["thinking"], whole["content"], len(whole["tool_calls"])) == ("hm", "", 2)


async def test_a_call_that_was_cut_off_is_none(client: httpx.AsyncClient, model: RecordingModel) -> None:
    model.script = (
        Piece(calls=(CallPiece(0, "c1", "turn", '{"n": 1'),)),
        Ended(0, "length"),
        Spent(prompt_tokens=1, completion_tokens=3),
    )
    for line in lines_of(await ask(client, tools=[TOOL])):
        assert "tool_calls" not in line["message"]


async def test_log_probabilities_stand_beside_the_message(client: httpx.AsyncClient, model: RecordingModel) -> None:
    token = TokenLogprob(Alternative("a", -0.5, b"a"), (Alternative("b", -1.0, b"b"),))
    model.script = (Piece(text="a", logprobs=(token,)), Ended(0, "stop"), Spent(prompt_tokens=1, completion_tokens=1))
    wanted = [
        {
            "token": "a",
            "logprob": -0.5,
            "bytes": [97],
            "top_logprobs": [{"token": "b", "logprob": -1.0, "bytes": [98]}],
        }
    ]
    assert lines_of(await ask(client, logprobs=True, top_logprobs=1))[0]["logprobs"] == wanted
    assert (await ask(client, logprobs=True, top_logprobs=1, stream=False)).json()["logprobs"] == wanted
    assert [options.logprobs for _, options in model.asked] == [1, 1]


async def test_what_a_request_says_reaches_the_model(client: httpx.AsyncClient, model: RecordingModel) -> None:
    await ask(client, tools=[TOOL], think=False)
    wanted = Tool(name="turn", parameters={"type": "object", "properties": {}})
    assert model.asked == [
        ((Message(role="user", content="Hello"),), ChatOptions(tools=(wanted,), reasoning_effort="none"))
    ]


async def test_messages_of_all_roles_are_read(client: httpx.AsyncClient, model: RecordingModel) -> None:
    def call(name: str, arguments: object = None, **more: str) -> dict[str, Any]:
        return {"function": {"name": name, "arguments": arguments}, **more}

    said = [
        {"role": "System", "content": "Be short.", "images": []},
        {"role": "assistant", "thinking": "hm", "tool_calls": [call("a", {"n": 1}), call("b", '{"é": 2}'), call("a")]},
        {"role": "tool", "tool_name": "b", "content": "two"},
        {"role": "tool", "tool_name": "a", "content": "one"},
        {"role": "tool", "content": "three"},
        {"role": "tool", "content": "four"},
        {"role": "assistant", "content": "", "tool_calls": [call("a", {}, id="mine")]},
        {"role": "tool", "tool_call_id": "mine", "content": "five"},
    ]
    assert (await ask(client, messages=said)).status_code == 200
    calls = (
        ToolCall("call_1_0", "a", '{"n": 1}'),
        ToolCall("call_1_1", "b", '{"é": 2}'),
        ToolCall("call_1_2", "a", "{}"),
    )
    assert model.asked[0][0] == (
        Message(role="system", content="Be short."),
        Message(role="assistant", reasoning="hm", tool_calls=calls),
        Message(role="tool", content="two", name="b", tool_call_id="call_1_1"),
        Message(role="tool", content="one", name="a", tool_call_id="call_1_0"),
        Message(role="tool", content="three", tool_call_id="call_1_2"),
        Message(role="tool", content="four"),
        Message(role="assistant", tool_calls=(ToolCall("mine", "a", "{}"),)),
        Message(role="tool", content="five", tool_call_id="mine"),
    )


async def test_without_messages_the_model_loads_or_leaves(client: httpx.AsyncClient, model: RecordingModel) -> None:
    for fields, reason in (({"messages": []}, "load"), ({"messages": None, "keep_alive": "0s"}, "unload")):
        body = (await ask(client, **fields)).json()
        assert (body["message"], body["done"], body["done_reason"]) == (
            {"role": "assistant", "content": ""},
            True,
            reason,
        )
    assert not model.asked
    assert not model.ready


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"messages": [{"role": "wizard", "content": "x"}]}, "wizard"),
        ({"messages": [{"role": "user", "content": "x", "images": ["aGk="]}]}, "images"),
        ({"messages": [{"role": "user", "tool_calls": [{"function": {"name": "x"}}]}]}, "assistant"),
        *(
            (
                {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "x", "arguments": given}}]}]},
                said,
            )
            for given, said in (
                ("[1]", "JSON"),
                (f'{{"n": 1{"0" * 30}}}', "64 bits"),
                ('{"n": ' + "[" * 99 + "]" * 99 + "}", "deep"),
            )
        ),
        ({"messages": "x"}, "messages"),
        ({"tools": [{"type": "retrieval"}]}, "retrieval"),
        ({"tools": [TOOL, TOOL]}, "turn"),
        ({"keep_alive": "soon"}, "keep_alive"),
        ({"model": "nobody"}, "nobody"),
    ],
)
async def test_bad_requests_are_refused_before_anything_is_written(
    fields: dict[str, Any], said: str, client: httpx.AsyncClient
) -> None:
    answer = await ask(client, **fields)
    assert answer.status_code == (404 if "model" in fields else 400)
    assert answer.headers["content-type"] == "application/json"
    assert said in answer.json()["error"]


@pytest.mark.parametrize(("stream", "status"), [(True, 400), (False, 400)])
async def test_an_error_before_the_first_token_has_its_status(
    stream: bool,  # noqa: FBT001 - a case
    status: int,
    client: httpx.AsyncClient,
    model: RecordingModel,
) -> None:
    model.script = (ContextExceeded("the prompt is too long"),)
    answer = await ask(client, stream=stream)
    assert (answer.status_code, answer.json()["error"]) == (status, "the prompt is too long")


async def test_an_error_in_mid_stream_is_the_last_line(client: httpx.AsyncClient, model: RecordingModel) -> None:
    model.script = (Piece(text="a"), ForwardFailed("out of memory"))
    first, last = lines_of(await ask(client))
    assert first["message"]["content"] == "a"
    assert last["error"] == "out of memory"
