"""/v1/chat/completions: a conversation goes on, as OpenAI and LocalAI have it."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Literal

import orjson
from msgspec import Meta, Struct

from textmill.contract import (
    CallPiece,
    ChatOptions,
    Ended,
    Message,
    Piece,
    Reason,
    Spent,
    TokenLogprob,
    ToolCall,
)
from textmill.http.answer import Answer, Streamed
from textmill.http.backend import check_backend
from textmill.http.chat_request import ChatRequest, messages_of, options_of
from textmill.http.framing import EVENTS
from textmill.http.logprobs import told
from textmill.http.openai import OPENAI
from textmill.http.operation import Operation
from textmill.http.service import Model, Service
from textmill.http.stream import event
from textmill.http.written import Choice, watched, written


class PromptDetails(Struct, frozen=True):
    """What the tokens of a prompt were."""

    cached_tokens: Annotated[int, Meta(description="Computed before, for a request that began the same.")]


class WritingUsage(Struct, frozen=True):
    """Tokens, of the prompt once and of all choices together."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails


class AnswerFunction(Struct, frozen=True):
    """A function with the JSON text of its arguments."""

    name: str
    arguments: str


class AnswerCall(Struct, frozen=True):
    """A call that the model asks for."""

    id: str
    type: Literal["function"]
    function: AnswerFunction


class AnswerMessage(Struct, frozen=True, omit_defaults=True):
    """What the model says. Reasoning stands under both names that clients look for."""

    role: Literal["assistant"] | None
    content: str | None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[AnswerCall] | None = None
    function_call: AnswerFunction | None = None


class ChatChoice(Struct, frozen=True):
    """One of the answers."""

    index: int
    message: AnswerMessage
    finish_reason: Literal["stop", "length", "tool_calls", "function_call"]
    logprobs: Annotated[
        dict[str, Any] | None, Meta(description="`content`: a list with each token and its alternatives.")
    ]


class ChatAnswer(Struct, frozen=True):
    """The answers; as a stream, events of `chat.completion.chunk` with a `delta` each, and `[DONE]` at last."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChatChoice]
    usage: WritingUsage


async def chat(service: Service, request: ChatRequest) -> Answer | Streamed:
    """POST /v1/chat/completions."""
    messages, options = messages_of(request), options_of(request)
    if request.stream:
        return Streamed(_events(service, request, messages, options))
    model = await _model(service, request)
    made = await written(watched(service, model, model.chat(messages, options)), options.n)
    legacy = bool(request.functions)
    choices = [
        _choice(index, each, legacy=legacy, logprobs=options.logprobs) for index, each in enumerate(made.choices)
    ]
    body = _head("chat.completion", model) | {"choices": choices, "usage": usage(made.spent)}
    return Answer(orjson.dumps(body), model=model.info.name)


async def _model(service: Service, request: ChatRequest) -> Model:
    model = await service.model(request.model, "chat")
    check_backend(request.backend, model.info)
    return model


def usage(spent: Spent) -> dict[str, Any]:
    """The tokens of a call."""
    return {
        "prompt_tokens": spent.prompt_tokens,
        "completion_tokens": spent.completion_tokens,
        "total_tokens": spent.prompt_tokens + spent.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": spent.cached},
    }


def _head(kind: str, model: Model) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": model.info.name,
        "system_fingerprint": model.info.fingerprint,
    }


def _choice(index: int, made: Choice, *, legacy: bool, logprobs: int | None) -> dict[str, Any]:
    calls = made.calls
    message: dict[str, Any] = {"role": "assistant", "content": made.text or (None if calls else "")}
    if made.reasoning:
        message |= {"reasoning": made.reasoning, "reasoning_content": made.reasoning}
    if calls and legacy:
        message["function_call"] = {"name": calls[0].name, "arguments": calls[0].arguments}
    elif calls:
        message["tool_calls"] = [_called(call) for call in calls]
    return {
        "index": index,
        "message": message,
        "logprobs": None if logprobs is None else {"content": [told(each) for each in made.logprobs], "refusal": None},
        "finish_reason": _reason(made.reason, legacy=legacy),
    }


def _called(call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.id or f"call_{uuid.uuid4().hex[:24]}",
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _reason(reason: Reason, *, legacy: bool) -> str:
    return "function_call" if legacy and reason == "tool_calls" else reason


async def _events(
    service: Service, request: ChatRequest, messages: Sequence[Message], options: ChatOptions
) -> AsyncGenerator[bytes]:
    """The events of a stream; the model is loaded within it, so that the client hears of it meanwhile."""
    model = await _model(service, request)
    chunk = _Chunks(_head("chat.completion.chunk", model), request, options)
    async with aclosing(watched(service, model, model.chat(messages, options))) as events:
        async for each in events:
            for made in chunk.of(each):
                yield made


class _Chunks:
    """Turns what comes into chunks: the role before a choice's first piece, its reason behind the last."""

    def __init__(self, head: dict[str, Any], request: ChatRequest, options: ChatOptions) -> None:
        self._head = orjson.dumps(head)[:-1] + b',"choices":['
        asked = request.stream_options
        self._usage = asked is not None and bool(asked.include_usage)
        self._tail = b'],"usage":null}' if self._usage else b"]}"
        self._legacy = bool(request.functions)
        self._logprobs = options.logprobs is not None
        self._begun: set[int] = set()

    def of(self, each: Piece | Ended | Spent) -> list[bytes]:
        if isinstance(each, Spent):
            return [event(self._head + b'],"usage":' + orjson.dumps(usage(each)) + b"}")] if self._usage else []
        made = []
        if each.choice not in self._begun:
            self._begun.add(each.choice)
            made.append(self._chunk(each.choice, {"role": "assistant", "content": ""}))
        if isinstance(each, Ended):
            made.append(self._chunk(each.choice, {}, reason=_reason(each.reason, legacy=self._legacy)))
            return made
        if each.text or each.logprobs or not (each.reasoning or each.calls):
            made.append(self._chunk(each.choice, {"content": each.text}, logprobs=each.logprobs))
        if each.reasoning:
            made.append(self._chunk(each.choice, {"reasoning": each.reasoning, "reasoning_content": each.reasoning}))
        if each.calls and not (self._legacy and all(call.index for call in each.calls)):
            made.append(self._chunk(each.choice, self._calls(each.calls)))
        return made

    def _calls(self, calls: Sequence[CallPiece]) -> dict[str, Any]:
        if self._legacy:
            first = [call for call in calls if call.index == 0]  # there is one call in this spelling
            name = next((call.name for call in first if call.name is not None), None)
            named = {} if name is None else {"name": name}
            return {"function_call": named | {"arguments": "".join(call.arguments for call in first)}}
        return {"tool_calls": [_part(call) for call in calls]}

    def _chunk(
        self, index: int, delta: dict[str, Any], *, logprobs: Sequence[TokenLogprob] = (), reason: str | None = None
    ) -> bytes:
        choice: dict[str, Any] = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
        if self._logprobs and logprobs:
            choice["logprobs"] = {"content": [told(each) for each in logprobs], "refusal": None}
        return event(self._head + orjson.dumps(choice) + self._tail)


def _part(call: CallPiece) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": call.arguments}
    part: dict[str, Any] = {"index": call.index, "function": function}
    if call.name is not None:
        function["name"] = call.name
        part |= {"id": call.id or f"call_{uuid.uuid4().hex[:24]}", "type": "function"}
    return part


FAILURES = {
    400: "The body is not JSON, a field is wrong, the conversation is longer than the context, or the model does something else.",
    401: "The API key is missing or wrong.",
    404: "No model of that name is known.",
    413: "The body is larger than the server accepts.",
    422: "With `textmill tei`: an option is wrong, or a field has the wrong type.",
    424: "With `textmill tei`: the model does something else, or failed.",
    429: "Too much work waits; come back after Retry-After seconds.",
    500: "The model failed on this request.",
    503: "The model could not be loaded, or is shutting down.",
}

OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="POST",
        paths=("/v1/chat/completions", "/chat/completions"),
        dialect=OPENAI,
        handle=chat,
        takes=ChatRequest,
        gives=ChatAnswer,
        summary="Go on with a conversation (OpenAI)",
        description="With `stream` as server-sent events: chunks with the same `id`, comments while nothing is written, and `[DONE]`.",
        example={"messages": [{"role": "user", "content": "What turns the mill?"}], "max_tokens": 50},
        answers_with={
            "id": "chatcmpl-8d0a4c3f",
            "object": "chat.completion",
            "created": 1_795_744_325,
            "model": "qwen3",
            "system_fingerprint": "f00d",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "Water does."},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {
                "prompt_tokens": 14,
                "completion_tokens": 4,
                "total_tokens": 18,
                "prompt_tokens_details": {"cached_tokens": 0},
            },
        },
        statuses=FAILURES,
        streams=EVENTS,
    ),
)
