"""OpenAI's dialect: its errors and /v1/embeddings."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import orjson
from msgspec import Meta, Struct

from textmill.contract import EmbedOptions, Input, TokenPooling
from textmill.http.answer import JSON, Answer
from textmill.http.backend import BackendName, check_backend
from textmill.http.conversation import Message, conversation
from textmill.http.failures import Failure, WrongShape
from textmill.http.inputs import Inputs, as_batch, form_of, inputs_schema, refuse_empty
from textmill.http.operation import Operation
from textmill.http.overflow import OnOverflow, Overlap, Window, policy
from textmill.http.service import Service
from textmill.http.timing import timing_headers
from textmill.http.vectors import json_array, openai_base64_rows, openai_float_rows


class EmbeddingsRequest(Struct, frozen=True):
    """What to embed. Null is the same as absent in every optional field; unknown fields are ignored."""

    input: Annotated[
        Inputs | None,
        Meta(
            description="A text, a list of texts, the token ids of one text, or a list that mixes texts and lists of ids. "
            "Ids are the model's own. Texts that are too long are cut unless the server does not; in a list empty texts are "
            "embedded. Only with `messages` it may be absent, and must be.",
            extra_json_schema=inputs_schema(empty_texts=True),
        ),
    ] = None
    model: Annotated[str | None, Meta(description="A name of `/v1/models`; absent means the default model.")] = None
    encoding_format: Annotated[
        Literal["float", "base64"] | None,
        Meta(
            description="`float` (the default, unless the model's file says otherwise) or `base64`: little-endian float32."
        ),
    ] = None
    dimensions: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Keep that many leading values, then normalise (Matryoshka)."),
    ] = None
    user: Annotated[object, Meta(description="Accepted and ignored.")] = None
    prompt_name: Annotated[
        str | None,
        Meta(
            description="Not in OpenAI's API: one of the model's own prompts, such as `query`. Send it as `extra_body`."
        ),
    ] = None
    prompt: Annotated[
        str | None,
        Meta(
            description="Not in OpenAI's API: put in front of each text; an empty one switches the default prompt off."
        ),
    ] = None
    on_overflow: OnOverflow = None
    chunk_tokens: Window = None
    chunk_overlap: Overlap = None
    messages: Annotated[
        list[Message] | None,
        Meta(
            description="LocalAI's: a conversation in place of `input`; it is embedded as one text, a line `role: content` a message."
        ),
    ] = None
    pooling: Annotated[
        Literal["", "backend", "mean", "last", "decayed_mean"] | None,
        Meta(
            description="LocalAI's: pool the states of tokens so in place of the model's own way, which is `backend`. In "
            "`decayed_mean` a state counts half as much as one that stands a half-life nearer to the end."
        ),
    ] = None
    pooling_half_life_tokens: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="For `decayed_mean`; 256, unless the model's file says otherwise."),
    ] = None
    backend: BackendName = None
    model_base_name: Annotated[object, Meta(description="Accepted and ignored.")] = None


class EmbeddingItem(Struct, frozen=True):
    """One vector; ``index`` is the place of its input in the request."""

    object: Literal["embedding"]
    embedding: Annotated[list[float] | str, Meta(description="Numbers, or base64 of little-endian float32.")]
    index: int


class Usage(Struct, frozen=True):
    """Tokens computed, special tokens and prompts included."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(Struct, frozen=True):
    """The vectors, in the order of the inputs, each of length one."""

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
        param = "input" if failure.param == "inputs" else failure.param
        error = {"message": failure.message, "type": kind.type, "param": param, "code": kind.code}
        flat = {"message": failure.message, "detail": failure.message, "type": kind.tei_type, "code": kind.status}
        return Answer(orjson.dumps({"error": error, **flat}), kind.status, headers=failure.headers)

    def forms(self, status: int) -> tuple[str, ...]:
        """Always JSON."""
        del status
        return (JSON,)


OPENAI = OpenAI()


async def embeddings(service: Service, request: EmbeddingsRequest) -> Answer:
    """POST /v1/embeddings."""
    started = time.perf_counter()
    model = await service.model(request.model, "embed")
    check_backend(request.backend, model.info)
    inputs = _inputs(service, request)
    truncate, chunking = policy(
        request.on_overflow, request.chunk_tokens, request.chunk_overlap, truncate=service.settings.auto_truncate
    )
    options = EmbedOptions(
        prompt=request.prompt,
        prompt_name=request.prompt_name,
        dimensions=request.dimensions,
        truncate=truncate,
        chunking=chunking,
        pooling=_POOLINGS[request.pooling or ""],
        half_life=request.pooling_half_life_tokens,
    )
    made = await service.compute(model, model.embed_inputs, inputs, options)
    encoding = request.encoding_format or model.info.defaults.encoding
    rows = openai_base64_rows if encoding == "base64" else openai_float_rows
    data = await json_array(made.vectors, rows)
    tail = orjson.dumps({"model": model.info.name, "usage": _usage(sum(made.tokens))})
    body = b"".join((b'{"object":"list","data":', data, b",", tail[1:]))
    return Answer(body, headers=timing_headers(model.info, inputs, made, started), model=model.info.name)


_POOLINGS: Mapping[str, TokenPooling | None] = {
    "": None,
    "backend": "own",
    "mean": "mean",
    "last": "last",
    "decayed_mean": "decayed_mean",
}


def _inputs(service: Service, request: EmbeddingsRequest) -> list[Input]:
    """What a request wants embedded. Raises EmptyInput for nothing, for empty ids, and for a text by itself that is empty."""
    if request.messages is not None:
        return [conversation(request.messages)]
    given = _given(request)
    inputs = as_batch(given, "input", service.settings.max_inputs)
    refuse_empty(inputs, "input", texts=service.settings.as_tei or isinstance(given, str))
    return inputs


def _given(request: EmbeddingsRequest) -> Inputs:
    """The input, or one text where there are messages. Raises WrongShape for both, and for neither."""
    if request.input is None:
        if request.messages is None:
            msg = "the field 'input' is missing"
            raise WrongShape(msg, param="input")
        return ""
    if request.messages is not None:
        msg = "give either 'input' or 'messages', not both"
        raise WrongShape(msg, param="messages")
    return request.input


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
        form=lambda request: form_of(_given(request), "input"),
    ),
)
