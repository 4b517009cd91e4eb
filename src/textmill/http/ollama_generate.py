"""/api/generate: a prompt is answered or goes on, as Ollama has it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Any

from msgspec import Meta

from textmill.contract import ChatOptions, CompleteOptions, Event, Message, Task, ToolCall
from textmill.errors import InvalidInput
from textmill.http.answer import Answer, Streamed
from textmill.http.framing import LINES
from textmill.http.ollama_dialect import FAILURES, OLLAMA
from textmill.http.ollama_options import OllamaWriting, effort_of, generate_options
from textmill.http.ollama_writing import OllamaWritten, answer, answer_nothing
from textmill.http.operation import Operation
from textmill.http.service import Model, Service


class OllamaGenerateRequest(OllamaWriting, frozen=True, kw_only=True):
    """A prompt that is to be answered; without one the model is loaded."""

    prompt: Annotated[str | None, Meta(description="What a user says, unless it is `raw` or has a `suffix`.")] = None
    system: Annotated[str | None, Meta(description="What is said before it.")] = None
    suffix: Annotated[str | None, Meta(description="What comes behind; for models that fill in the middle.")] = None
    raw: Annotated[bool | None, Meta(description="The prompt is a text that goes on, without any template.")] = None
    template: Annotated[str | None, Meta(description="Refused: templates stand in the model's file.")] = None
    context: Annotated[list[int] | None, Meta(description="Refused: send `messages` to `/api/chat`.")] = None
    images: Annotated[list[Any] | None, Meta(description="Refused: textmill reads text.")] = None


class OllamaGenerateAnswer(OllamaWritten, frozen=True, kw_only=True):
    """The answer, or a part of it; without `context`."""

    response: str
    thinking: str | None = None


async def ollama_generate(service: Service, request: OllamaGenerateRequest) -> Answer | Streamed:
    """POST /api/generate."""
    _check(request)
    text = bool(request.raw or request.suffix)
    task: Task = "complete" if text else "chat"
    if not request.prompt:
        return await answer_nothing(service, request, task, _body)
    prompt, common = request.prompt, generate_options(request)
    chat = ChatOptions(**common, reasoning_effort=effort_of(request.think))
    complete = CompleteOptions(**common, suffix=request.suffix or None, raw=bool(request.raw))
    said = (Message(role="system", content=request.system),) if request.system else ()

    def begin(model: Model) -> AsyncGenerator[Event]:
        if text:
            return model.complete(prompt, complete)
        return model.chat((*said, Message(role="user", content=prompt)), chat)

    return await answer(service, request, task, _body, begin)


def _body(text: str, reasoning: str, calls: Sequence[ToolCall]) -> dict[str, Any]:
    del calls  # no tools are given here
    return {"response": text} | ({"thinking": reasoning} if reasoning else {})


def _check(request: OllamaGenerateRequest) -> None:
    """Raise InvalidInput for what textmill does not do."""
    if request.images:
        msg = "textmill reads text, and takes no images"
        raise InvalidInput(msg, param="images")
    if request.template:
        msg = (
            "templates of requests are not taken: the model's own applies, or the one of its model file; with 'raw' the prompt is sent "
            "as it is, as you have filled your template"
        )
        raise InvalidInput(msg, param="template")
    if request.context:
        msg = "'context' is not taken; to go on with a conversation send its messages to /api/chat"
        raise InvalidInput(msg, param="context")
    if request.system and (request.raw or request.suffix):
        msg = "'system' goes with a prompt that is put into the model's template, not with 'raw' and 'suffix'"
        raise InvalidInput(msg, param="system")


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="POST",
        paths=("/api/generate",),
        dialect=OLLAMA,
        handle=ollama_generate,
        takes=OllamaGenerateRequest,
        gives=OllamaGenerateAnswer,
        summary="Answer a prompt (Ollama)",
        description="As lines of JSON, unless `stream` is false: the last has `done` true, with the reason and what it took.",
        example={"prompt": "What turns the mill?", "stream": False},
        answers_with={
            "model": "qwen3",
            "created_at": "2026-11-27T06:00:00.000000Z",
            "response": "Water does.",
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
