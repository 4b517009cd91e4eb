"""What each client is asked to write, and what must come of it: what the models of `scripts.clients.writers` are told to say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from scripts.clients.check import Check, Servers, must, package
from scripts.clients.texts import PERSON, SAYS, THOUGHT

USER: Final[Any] = [{"role": "user", "content": "Hello"}]
WEATHER: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"],
}
TOOLS: Final[Any] = [{"type": "function", "function": {"name": "weather", "description": "Now", "parameters": WEATHER}}]
ADA: Final = json.loads(PERSON)


def base(servers: Servers) -> str:
    """Where OpenAI's routes are."""
    return servers.urls["write"] + "/v1"


def openai_client(servers: Servers) -> Any:
    """The package's client, which tries once only."""
    return package("openai", "openai").OpenAI(base_url=base(servers), api_key="any", max_retries=0, timeout=60)


def person() -> Any:
    """A model of pydantic's, which comes with the clients."""
    module = package("pydantic", "pydantic")
    name, age = module.Field(max_length=20), module.Field(ge=0, le=150)
    return module.create_model("Person", name=(str, name), age=(int, age))


def place() -> Any:
    """The arguments of the tool as a model of pydantic's: what is wild writes texts without end where it may."""
    module = package("pydantic", "pydantic")
    return module.create_model("Place", city=(str, module.Field(max_length=20)))


def openai_chat(servers: Servers) -> None:
    """Text, several choices, a stop string, log-probabilities, usage, and the raw answer."""
    chat = openai_client(servers).chat.completions
    made = chat.create(model="says", messages=USER, n=2)
    must([one.message.content for one in made.choices] == [SAYS, SAYS], made)
    must(made.choices[0].finish_reason == "stop" and made.usage.completion_tokens > 0, made)
    made = chat.create(model="says", messages=USER, stop=["river"])
    must(made.choices[0].message.content == SAYS.partition("river")[0], made)
    made = chat.create(model="says", messages=USER, max_completion_tokens=3)
    must(made.choices[0].finish_reason == "length" and made.usage.completion_tokens == 3, made)  # noqa: PLR2004 - as asked
    told = chat.create(model="says", messages=USER, logprobs=True, top_logprobs=2).choices[0].logprobs.content
    must("".join(one.token for one in told).startswith(SAYS), told)
    must(all(len(one.top_logprobs) == 2 and one.logprob <= 0 for one in told), told)  # noqa: PLR2004 - as asked
    raw = chat.with_raw_response.create(model="says", messages=USER)
    must(raw.status_code == HTTPStatus.OK and raw.parse().choices[0].message.content == SAYS, raw)
    thought = chat.create(model="thinks", messages=USER).choices[0].message
    must(thought.content == "Water does." and thought.reasoning_content.strip() == THOUGHT, thought)


def openai_chat_stream(servers: Servers) -> None:
    """Chunks, their usage, several choices, the stream helper, and a client that leaves."""
    client = openai_client(servers)
    chunks = list(
        client.chat.completions.create(
            model="says", messages=USER, n=2, stream=True, stream_options={"include_usage": True}
        )
    )
    for index in range(2):
        text = "".join(one.delta.content or "" for chunk in chunks for one in chunk.choices if one.index == index)
        must(text == SAYS, text)
    must(chunks[-1].usage.total_tokens > 0 and not chunks[-1].choices, chunks[-1])
    must(len({chunk.id for chunk in chunks}) == 1, "chunks have several ids")
    with client.chat.completions.stream(model="says", messages=USER) as events:
        kinds = [event.type for event in events]
        final = events.get_final_completion()
    must("content.delta" in kinds and final.choices[0].message.content == SAYS, kinds)
    with client.chat.completions.create(model="endless", messages=USER, stream=True) as stream:
        for _ in zip(range(5), stream, strict=False):
            pass
    must(client.chat.completions.create(model="endless", messages=USER, max_tokens=2).usage is not None, "it hangs")


def openai_tools(servers: Servers) -> None:
    """Calls of the model's own will, required, named, and streamed; the answer to one; the older functions."""
    client = openai_client(servers)
    chat = client.chat.completions
    named = {"type": "function", "function": {"name": "weather"}}
    for model, choice in (("calls", "auto"), ("calls", "required"), ("wild", "required"), ("wild", named)):
        asked: Any = {
            "model": model,
            "messages": USER,
            "tools": TOOLS,
            "tool_choice": choice,
            "parallel_tool_calls": False,
        }
        made = chat.create(**asked, max_tokens=500)
        [call] = made.choices[0].message.tool_calls
        must(made.choices[0].finish_reason == "tool_calls" and call.function.name == "weather", made)
        must(isinstance(json.loads(call.function.arguments)["city"], str), call)
        pieces = [one for chunk in chat.create(**asked, max_tokens=500, stream=True) for one in chunk.choices]
        parts = [part for one in pieces for part in one.delta.tool_calls or ()]
        must(parts[0].id and parts[0].function.name == "weather", parts)
        must(isinstance(json.loads("".join(part.function.arguments or "" for part in parts))["city"], str), parts)
        must(pieces[-1].finish_reason == "tool_calls", pieces[-1])
        answered = [*USER, made.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
        must(chat.create(model="says", messages=answered, tools=TOOLS).choices[0].message.content == SAYS, answered)
    old = chat.create(model="calls", messages=USER, functions=[TOOLS[0]["function"]], function_call={"name": "weather"})
    must(
        old.choices[0].message.function_call.name == "weather" and old.choices[0].finish_reason == "function_call", old
    )


def openai_structured(servers: Servers) -> None:
    """JSON parsed into pydantic's models, streamed too, any JSON, and tools made of pydantic's models."""
    openai = package("openai", "openai")
    chat = openai_client(servers).chat.completions
    kind = person()
    for model in ("json", "wild"):
        made = chat.parse(model=model, messages=USER, response_format=kind, max_tokens=3000, temperature=1.5)
        must(isinstance(made.choices[0].message.parsed, kind), made)
        with chat.stream(model=model, messages=USER, response_format=kind, max_tokens=3000) as events:
            must(isinstance(events.get_final_completion().choices[0].message.parsed, kind), "no person")
    any_json = chat.create(model="json", messages=USER, response_format={"type": "json_object"})
    must(isinstance(json.loads(any_json.choices[0].message.content), dict), any_json)
    tool = openai.pydantic_function_tool(kind)
    made = chat.parse(model="wild", messages=USER, tools=[tool], tool_choice="required", max_tokens=3000)
    must(all(isinstance(call.function.parsed_arguments, kind) for call in made.choices[0].message.tool_calls), made)
    try:
        chat.parse(model="json", messages=USER, response_format=kind, max_tokens=3)
    except openai.LengthFinishReasonError:
        return
    must(False, "a cut answer was parsed")  # noqa: FBT003 - the statement is what fails


def openai_completions(servers: Servers) -> None:
    """Prompts, several at once, echo, log-probabilities, token ids, streams."""
    completions = openai_client(servers).completions
    made = completions.create(model="says", prompt=["a", "b"], n=2, max_tokens=50)
    must([one.text for one in made.choices] == [SAYS] * 4 and [one.index for one in made.choices] == [0, 1, 2, 3], made)
    echoed = completions.create(model="says", prompt="Well: ", echo=True, stop="river", best_of=2)
    must(echoed.choices[0].text == "Well: " + SAYS.partition("river")[0], echoed)
    told = completions.create(model="says", prompt="Well: ", logprobs=2, max_tokens=50).choices[0].logprobs
    must("".join(told.tokens).startswith(SAYS) and all(len(one) == 2 for one in told.top_logprobs), told)  # noqa: PLR2004 - as asked
    must(completions.create(model="says", prompt=[97, 98], max_tokens=50).choices[0].text == SAYS, "token ids")
    chunks = list(
        completions.create(model="says", prompt="a", max_tokens=50, stream=True, stream_options={"include_usage": True})
    )
    must("".join(one.text for chunk in chunks for one in chunk.choices) == SAYS, chunks)
    must(chunks[-1].usage.completion_tokens > 0, chunks[-1])


def openai_errors(servers: Servers) -> None:
    """Errors have the package's types, with a code and a param, and a client's time-out ends a request."""
    openai = package("openai", "openai")
    client = openai_client(servers)
    due: list[tuple[Any, str | None, dict[str, Any]]] = [
        (openai.NotFoundError, None, {"model": "nobody"}),
        (openai.BadRequestError, "messages", {"messages": []}),
        (openai.BadRequestError, "top_logprobs", {"top_logprobs": 3}),
        (
            openai.BadRequestError,
            "tool_choice",
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}},
        ),
        (openai.BadRequestError, "response_format", {"response_format": {"type": "xml"}}),
        (openai.BadRequestError, None, {"messages": [{"role": "user", "content": "long " * 20000}]}),
    ]
    for kind, param, fields in due:
        for stream in (False, True):
            try:
                list(client.chat.completions.create(**{"model": "says", "messages": USER, "stream": stream} | fields))
            except kind as error:
                must(
                    error.code and (param is None or param in (error.param or "")),
                    (fields.keys(), error.code, error.param),
                )
            else:
                must(False, (kind, [*fields]))  # noqa: FBT003 - the statement is what fails
    try:
        client.with_options(timeout=0.3).chat.completions.create(model="endless", messages=USER, max_tokens=10000)
    except openai.APITimeoutError:
        return
    must(False, "no time-out")  # noqa: FBT003 - as above


def openai_async(servers: Servers) -> None:
    """The client for event loops: ten at once, and streams."""
    openai = package("openai", "openai")

    async def ask() -> None:
        async with openai.AsyncOpenAI(base_url=base(servers), api_key="any", max_retries=0) as client:
            chat = client.chat.completions
            several = await asyncio.gather(*(chat.create(model="says", messages=USER) for _ in range(10)))
            must({one.choices[0].message.content for one in several} == {SAYS}, several)
            stream = await chat.create(model="says", messages=USER, stream=True)
            must("".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == SAYS, "stream")
            made = await chat.parse(model="json", messages=USER, response_format=person(), max_tokens=900)
            must(made.choices[0].message.parsed is not None, made)
            text = await client.completions.create(model="says", prompt="a", max_tokens=50)
            must(text.choices[0].text == SAYS, text)

    asyncio.run(ask())


CHECKS: Sequence[Check] = (
    Check("openai", "chat", "/v1/chat/completions", openai_chat),
    Check("openai", "chat, streams", "/v1/chat/completions", openai_chat_stream),
    Check("openai", "tools", "/v1/chat/completions", openai_tools),
    Check("openai", "structured answers", "/v1/chat/completions", openai_structured),
    Check("openai", "completions", "/v1/completions", openai_completions),
    Check("openai", "errors", "/v1/chat/completions", openai_errors),
    Check("openai", "async", "/v1/chat/completions", openai_async),
)
