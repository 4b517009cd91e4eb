"""Infinity's route for classifiers: /classify. Its other routes are OpenAI's, without `/v1` in front."""

from __future__ import annotations

import time
import uuid
from typing import Annotated, Any, Literal

import orjson
from msgspec import Meta, Struct

from textmill.contract import ClassifyOptions, Input, Pair
from textmill.errors import EmptyInput, WrongTask
from textmill.http.answer import Answer
from textmill.http.inputs import check_count
from textmill.http.openai import OPENAI, Usage
from textmill.http.operation import Operation
from textmill.http.service import Service
from textmill.http.tei_rank import Prediction, label_arrays, refuse_empty_examples
from textmill.http.timing import timing_headers
from textmill.tasks.best import refuse_no_numbers


class ClassifyRequest(Struct, frozen=True):
    """Texts to classify."""

    input: Annotated[
        str | list[str],
        Meta(
            description="A text, or a list of them; none is empty.", extra_json_schema={"minItems": 1, "minLength": 1}
        ),
    ]
    model: Annotated[str | None, Meta(description="A name of `/v1/models`; absent means the default model.")] = None
    raw_scores: Annotated[bool | None, Meta(description="Give the model's own scores, not shares between 0 and 1.")] = (
        None
    )


class ClassifyAnswer(Struct, frozen=True):
    """All labels of each text, the best first."""

    object: Literal["classify"]
    data: list[list[Prediction]]
    model: str
    usage: Usage
    id: str
    created: int


async def classify(service: Service, request: ClassifyRequest) -> Answer:
    """POST /classify."""
    started = time.perf_counter()
    model = await service.model(request.model, "classify")
    inputs = _inputs(service, request)
    if "classify" not in model.info.tasks:
        msg = f"{model.info.name} does not classify, it can {', '.join(model.info.tasks)}; name a model that does"
        raise WrongTask(msg, param="model")
    options = ClassifyOptions(truncate=service.settings.auto_truncate, scoring="raw" if request.raw_scores else None)
    made = await service.compute(model, model.classify_inputs, inputs, options)
    refuse_no_numbers(made.scores)
    tokens = sum(made.tokens)
    tail = {
        "model": model.info.name,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "id": f"infinity-{uuid.uuid4()}",
        "created": int(time.time()),
    }
    body = b"".join((b'{"object":"classify","data":', await label_arrays(made), b",", orjson.dumps(tail)[1:]))
    return Answer(body, headers=timing_headers(model.info, inputs, made, started), model=model.info.name)


def _inputs(service: Service, request: ClassifyRequest) -> list[Input | Pair]:
    """The texts. Raises EmptyInput for none, and for an empty one; TooManyInputs."""
    inputs: list[Input | Pair] = [request.input] if isinstance(request.input, str) else [*request.input]
    check_count("input", len(inputs), service.settings.max_inputs)
    if not inputs:
        msg = "'input' is an empty list; there is nothing to classify"
        raise EmptyInput(msg, param="input")
    refuse_empty_examples(inputs, "input")
    return inputs


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="POST",
        paths=("/classify",),
        dialect=OPENAI,
        handle=classify,
        takes=ClassifyRequest,
        gives=ClassifyAnswer,
        summary="Classify texts (Infinity)",
        description="All labels of each text, the best first.",
        example={"input": ["I like the mill."]},
        answers_with={
            "object": "classify",
            "data": [[{"score": 0.98, "label": "joy"}, {"score": 0.02, "label": "anger"}]],
            "model": "roberta-base-go_emotions",
            "usage": {"prompt_tokens": 7, "total_tokens": 7},
            "id": "infinity-8d0a4c3f",
            "created": 1_795_744_325,
        },
        statuses={
            400: "The body is not JSON, a field is wrong, there is nothing to classify, or the model does not classify.",
            401: "The API key is missing or wrong.",
            404: "No model of that name is known.",
            413: "The body is larger than the server accepts.",
            422: "With `textmill tei`: a text or an option is wrong, or a field has the wrong type.",
            424: "With `textmill tei`: the model does something else, or failed on these inputs.",
            429: "Too much work waits; come back after Retry-After seconds.",
            500: "The model failed on these inputs.",
            503: "The model could not be loaded, or is shutting down.",
        },
        form=lambda request: "single" if isinstance(request.input, str) else "batch",
    ),
)
