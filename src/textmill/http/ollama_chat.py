"""/api/chat: a conversation goes on, as Ollama has it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from textmill.contract import ChatOptions, Event, Message, ToolCall
from textmill.errors import InvalidInput
from textmill.http.answer import Answer, Streamed
from textmill.http.chat_tools import ChatTool, tools_of
from textmill.http.framing import LINES
from textmill.http.ollama_dialect import FAILURES, OLLAMA
from textmill.http.ollama_options import OllamaWriting, effort_of, generate_options
from textmill.http.ollama_writing import OllamaCall, OllamaWritten, answer, answer_nothing, told_calls
from textmill.http.operation import Operation
from textmill.http.service import Model, Service
from textmill.tasks.schemas import check_plain

_ROLES = ("system", "user", "assistant", "tool")


class OllamaAskedFunction(Struct, frozen=True):
    """A function with its arguments, as an object or as its JSON."""

    name: str
    arguments: dict[str, Any] | str | None = None


class OllamaAskedCall(Struct, frozen=True):
    """A call that the model has made before."""

    function: OllamaAskedFunction
    id: str | None = None


class OllamaMessage(Struct, frozen=True):
    """What somebody said."""

    role: Annotated[str, Meta(description="`system`, `user`, `assistant` or `tool`.")]
    content: str | None = None
    thinking: str | None = None
    images: Annotated[list[Any] | None, Meta(description="Refused: textmill reads text.")] = None
    tool_calls: list[OllamaAskedCall] | None = None
    tool_name: Annotated[str | None, Meta(description="Of a tool's answer: whose it is.")] = None
    tool_call_id: Annotated[
        str | None, Meta(description="Of a tool's answer: which call it answers; else the first of its name.")
    ] = None


class OllamaChatRequest(OllamaWriting, frozen=True, kw_only=True):
    """A conversation that is to go on; without messages the model is loaded."""

    messages: Annotated[list[OllamaMessage] | None, Meta(description="What was said so far.")] = None
    tools: Annotated[list[ChatTool] | None, Meta(description="Functions that the model may call.")] = None


class OllamaSaid(Struct, frozen=True, omit_defaults=True):
    """What the model says."""

    role: Literal["assistant"]
    content: str
    thinking: str | None = None
    tool_calls: list[OllamaCall] | None = None


class OllamaChatAnswer(OllamaWritten, frozen=True, kw_only=True):
    """The answer, or a part of it."""

    message: OllamaSaid


async def ollama_chat(service: Service, request: OllamaChatRequest) -> Answer | Streamed:
    """POST /api/chat."""
    if not request.messages:
        return await answer_nothing(service, request, "chat", _body)
    messages = _messages(request.messages)
    options = ChatOptions(
        **generate_options(request), tools=tools_of(request.tools, None), reasoning_effort=effort_of(request.think)
    )

    def begin(model: Model) -> AsyncGenerator[Event]:
        return model.chat(messages, options)

    return await answer(service, request, "chat", _body, begin)


def _body(text: str, reasoning: str, calls: Sequence[ToolCall]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if reasoning:
        message["thinking"] = reasoning
    if made := told_calls(calls):
        message["tool_calls"] = made
    return {"message": message}


def _messages(given: Sequence[OllamaMessage]) -> tuple[Message, ...]:
    """What was said; calls that have no id get one, which the answers of their tools have too."""
    waiting: list[ToolCall] = []
    messages = []
    for index, each in enumerate(given):
        role = each.role.lower()
        _check(each, role, index)
        calls = tuple(_call(call, index, place) for place, call in enumerate(each.tool_calls or ()))
        if role != "tool":
            waiting = list(calls)
        answered = _answered(each, waiting) if role == "tool" else None
        messages.append(
            Message(
                role=role,
                content=each.content or "",
                name=each.tool_name,
                tool_calls=calls,
                tool_call_id=answered,
                reasoning=each.thinking,
            )
        )
    return tuple(messages)


def _check(message: OllamaMessage, role: str, index: int) -> None:
    """Raise InvalidInput for roles that there are not, for images, and for calls of others than the assistant."""
    if role not in _ROLES:
        msg = f"messages[{index}].role is {message.role[:40]!r}; it may be system, user, assistant or tool"
        raise InvalidInput(msg, param="messages", index=index)
    if message.images:
        msg = f"messages[{index}] has images; textmill reads text, and takes none"
        raise InvalidInput(msg, param="messages", index=index)
    if message.tool_calls and role != "assistant":
        msg = f"messages[{index}] has calls, and only the assistant makes some"
        raise InvalidInput(msg, param="messages", index=index)


def _call(call: OllamaAskedCall, index: int, place: int) -> ToolCall:
    path = f"messages[{index}].tool_calls[{place}].function.arguments"
    given = call.function.arguments or {}
    try:
        read = json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        msg = f"{path} is neither an object nor the JSON of one"
        raise InvalidInput(msg, param="messages", index=index)
    check_plain(read, path, "messages")
    return ToolCall(call.id or f"call_{index}_{place}", call.function.name, json.dumps(read, ensure_ascii=False))


def _answered(message: OllamaMessage, waiting: list[ToolCall]) -> str | None:
    """The id of the call that a tool's message answers, which waits no longer: the one that it names, else the first of its name, else the first."""
    if message.tool_call_id:
        return message.tool_call_id
    found = next((call for call in waiting if call.name == message.tool_name), next(iter(waiting), None))
    if found is None:
        return None
    waiting.remove(found)
    return found.id


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="POST",
        paths=("/api/chat",),
        dialect=OLLAMA,
        handle=ollama_chat,
        takes=OllamaChatRequest,
        gives=OllamaChatAnswer,
        summary="Go on with a conversation (Ollama)",
        description="As lines of JSON, unless `stream` is false: the last has `done` true, with the reason and what it took.",
        example={"messages": [{"role": "user", "content": "What turns the mill?"}], "stream": False},
        answers_with={
            "model": "qwen3",
            "created_at": "2026-11-27T06:00:00.000000Z",
            "message": {"role": "assistant", "content": "Water does."},
            "done": True,
            "done_reason": "stop",
            "total_duration": 412_000_000,
            "load_duration": 21_000,
            "prompt_eval_count": 14,
            "prompt_eval_duration": 95_000_000,
            "eval_count": 4,
            "eval_duration": 310_000_000,
        },
        statuses=FAILURES | {403: "Unloading: the key may not manage models, or a page of another origin asks."},
        streams=LINES,
    ),
)
