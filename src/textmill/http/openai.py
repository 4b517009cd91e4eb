"""OpenAI's dialect: its errors and /v1/embeddings, which is Jina's too."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any, Literal

import orjson
from msgspec import Meta, Struct

from textmill.contract import Input, ModelInfo
from textmill.http.answer import JSON, Answer
from textmill.http.backend import check_backend
from textmill.http.embeddings_request import (
    EmbeddingsRequest,
    encodings_of,
    form_of_request,
    inputs_of,
    options_of,
)
from textmill.http.encodings import rows_in
from textmill.http.failures import Failure
from textmill.http.inputs import refuse_bare
from textmill.http.late_chunking import embed_late
from textmill.http.operation import Operation
from textmill.http.service import Service
from textmill.http.timing import timing_headers
from textmill.http.vectors import json_array


class EmbeddingItem(Struct, frozen=True):
    """One vector; ``index`` is the place of its input in the request."""

    object: Literal["embedding"]
    embedding: Annotated[
        list[float] | str | dict[str, list[float] | str],
        Meta(
            description="Numbers, or base64 of little-endian float32; an object with each form where several are wanted."
        ),
    ]
    index: int


class Usage(Struct, frozen=True):
    """Tokens computed, special tokens and prompts included."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(Struct, frozen=True):
    """The vectors, in the order of the inputs; each of length one, unless `normalized` is false or the model's file says otherwise."""

    object: Literal["list"]
    data: list[EmbeddingItem]
    model: str
    usage: Usage


class ErrorDetails(Struct, frozen=True):
    """OpenAI's description of an error."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(Struct, frozen=True):
    """OpenAI's error, with the same said flat for clients of TEI, Cohere and Jina."""

    error: ErrorDetails
    message: str
    detail: str
    type: str
    code: Annotated[int, Meta(description="The HTTP status.")]


class OpenAI:
    """Errors as OpenAI's clients read them."""

    name = "OpenAI"
    failure_schema = ErrorBody

    def refuse(self, failure: Failure) -> Answer:
        """`ErrorBody`, with OpenAI's status."""
        kind = failure.kind
        error = {"message": failure.message, "type": kind.type, "param": self._param(failure), "code": kind.code}
        flat = {"message": failure.message, "detail": failure.message, "type": kind.tei_type, "code": kind.status}
        return Answer(orjson.dumps({"error": error, **flat}), kind.status, headers=failure.headers)

    def _param(self, failure: Failure) -> str | None:
        """The field that is wrong, by the name that it has in this dialect's requests."""
        return "input" if failure.param == "inputs" else failure.param

    def forms(self, status: int) -> tuple[str, ...]:
        """Always JSON."""
        del status
        return (JSON,)


OPENAI = OpenAI()

_READ_AS = "x-token-input"


async def embeddings(service: Service, request: EmbeddingsRequest) -> Answer:
    """POST /v1/embeddings."""
    started = time.perf_counter()
    model, side = await service.sided(request.model, "embed")
    check_backend(request.backend, model.info)
    inputs, told = await _read(service, request, model.info)
    options = options_of(request, model.info, side, service.settings)
    encodings = encodings_of(request, model.info)
    if request.late_chunking:
        made = await embed_late(service, model, inputs, options)
    else:
        made = await service.compute(model, model.embed_inputs, inputs, options)
    data = await json_array(made.vectors, rows_in(encodings))
    tail = orjson.dumps({"model": model.info.name, "usage": _usage(sum(made.tokens))})
    body = b"".join((b'{"object":"list","data":', data, b",", tail[1:]))
    headers = (*timing_headers(model.info, inputs, made, started), *told)
    return Answer(body, headers=headers, model=model.info.name)


async def _read(
    service: Service, request: EmbeddingsRequest, info: ModelInfo
) -> tuple[list[Input], tuple[tuple[str, str], ...]]:
    """The inputs, and a header that says whose vocabulary token ids were taken for, where there are any."""
    texts = service.texts
    # LangChain sends an empty text by itself to learn what an empty document is, wherever it sends OpenAI's ids.
    inputs = inputs_of(request, service.settings, empty=texts is not None)
    if all(isinstance(item, str) for item in inputs):
        return inputs, ()
    if texts is None:
        if not service.settings.as_tei:
            refuse_bare(inputs, info)
        return inputs, ((_READ_AS, "model"),)
    return await asyncio.to_thread(texts.read, inputs), ((_READ_AS, texts.name),)


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": tokens, "total_tokens": tokens}


_FAILURES = {
    400: "The body is not JSON, a field is wrong, or there is nothing to embed.",
    401: "The API key is missing or wrong.",
    413: "The body is larger than the server accepts.",
    429: "Too much work waits; come back after Retry-After seconds.",
    500: "The model failed on these inputs.",
    503: "The model is shutting down.",
}

OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="POST",
        paths=("/v1/embeddings", "/embeddings", "/v1/engines/{model:path}/embeddings"),
        dialect=OPENAI,
        handle=embeddings,
        takes=EmbeddingsRequest,
        gives=EmbeddingsAnswer,
        summary="Embed texts (OpenAI)",
        description="Works with OpenAI's clients and whatever is built on them: set their base URL to this server's `/v1`.",
        example={"input": ["The mill turns.", "Water drives the wheel."], "encoding_format": "float"},
        answers_with={
            "object": "list",
            "data": [
                {"object": "embedding", "embedding": [0.020964134, -0.041305967, 0.07319605], "index": 0},
                {"object": "embedding", "embedding": [-0.011502886, 0.05937732, 0.0019301853], "index": 1},
            ],
            "model": "all-MiniLM-L6-v2",
            "usage": {"prompt_tokens": 13, "total_tokens": 13},
        },
        statuses=_FAILURES
        | {
            404: "No model of that name is loaded.",
            422: "With `textmill tei`: a text, an option or an id is wrong, or a field has the wrong type.",
            424: "With `textmill tei`: the model does something else, or failed on these inputs.",
        },
        form=form_of_request,
    ),
)
