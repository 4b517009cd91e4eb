from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from textmill.contract import (
    Alternative,
    CallPiece,
    ChatOptions,
    Ended,
    Format,
    Message,
    Named,
    Piece,
    Spent,
    TokenLogprob,
    ToolCall,
)
from textmill.errors import ContextExceeded, ForwardFailed
from textmill.testing.served import RecordingModel

HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "turn", "parameters": {"type": "object", "properties": {}}}}


async def ask(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post("/v1/chat/completions", json={"messages": HELLO} | fields)


def events(answer: httpx.Response) -> list[Any]:
    """The data of all events, the last of which has to be [DONE]."""
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    parts = answer.text.split("\n\n")
    assert parts[-2:] == ["data: [DONE]", ""]
    return [json.loads(part.removeprefix("data: ")) for part in parts[:-2] if not part.startswith(":")]


async def test_an_answer_has_openais_shape(client: httpx.AsyncClient) -> None:
    answer = await ask(client)
    body = answer.json()
    assert answer.status_code == 200
    assert body["id"].startswith("chatcmpl-")
    assert isinstance(body["created"], int)
    assert {key: body[key] for key in ("object", "model", "system_fingerprint", "choices", "usage")} == {
        "object": "chat.completion",
        "model": "tiny",
        "system_fingerprint": "f00d",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "The mill turns."},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 2,
            "total_tokens": 11,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
    }


async def test_a_stream_is_role_pieces_reason_usage_and_done(client: httpx.AsyncClient) -> None:
    chunks = events(await ask(client, stream=True, stream_options={"include_usage": True}))
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert [chunk["choices"] for chunk in chunks] == [
        [{"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}],
        [{"index": 0, "delta": {"content": "The mill"}, "logprobs": None, "finish_reason": None}],
        [{"index": 0, "delta": {"content": " turns."}, "logprobs": None, "finish_reason": None}],
        [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}],
        [],
    ]
    assert [chunk["usage"] and chunk["usage"]["total_tokens"] for chunk in chunks] == [None] * 4 + [11]


async def test_without_asking_a_stream_has_no_usage(client: httpx.AsyncClient) -> None:
    chunks = events(await ask(client, stream=True))
    assert not any("usage" in chunk for chunk in chunks)
    assert len(chunks) == 4


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, ChatOptions()),
        ({"n": 0, "max_tokens": 0, "stop": None}, ChatOptions(max_tokens=-1)),
        ({"functions": [], "tools": []}, ChatOptions()),
        ({"n": 3, "max_tokens": 7, "max_completion_tokens": 5}, ChatOptions(n=3, max_tokens=5)),
        ({"stop": "a"}, ChatOptions(stop=("a",))),
        ({"stop": ["a", "b"]}, ChatOptions(stop=("a", "b"))),
        ({"logprobs": True}, ChatOptions(logprobs=0)),
        ({"logprobs": False}, ChatOptions()),
        ({"logprobs": 3}, ChatOptions(logprobs=3)),
        ({"logprobs": True, "top_logprobs": 4}, ChatOptions(logprobs=4)),
        ({"reasoning_effort": "low"}, ChatOptions(reasoning_effort="low")),
        ({"response_format": {"type": "text"}}, ChatOptions()),
        ({"response_format": {"type": "json_object"}}, ChatOptions(format=Format("json_object"))),
        ({"response_format": "json_object"}, ChatOptions(format=Format("json_object"))),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}},
            ChatOptions(format=Format("json_schema", '{"type": "object"}')),
        ),
        (
            {
                "response_format": {"type": "json_object", "value": {"type": "object"}}
            },  # as Hugging Face's client has it
            ChatOptions(format=Format("json_schema", '{"type": "object"}')),
        ),
        ({"grammar": 'root ::= "a"'}, ChatOptions(format=Format("grammar", 'root ::= "a"'))),
        (
            {"metadata": {"enable_thinking": "false", "tag": "x"}, "chat_template_kwargs": {"tag": 1}},
            ChatOptions(template_kwargs={"enable_thinking": False, "tag": 1}),
        ),
    ],
)
async def test_what_a_request_says_reaches_the_model(
    fields: dict[str, Any], wanted: ChatOptions, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    model.script = (*(Ended(index, "stop") for index in range(wanted.n)), Spent(prompt_tokens=1, completion_tokens=0))
    assert (await ask(client, **fields)).status_code == 200
    assert model.asked == [((Message(role="user", content="Hello"),), wanted)]


async def test_sampling_reaches_the_model(client: httpx.AsyncClient, model: RecordingModel) -> None:
    fields = {
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 3,
        "min_p": 0.1,
        "seed": 7,
        "presence_penalty": -1,
        "frequency_penalty": 1.5,
        "repeat_penalty": 1.1,
        "repeat_last_n": 32,
        "ignore_eos": True,
        "logit_bias": {"12": -100},
    }
    await ask(client, **fields)
    [(_, options)] = model.asked
    told = options.sampling
    assert {name: getattr(told, name) for name in fields if name != "logit_bias"} == {
        name: value for name, value in fields.items() if name != "logit_bias"
    }
    assert told.logit_bias == {12: -100}
    assert told.top_p == 0.5


async def test_messages_of_all_roles_are_read(client: httpx.AsyncClient, model: RecordingModel) -> None:
    said = [
        {"role": "developer", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "eve"},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "hm",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "turn", "arguments": '{"n": 1}'}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "done"},
    ]
    assert (await ask(client, messages=said)).status_code == 200
    assert model.asked[0][0] == (
        Message(role="system", content="Be short."),
        Message(role="user", content="ab", name="eve"),
        Message(role="assistant", reasoning="hm", tool_calls=(ToolCall("c1", "turn", '{"n": 1}'),)),
        Message(role="tool", tool_call_id="c1", content="done"),
    )


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"messages": []}, "messages", "empty list"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages", "wizard"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages", "takes no images"),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "messages", "smell"),
        ({"messages": [{"role": "user", "tool_calls": [{"function": {"name": "x"}}]}]}, "messages", "assistant"),
        ({"temperature": -1}, "temperature", "temperature"),
        ({"top_p": 2}, "top_p", "top_p"),
        ({"n": 1000}, "n", "n:"),
        ({"max_tokens": "10"}, "max_tokens", "expected int"),
        ({"stop": [""]}, "stop", "empty text"),
        ({"stop": ["x"] * 65}, "stop", "65"),
        ({"logit_bias": {"word": 1}}, "logit_bias", "token ids"),
        ({"logit_bias": {"1": 101}}, "logit_bias", "-100 to 100"),
        ({"top_logprobs": 2}, "top_logprobs", "needs logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "21"),
        ({"response_format": {"type": "xml"}}, "response_format", "xml"),
        ({"response_format": {"type": "json_schema"}}, "response_format", "json_schema.schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"$ref": "#/x/y"}}}},
            "response_format.json_schema.schema",
            "$ref",
        ),
        ({"response_format": {"type": "json_object"}, "grammar": "x"}, "grammar", "not both"),
        ({"grammar": "(" * 1000}, "grammar", "256 levels"),
        ({"tools": [{"type": "web_search"}]}, "tools", "web_search"),
        ({"tools": [TOOL, TOOL]}, "tools", "two functions"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools", "a b"),
        ({"tools": [TOOL], "functions": [TOOL["function"]]}, "functions", "not both"),
        ({"tools": [TOOL], "tool_choice": "maybe"}, "tool_choice", "maybe"),
        ({"tools": [TOOL], "tool_choice": "{"}, "tool_choice", "JSON"),
        ({"tools": [TOOL], "tool_choice": {"function": {"name": "stop"}}}, "tool_choice", "none of the tools"),
        ({"tool_choice": "required"}, "tool_choice", "no tools"),
        (
            {"tools": [TOOL], "tool_choice": "required", "response_format": {"type": "json_object"}},
            "tool_choice",
            "leave one",
        ),
        ({"chat_template_kwargs": {"enable_thinking": "x"}}, "chat_template_kwargs", "true or false"),
        ({"chat_template_kwargs": {"x": 10**30}}, "chat_template_kwargs", "64 bits"),
        ({"chat_template_kwargs": {"x": json.loads("[" * 100 + "]" * 100)}}, "chat_template_kwargs", "nested"),
        ({"seed": 10**30}, "seed", "seed"),
        ({"max_tokens": 2**40}, "max_tokens", "max_tokens"),
        ({"top_k": 2**40}, "top_k", "top_k"),
        ({"logit_bias": {"1" * 5000: 1}}, "logit_bias", "token ids"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"maximum": 10**30}}}]},
            "tools[0].function.parameters",
            "64 bits",
        ),
        *(
            (
                {
                    "messages": [
                        *HELLO,
                        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": text}}]},
                    ]
                },
                "messages",
                "messages[1].tool_calls[0].arguments",
            )
            for text in ("{bad", "[1]", "7", '{"a": ' + "[" * 100 + "]" * 100 + "}")
        ),
        (
            {
                "messages": [
                    {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[" * 100_000}}]}
                ]
            },
            "messages",
            "not the JSON of an object",
        ),
        ({"backend": "vllm"}, "backend", "vllm"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_cannot_be_is_400_with_its_field(
    fields: dict[str, Any],
    param: str,
    said: str,
    stream: bool,  # noqa: FBT001 - a case
    client: httpx.AsyncClient,
    model: RecordingModel,
) -> None:
    answer = await ask(client, stream=stream, **fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert said in answer.json()["error"]["message"]
    assert model.asked == []


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        (None, "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "function": {"name": "turn"}}, Named("turn")),
        ({"type": "function", "name": "turn"}, Named("turn")),
        ('{"type": "function", "function": {"name": "turn"}}', Named("turn")),
    ],
)
async def test_a_choice_of_tools_has_many_spellings(
    choice: object, wanted: object, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    assert (await ask(client, tools=[TOOL], tool_choice=choice)).status_code == 200
    assert isinstance(model.asked[0][1], ChatOptions)
    assert model.asked[0][1].tool_choice == wanted


CALLS = (
    Piece(text="I turn it."),
    Piece(calls=(CallPiece(0, "c1", "turn", ""),)),
    Piece(calls=(CallPiece(0, arguments='{"n"'),)),
    Piece(calls=(CallPiece(0, arguments=": 1}"), CallPiece(1, "c2", "stop", "{}"))),
    Ended(0, "tool_calls"),
    Spent(prompt_tokens=1, completion_tokens=5),
)


async def test_calls_are_put_together(client: httpx.AsyncClient, model: RecordingModel) -> None:
    model.script = CALLS
    [choice] = (await ask(client, tools=[TOOL])).json()["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": "I turn it.",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "turn", "arguments": '{"n": 1}'}},
            {"id": "c2", "type": "function", "function": {"name": "stop", "arguments": "{}"}},
        ],
    }


async def test_calls_are_streamed_as_they_come(client: httpx.AsyncClient, model: RecordingModel) -> None:
    model.script = CALLS
    deltas = [chunk["choices"][0]["delta"] for chunk in events(await ask(client, tools=[TOOL], stream=True))]
    assert deltas == [
        {"role": "assistant", "content": ""},
        {"content": "I turn it."},
        {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "turn", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"n"'}}]},
        {
            "tool_calls": [
                {"index": 0, "function": {"arguments": ": 1}"}},
                {"index": 1, "id": "c2", "type": "function", "function": {"name": "stop", "arguments": "{}"}},
            ]
        },
        {},
    ]


@pytest.mark.parametrize("arguments", [None, ""])
async def test_a_call_without_arguments_has_none(
    arguments: str | None, client: httpx.AsyncClient, model: RecordingModel
) -> None:
    said = [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": arguments}}]}]
    assert (await ask(client, messages=said)).status_code == 200
    assert model.asked[0][0] == (Message(role="assistant", tool_calls=(ToolCall("c", "f", "{}"),)),)


async def test_an_empty_list_of_functions_is_not_the_older_spelling(
    client: httpx.AsyncClient, model: RecordingModel
) -> None:
    model.script = CALLS
    [choice] = (await ask(client, functions=[], tools=[TOOL])).json()["choices"]
    assert (choice["finish_reason"], len(choice["message"]["tool_calls"])) == ("tool_calls", 2)


async def test_the_older_spelling_has_one_call(client: httpx.AsyncClient, model: RecordingModel) -> None:
    model.script = CALLS
    chunks = events(await ask(client, functions=[TOOL["function"]], stream=True))
    calls = [chunk["choices"][0]["delta"].get("function_call", {}) for chunk in chunks]
    assert "".join(call.get("arguments", "") for call in calls) == '{"n": 1}'
    assert [call["name"] for call in calls if "name" in call] == ["turn"]


async def test_very_many_tools_are_read(connect: Any) -> None:
    """Compared with each other they would take minutes."""
    tools = [{"type": "function", "function": {"name": f"f{number}"}} for number in range(100_000)]
    assert (await ask(connect(body_limit=1 << 24), tools=tools)).status_code == 200


async def test_older_functions_are_answered_in_their_spelling(client: httpx.AsyncClient, model: RecordingModel) -> None:
    model.script = CALLS
    function = TOOL["function"]
    [choice] = (await ask(client, functions=[function], function_call="auto")).json()["choices"]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "turn", "arguments": '{"n": 1}'}
    assert "tool_calls" not in choice["message"]
    chunks = events(await ask(client, functions=[function], stream=True))
    assert chunks[2]["choices"][0]["delta"] == {"function_call": {"name": "turn", "arguments": ""}}
    assert chunks[-1]["choices"][0]["finish_reason"] == "function_call"


async def test_reasoning_stands_under_both_names(client: httpx.AsyncClient, model: RecordingModel) -> None:
    model.script = (
        Piece(reasoning="Hm."),
        Piece(text="Yes."),
        Ended(0, "stop"),
        Spent(prompt_tokens=1, completion_tokens=2),
    )
    [choice] = (await ask(client)).json()["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": "Yes.",
        "reasoning": "Hm.",
        "reasoning_content": "Hm.",
    }
    deltas = [chunk["choices"][0]["delta"] for chunk in events(await ask(client, stream=True))]
    assert deltas[1:3] == [{"reasoning": "Hm.", "reasoning_content": "Hm."}, {"content": "Yes."}]


async def test_choices_have_their_own_texts_and_numbers(client: httpx.AsyncClient, model: RecordingModel) -> None:
    model.script = (
        Piece(choice=1, text="b"),
        Piece(choice=0, text="a"),
        Ended(1, "length"),
        Ended(0, "stop"),
        Spent(prompt_tokens=3, completion_tokens=2),
    )
    choices = (await ask(client, n=2)).json()["choices"]
    assert [(each["index"], each["message"]["content"], each["finish_reason"]) for each in choices] == [
        (0, "a", "stop"),
        (1, "b", "length"),
    ]
    chunks = events(await ask(client, n=2, stream=True))
    assert [chunk["choices"][0]["index"] for chunk in chunks] == [1, 1, 0, 0, 1, 0]


async def test_logprobs_are_told_token_by_token(client: httpx.AsyncClient, model: RecordingModel) -> None:
    token = Alternative("é", -0.5, "é".encode(), 7)
    logprobs = (TokenLogprob(token, (token, Alternative("e", -1.0, b"e", 8))),)
    model.script = (Piece(text="é", logprobs=logprobs), Ended(0, "stop"), Spent(prompt_tokens=1, completion_tokens=1))
    wanted = {
        "content": [
            {
                "token": "é",
                "logprob": -0.5,
                "bytes": [195, 169],
                "top_logprobs": [
                    {"token": "é", "logprob": -0.5, "bytes": [195, 169]},
                    {"token": "e", "logprob": -1.0, "bytes": [101]},
                ],
            }
        ],
        "refusal": None,
    }
    [choice] = (await ask(client, logprobs=True, top_logprobs=2)).json()["choices"]
    assert choice["logprobs"] == wanted
    chunks = events(await ask(client, logprobs=True, top_logprobs=2, stream=True))
    assert [chunk["choices"][0]["logprobs"] for chunk in chunks] == [None, wanted, None]


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_before_the_first_piece_has_its_status(
    stream: bool,  # noqa: FBT001 - a case
    client: httpx.AsyncClient,
    model: RecordingModel,
) -> None:
    model.script = (ContextExceeded("the prompt has 9 tokens, and 5 fit", param="messages"),)
    answer = await ask(client, stream=stream)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, "messages", "context_length_exceeded")


async def test_an_error_within_a_stream_is_an_event_and_then_done(
    client: httpx.AsyncClient, model: RecordingModel
) -> None:
    model.script = (Piece(text="The"), ForwardFailed("the model has died"))
    *chunks, last = events(await ask(client, stream=True))
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "The"},
    ]
    assert last["error"] == {
        "message": "the model has died",
        "type": "server_error",
        "param": None,
        "code": "forward_failed",
    }


async def test_a_bug_within_a_stream_stays_nameless(
    client: httpx.AsyncClient, model: RecordingModel, caplog: pytest.LogCaptureFixture
) -> None:
    model.script = (Piece(text="The"), ZeroDivisionError("secret"))
    answer = await ask(client, stream=True)
    assert events(answer)[-1]["error"]["code"] == "internal_error"
    assert "secret" not in answer.text
    assert "secret" in caplog.text


async def test_what_is_written_is_counted(client: httpx.AsyncClient, model: RecordingModel) -> None:
    await ask(client)
    await ask(client, stream=True)
    told = (await client.get("/metrics")).text
    assert 'textmill_generated_tokens_total{model="tiny"} 4' in told
    assert 'textmill_prompt_tokens_total{model="tiny"} 18' in told
    assert 'textmill_choices_total{model="tiny",reason="stop"} 2' in told
    assert 'textmill_requests_total{model="tiny",route="/v1/chat/completions",status="200"} 2' in told
    assert 'textmill_first_token_seconds_count{model="tiny"} 2' in told
    assert model.closed.is_set() is False


async def test_no_more_write_at_once_than_may_compute(connect: Any, model: RecordingModel) -> None:
    client = connect(max_concurrent_requests=1)
    go = asyncio.Event()
    model.script = (Piece(text="a"), go, Ended(0, "stop"), Spent(prompt_tokens=1, completion_tokens=1))
    first = asyncio.create_task(ask(client))
    await model.waits.wait()
    for stream in (False, True):
        answer = await ask(client, stream=stream)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    go.set()
    assert (await first).status_code == 200
