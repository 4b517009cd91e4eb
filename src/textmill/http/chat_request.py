"""What a request for a chat says: its messages, its tools, and how the answer is written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from textmill.contract import ChatOptions, Format, Message, ToolCall
from textmill.errors import EmptyInput, InvalidInput
from textmill.http.chat_tools import ChatTool, FunctionTool, choice_of, tools_of
from textmill.http.failures import WrongShape
from textmill.http.writing import (
    WritingRequest,
    alternatives_of,
    format_of,
    limit_of,
    sampling_of,
    schema_format,
    stops_of,
)
from textmill.tasks.schemas import check_plain

_ROLES: Mapping[str, str] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_NOT_TEXT = {
    "image_url": "images",
    "input_image": "images",
    "input_audio": "sound",
    "video_url": "video",
    "file": "files",
}
_TEXTS = ("text", "input_text", "output_text", "refusal")
_SWITCHES = ("enable_thinking", "add_generation_prompt")
"""Variables of templates that are true or false; others hang engines."""


class ContentPart(Struct, frozen=True):
    """A part of what somebody said; their texts are joined."""

    type: str
    text: str | None = None
    refusal: str | None = None


class CalledFunction(Struct, frozen=True):
    """A function with the JSON text of its arguments."""

    name: str
    arguments: str | dict[str, Any] | None = None


class AskedCall(Struct, frozen=True):
    """A call that the model has made before."""

    function: CalledFunction
    id: str | None = None
    type: str | None = None


class ChatMessage(Struct, frozen=True):
    """What somebody said."""

    role: Annotated[str, Meta(description="`system` (or `developer`), `user`, `assistant` or `tool`.")]
    content: str | list[ContentPart] | None = None
    name: str | None = None
    tool_calls: list[AskedCall] | None = None
    tool_call_id: str | None = None
    function_call: CalledFunction | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class OneOf(Struct, frozen=True):
    """LocalAI's: schemas of which the answer fits one."""

    oneOf: list[dict[str, Any]] | None = None  # noqa: N815 - as on the wire
    anyOf: list[dict[str, Any]] | None = None  # noqa: N815 - as on the wire
    defs: dict[str, Any] | None = msgspec.field(default=None, name="$defs")


class ChatRequest(WritingRequest, frozen=True, kw_only=True):
    """A conversation that is to go on."""

    messages: Annotated[list[ChatMessage], Meta(description="What was said so far.")]
    max_completion_tokens: Annotated[
        Annotated[int, Meta(ge=-1)] | None, Meta(description="As `max_tokens`, and before it.")
    ] = None
    logprobs: Annotated[bool | int | None, Meta(description="Tell each token's log-probability.")] = None
    top_logprobs: Annotated[int | None, Meta(description="With that many alternatives, at most 20.")] = None
    tools: list[ChatTool] | None = None
    tool_choice: Annotated[
        str | dict[str, Any] | None,
        Meta(description='`auto`, `none`, `required`, or `{"type": "function", "function": {"name": "…"}}`.'),
    ] = None
    parallel_tool_calls: Annotated[bool | None, Meta(description="Several calls at once are wanted (the default).")] = (
        None
    )
    functions: Annotated[list[FunctionTool] | None, Meta(description="The older spelling of `tools`.")] = None
    function_call: Annotated[str | dict[str, Any] | None, Meta(description="The older spelling of `tool_choice`.")] = (
        None
    )
    grammar_json_functions: Annotated[OneOf | None, Meta(description="LocalAI's: schemas for the answer.")] = None
    reasoning_effort: Annotated[
        Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None,
        Meta(description="How much the model reasons, where it can; `none` not at all."),
    ] = None
    chat_template_kwargs: Annotated[
        dict[str, Any] | None, Meta(description="Variables of the model's own chat template.")
    ] = None
    metadata: Annotated[
        dict[str, Any] | None,
        Meta(description='LocalAI\'s: more variables of the template; `"true"` and `"false"` are booleans there.'),
    ] = None


def options_of(request: ChatRequest) -> ChatOptions:
    """How the conversation goes on. Raises InvalidInput and WrongShape for what cannot be."""
    limit = request.max_tokens if request.max_completion_tokens is None else request.max_completion_tokens
    tools = tools_of(request.tools, request.functions)
    wanted = _format(request)
    field = "function_call" if request.functions else "tool_choice"
    choice = choice_of(request.function_call if request.functions else request.tool_choice, tools, field)
    if wanted is not None and choice not in ("auto", "none"):
        msg = "a call is required, and response_format or grammar asks for a text; leave one of them out"
        raise InvalidInput(msg, param="tool_choice")
    return ChatOptions(
        n=request.n or 1,
        max_tokens=limit_of(limit),
        stop=stops_of(request),
        sampling=sampling_of(request),
        format=wanted,
        logprobs=alternatives_of(request.logprobs, request.top_logprobs),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=request.parallel_tool_calls is not False and not request.functions,
        reasoning_effort=request.reasoning_effort,
        template_kwargs=_variables(request),
    )


def messages_of(request: ChatRequest) -> tuple[Message, ...]:
    """What was said. Raises EmptyInput for nothing, InvalidInput for roles and parts that there are not."""
    if not request.messages:
        msg = "'messages' is an empty list; there is nothing to answer"
        raise EmptyInput(msg, param="messages")
    return tuple(_message(message, index) for index, message in enumerate(request.messages))


def _message(given: ChatMessage, index: int) -> Message:
    role = _ROLES.get(given.role)
    if role is None:
        msg = f"messages[{index}].role is {given.role[:40]!r}; it may be system, developer, user, assistant or tool"
        raise InvalidInput(msg, param="messages", index=index)
    calls = [
        ToolCall(
            call.id or f"call_{index}_{place}",
            call.function.name,
            _arguments(call.function, f"messages[{index}].tool_calls[{place}]"),
        )
        for place, call in enumerate(given.tool_calls or ())
    ]
    if given.function_call is not None:
        calls.append(
            ToolCall(
                f"call_{index}",
                given.function_call.name,
                _arguments(given.function_call, f"messages[{index}].function_call"),
            )
        )
    if calls and role != "assistant":
        msg = f"messages[{index}] has calls, and only the assistant makes some"
        raise InvalidInput(msg, param="messages", index=index)
    return Message(
        role=role,
        content=_text(given.content, index),
        name=given.name,
        tool_calls=tuple(calls),
        tool_call_id=given.tool_call_id,
        reasoning=given.reasoning if given.reasoning is not None else given.reasoning_content,
    )


def _arguments(function: CalledFunction, path: str) -> str:
    """The JSON of an object; of none at all where nothing is there. Templates and engines fail on other texts, or end on deep ones."""
    given = function.arguments or "{}"
    try:
        read = json.loads(given) if isinstance(given, str) else given
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        msg = f"{path}.arguments is not the JSON of an object"
        raise InvalidInput(msg, param="messages")
    check_plain(read, f"{path}.arguments", "messages")
    return given if isinstance(given, str) else json.dumps(given)


def _text(content: str | Sequence[ContentPart] | None, index: int) -> str:
    """All text of a message."""
    if content is None or isinstance(content, str):
        return content or ""
    for place, part in enumerate(content):
        if part.type not in _TEXTS:
            what = _NOT_TEXT.get(part.type, "it")
            msg = f"messages[{index}].content[{place}] is of type {part.type[:40]!r}; textmill reads text, and takes no {what}"
            raise InvalidInput(msg.replace("takes no it", "does not know it"), param="messages", index=index)
    return "".join(part.text or part.refusal or "" for part in content)


def _format(request: ChatRequest) -> Format | None:
    made = format_of(request)
    schemas = request.grammar_json_functions
    if schemas is None or made is not None:
        return made
    # As anyOf at any rate: grammars cannot exclude that two fit.
    schema: dict[str, Any] = {"anyOf": schemas.oneOf or schemas.anyOf or []}
    if schemas.defs:
        schema["$defs"] = schemas.defs
    return schema_format(schema, "grammar_json_functions")


def _variables(request: ChatRequest) -> dict[str, Any]:
    """Variables of the template. Raises WrongShape for a switch that is neither on nor off."""
    booleans = {"true": True, "false": False}
    stated = {
        key: booleans.get(value, value) for key, value in (request.metadata or {}).items() if isinstance(value, str)
    }
    stated |= request.chat_template_kwargs or {}
    check_plain(stated, "chat_template_kwargs", "chat_template_kwargs")
    for name in _SWITCHES:
        if not isinstance(stated.get(name, True), bool):
            msg = f"{name} is {stated[name]!r:.40}; it must be true or false"
            raise WrongShape(msg, param="chat_template_kwargs")
    return stated
