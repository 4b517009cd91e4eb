"""/v1/edits: texts are written anew by an instruction, as OpenAI had it and LocalAI has."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import Annotated, Any, Literal

import orjson
from msgspec import Meta, Struct

from textmill.contract import CompleteOptions
from textmill.errors import InvalidInput
from textmill.http.answer import Answer
from textmill.http.backend import check_backend
from textmill.http.chat import FAILURES, WritingUsage, usage
from textmill.http.completions import summed
from textmill.http.failures import WrongShape
from textmill.http.inputs import check_count
from textmill.http.openai import OPENAI
from textmill.http.operation import Operation
from textmill.http.service import Service
from textmill.http.writing import MOST_TEXTS, WritingRequest, format_of, limit_of, sampling_of, stops_of
from textmill.http.written import Choice, Written, watched
from textmill.tasks.merge import merged


class EditRequest(WritingRequest, frozen=True, kw_only=True):
    """Texts, and what is to be done with them."""

    instruction: Annotated[str, Meta(description="What is to be done.")]
    input: Annotated[
        str | list[str] | None, Meta(description="A text, or a list of texts; absent is an empty one.")
    ] = None


class EditChoice(Struct, frozen=True):
    """A text as it is now."""

    index: int
    text: str
    finish_reason: Literal["stop", "length"]


class EditAnswer(Struct, frozen=True):
    """The texts, in their order."""

    object: Literal["edit"]
    created: int
    model: str
    choices: list[EditChoice]
    usage: WritingUsage


async def edit(service: Service, request: EditRequest) -> Answer:
    """POST /v1/edits."""
    inputs = request.input if isinstance(request.input, list) else [request.input or ""]
    check_count("input", len(inputs), min(service.settings.max_inputs, MOST_TEXTS))
    if not inputs or not request.instruction.strip():
        field = "instruction" if inputs else "input"
        msg = f"'{field}' is empty; there is nothing to do"
        raise WrongShape(msg, param=field)
    if request.stream:
        msg = "edits are not streamed; leave 'stream' out"
        raise InvalidInput(msg, param="stream")
    options = CompleteOptions(
        n=request.n or 1,
        max_tokens=limit_of(request.max_tokens),
        stop=stops_of(request),
        sampling=sampling_of(request),
        format=format_of(request),
        instruction=request.instruction,
    )
    model = await service.model(request.model, "complete")
    check_backend(request.backend, model.info)
    made = [Written([Choice() for _ in range(options.n)]) for _ in inputs]
    with service.computing(model) as placed:
        sources = [watched(placed, model, model.complete(text, options)) for text in inputs]
        async with aclosing(merged(sources)) as events:
            async for number, each in events:
                made[number].take(each)
    texts = [choice for each in made for choice in each.choices]
    body = {
        "object": "edit",
        "created": int(time.time()),
        "model": model.info.name,
        "choices": [
            {"index": index, "text": each.text, "finish_reason": "length" if each.reason == "length" else "stop"}
            for index, each in enumerate(texts)
        ],
        "usage": usage(summed([each.spent for each in made])),
    }
    return Answer(orjson.dumps(body), model=model.info.name)


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="POST",
        paths=("/v1/edits", "/edits"),
        dialect=OPENAI,
        handle=edit,
        takes=EditRequest,
        gives=EditAnswer,
        summary="Write texts anew by an instruction (LocalAI, formerly OpenAI)",
        description="By the template of the model's file, or by a usual one: see docs/prompt-templates.md.",
        example={"instruction": "Mend the spelling.", "input": "The mil turns."},
        answers_with={
            "object": "edit",
            "created": 1_795_744_325,
            "model": "qwen3",
            "choices": [{"index": 0, "text": "The mill turns.", "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": 40,
                "completion_tokens": 5,
                "total_tokens": 45,
                "prompt_tokens_details": {"cached_tokens": 0},
            },
        },
        statuses=FAILURES,
    ),
)
