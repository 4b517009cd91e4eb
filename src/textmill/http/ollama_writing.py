"""Text as Ollama tells it: lines as it is written or one object, with reasons, counts and durations behind it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Annotated, Any

import orjson
from msgspec import UNSET, Meta, Struct, UnsetType

from textmill.contract import Ended, Event, Piece, Reason, Spent, Task, TokenLogprob, ToolCall
from textmill.http.answer import Answer, Streamed
from textmill.http.framing import LINES
from textmill.http.logprobs import told
from textmill.http.ollama_dialect import leaves, model_of, nanoseconds, stamp, unload
from textmill.http.ollama_options import OllamaWriting
from textmill.http.service import Model, Service
from textmill.http.written import Choice, Written, watched, written

Body = Callable[[str, str, Sequence[ToolCall]], dict[str, Any]]
"""What an answer or a part of one has: text, reasoning and calls."""
Begin = Callable[[Model], AsyncGenerator[Event]]


class OllamaCalledFunction(Struct, frozen=True):
    """A function with its arguments."""

    index: int
    name: str
    arguments: dict[str, Any]


class OllamaCall(Struct, frozen=True):
    """A call that the model asks for."""

    id: str
    function: OllamaCalledFunction


class OllamaWritten(Struct, frozen=True, kw_only=True):
    """What answers of text have in common; those of a stream but the last have none of the fields behind `done`.

    Where nothing was asked but to load or unload the model, there are no durations and no counts.
    """

    model: str
    created_at: str
    done: bool
    done_reason: Annotated[str, Meta(description="`stop` or `length`; `load` and `unload` where nothing was asked.")]
    total_duration: Annotated[int, Meta(description="Nanoseconds, as in all durations.")] | UnsetType = UNSET
    load_duration: int | UnsetType = UNSET
    prompt_eval_count: int | UnsetType = UNSET
    prompt_eval_duration: int | UnsetType = UNSET
    eval_count: int | UnsetType = UNSET
    eval_duration: int | UnsetType = UNSET
    logprobs: list[dict[str, Any]] | None = None


@dataclass(slots=True)
class _Telling:
    """Tells what comes of a model, and how long it took since ``began``."""

    name: str
    body: Body
    began: float
    loaded: float
    first: float | None = None
    reason: Reason = "stop"
    spent: Spent = field(default_factory=lambda: Written([]).spent)
    _calls: Choice = field(default_factory=Choice)

    def of(self, event: Event) -> list[dict[str, Any]]:
        """The parts of an answer that an event makes; calls are told whole, once all has come."""
        self.note(event)
        if isinstance(event, Piece):
            self._calls.take(Piece(calls=event.calls))
            if event.text or event.reasoning or event.logprobs or not event.calls:
                return [self._part(event.text, event.reasoning, (), event.logprobs)]
        elif isinstance(event, Ended) and self._calls.calls:
            return [self._part("", "", self._calls.calls, ())]
        return []

    def note(self, event: Event) -> None:
        """Take note of times and counts."""
        self.first = self.first or time.perf_counter()
        if isinstance(event, Ended):
            self.reason = event.reason
        elif isinstance(event, Spent):
            self.spent = event

    def last(self, made: Choice | None = None) -> dict[str, Any]:
        """The last object of an answer, with all of it where it is told whole."""
        made = made or Choice()
        now, spent = time.perf_counter(), self.spent
        first = self.first or now
        return self._part(made.text, made.reasoning, made.calls, made.logprobs) | {
            "done": True,
            "done_reason": "length" if self.reason == "length" else "stop",
            "total_duration": nanoseconds(now - self.began),
            "load_duration": nanoseconds(self.loaded - self.began),
            "prompt_eval_count": spent.prompt_tokens,
            "prompt_eval_duration": nanoseconds(spent.prompt_s or first - self.loaded),
            "eval_count": spent.completion_tokens,
            "eval_duration": nanoseconds(spent.generation_s or now - first),
        }

    def _part(
        self, text: str, reasoning: str, calls: Sequence[ToolCall], logprobs: Sequence[TokenLogprob]
    ) -> dict[str, Any]:
        part = _head(self.name) | self.body(text, reasoning, calls) | {"done": False}
        return part | ({"logprobs": [told(each) for each in logprobs]} if logprobs else {})


async def answer(service: Service, request: OllamaWriting, task: Task, body: Body, begin: Begin) -> Answer | Streamed:
    """What the model of a request writes once ``begin`` has it begin."""
    began = time.perf_counter()
    leaves(request.keep_alive)
    if request.stream is not False:
        return Streamed(_lines(service, request, task, body, begin, began), LINES)
    model = await model_of(service, request.model, task)
    telling = _Telling(request.model or model.info.name, body, began, time.perf_counter())
    made = await written(_noted(watched(service, model, begin(model)), telling), 1)
    return Answer(orjson.dumps(telling.last(made.choices[0])), model=model.info.name)


async def answer_nothing(service: Service, request: OllamaWriting, task: Task, body: Body) -> Answer:
    """What is said where nothing is asked: the model loads, or leaves where it is to be kept for no time."""
    if leaves(request.keep_alive):
        reason, name = "unload", await unload(service, request.model)
    else:
        reason, name = "load", (await model_of(service, request.model, task)).info.name
    said = _head(request.model or name) | body("", "", ()) | {"done": True, "done_reason": reason}
    return Answer(orjson.dumps(said), model=name)


def told_calls(calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
    """Calls with their arguments as objects. Those that the limit of tokens cut off are none: nobody must act on half of them."""
    return [
        {
            "id": call.id or f"call_{uuid.uuid4().hex[:8]}",
            "function": {"index": index, "name": call.name, "arguments": arguments},
        }
        for index, call in enumerate(calls)
        if (arguments := _read(call.arguments)) is not None
    ]


async def _lines(
    service: Service, request: OllamaWriting, task: Task, body: Body, begin: Begin, began: float
) -> AsyncGenerator[bytes]:
    """The lines of a stream; the model is loaded within it, so that the client hears of it meanwhile."""
    model = await model_of(service, request.model, task)
    telling = _Telling(request.model or model.info.name, body, began, time.perf_counter())
    async with aclosing(watched(service, model, begin(model))) as events:
        async for event in events:
            for part in telling.of(event):
                yield LINES.frame(orjson.dumps(part))
    yield LINES.frame(orjson.dumps(telling.last()))


async def _noted(events: AsyncGenerator[Event], telling: _Telling) -> AsyncGenerator[Event]:
    async with aclosing(events):
        async for event in events:
            telling.note(event)
            yield event


def _head(name: str) -> dict[str, Any]:
    return {"model": name, "created_at": stamp(time.time())}


def _read(arguments: str) -> dict[str, Any] | None:
    try:
        read = json.loads(arguments)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None
