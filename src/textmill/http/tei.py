"""The dialect of Text Embeddings Inference: /embed, /info and /health."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import NoneType
from typing import Annotated, Any, Literal

import msgspec
import orjson
from msgspec import Meta, Struct

from textmill.contract import EmbedOptions, Side
from textmill.errors import Unavailable
from textmill.http.failures import Failure
from textmill.http.inputs import Inputs, as_batch, refuse_empty_texts
from textmill.http.operation import Answer, Operation
from textmill.http.service import Service
from textmill.http.timing import timing_headers
from textmill.http.vectors import float_rows, json_array

_SIDES: Mapping[str, Side] = {"left": "left", "right": "right"}
_PLAIN = "text/plain; charset=utf-8"


class EmbedRequest(Struct, frozen=True):
    """What to embed. Null is the same as absent in every optional field; unknown fields are ignored."""

    inputs: Annotated[
        Inputs,
        Meta(
            description="A text, a list of texts, the token ids of one text, or a list that mixes texts and lists of ids. "
            "Ids are the model's own. Empty texts are refused."
        ),
    ]
    truncate: Annotated[
        bool | None, Meta(description="Cut texts that are too long (the default), or refuse them with `false`.")
    ] = None
    truncation_direction: Annotated[
        Literal["left", "right", "Left", "Right", "LEFT", "RIGHT"] | None,
        Meta(description="The end that is cut off: `right` or `left`; absent means the model's own, mostly right."),
    ] = None
    prompt_name: Annotated[
        str | None, Meta(description="One of the model's own prompts; absent means its default prompt.")
    ] = None
    normalize: Annotated[bool | None, Meta(description="Scale vectors to length one (the default).")] = None
    dimensions: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="Keep that many leading values, then normalise (Matryoshka)."),
    ] = None


class Pooling(Struct, frozen=True):
    """How token states become one vector."""

    pooling: str


class EmbeddingModel(Struct, frozen=True):
    """TEI's way to say that a model embeds."""

    embedding: Pooling


class Info(Struct, frozen=True):
    """TEI's keys in TEI's order, then textmill's own. Limits that textmill does not have are null."""

    model_id: str
    model_sha: str | None
    model_dtype: str
    served_model_name: str
    model_type: EmbeddingModel
    max_concurrent_requests: int | None
    max_input_length: int
    max_batch_tokens: int
    max_batch_requests: int | None
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    version: str
    sha: str | None
    docker_label: str | None
    dimensions: int
    architecture: str
    runtime: str
    device: str
    threads: int
    vocabulary: int
    prompts: list[str]
    default_prompt: str | None
    fingerprint: Annotated[str, Meta(description="Vectors may share an index only where this is equal.")]
    models: Annotated[list[str], Meta(description="All models that are served, the default first.")]


class ErrorText(Struct, frozen=True):
    """TEI's error."""

    error: str
    error_type: str


class TEI:
    """Errors as TEI answers them: JSON from a route, plain text for a body that never reached it, nothing for a wrong key."""

    name = "Text Embeddings Inference"
    failure_schema = ErrorText

    def refuse(self, failure: Failure) -> Answer:
        """`ErrorText`, or plain text, with TEI's status."""
        status = failure.kind.tei_status
        if failure.withheld:
            return Answer(status=status, headers=failure.headers)
        if failure.body_level:
            return Answer(failure.message.encode(), status, _PLAIN, failure.headers)
        body = orjson.dumps({"error": failure.message, "error_type": failure.kind.tei_type})
        return Answer(body, status, headers=failure.headers)


TEXT_EMBEDDINGS_INFERENCE = TEI()


async def embed(service: Service, request: EmbedRequest) -> Answer:
    """POST /embed."""
    started = time.perf_counter()
    model = service.store.get(None)
    inputs = as_batch(request.inputs, "inputs", service.settings.max_inputs)
    refuse_empty_texts(inputs, "inputs")
    made = await service.embed(model, inputs, _options(request))
    body = await json_array(made.vectors, float_rows)
    return Answer(body, headers=timing_headers(model.info, inputs, made, started), model=model.info.name)


def _options(request: EmbedRequest) -> EmbedOptions:
    side = request.truncation_direction
    return EmbedOptions(
        prompt_name=request.prompt_name,
        dimensions=request.dimensions,
        normalize=request.normalize is not False,
        truncate=request.truncate is not False,
        truncate_side=None if side is None else _SIDES[side.lower()],
    )


async def info(service: Service, _: None) -> Answer:
    """GET /info, of the default model."""
    about = service.store.get(None).info
    pooling = {"lasttoken": "last_token"}.get(about.pooling, about.pooling)
    return Answer(
        msgspec.json.encode(
            Info(
                model_id=about.source,
                model_sha=about.revision,
                model_dtype=about.dtype,
                served_model_name=about.name,
                model_type=EmbeddingModel(Pooling(pooling)),
                max_concurrent_requests=None,
                max_input_length=about.max_tokens,
                max_batch_tokens=about.batch_tokens,
                max_batch_requests=None,
                max_client_batch_size=service.settings.max_inputs,
                auto_truncate=True,
                tokenization_workers=about.threads,
                version=service.settings.version,
                sha=None,
                docker_label=None,
                dimensions=about.dimensions,
                architecture=about.architecture,
                runtime=about.runtime,
                device=about.device,
                threads=about.threads,
                vocabulary=about.vocabulary,
                prompts=list(about.prompts),
                default_prompt=about.default_prompt,
                fingerprint=about.fingerprint,
                models=[model.info.name for model in service.store.models()],
            )
        )
    )


async def health(service: Service, _: None) -> Answer:
    """GET /health."""
    if not service.store.ready:
        msg = "a model cannot answer: it is shutting down or its engine died"
        raise Unavailable(msg)
    return Answer()


_FAILURES = {
    400: "There is nothing to embed (JSON), or the body is not JSON (plain text).",
    401: "The API key is missing or wrong; no body.",
    413: "The body is larger than the server accepts; plain text.",
    422: "A text, an option or an id is wrong (JSON), or a field has the wrong type (plain text).",
    424: "The model failed on these inputs.",
    429: "Too much work waits; come back after Retry-After seconds.",
    503: "The model is shutting down.",
}

OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="POST",
        paths=("/embed",),
        dialect=TEXT_EMBEDDINGS_INFERENCE,
        handle=embed,
        takes=EmbedRequest,
        gives=list[list[float]],
        summary="Embed texts (TEI)",
        description="Works with clients of Hugging Face's Text Embeddings Inference. The default model answers.",
        example={"inputs": ["The mill turns.", "Water drives the wheel."], "normalize": True},
        answers_with=[[0.020964134, -0.041305967, 0.07319605], [-0.011502886, 0.05937732, 0.0019301853]],
        statuses=_FAILURES,
    ),
    Operation(
        method="GET",
        paths=("/info",),
        dialect=TEXT_EMBEDDINGS_INFERENCE,
        handle=info,
        takes=NoneType,
        gives=Info,
        summary="Describe the default model",
        statuses={401: _FAILURES[401]},
    ),
    Operation(
        method="GET",
        paths=("/health",),
        dialect=TEXT_EMBEDDINGS_INFERENCE,
        handle=health,
        takes=NoneType,
        gives=None,
        summary="Say whether every model answers",
        description="200 with an empty body once requests can be answered.",
        statuses={503: "A model is shutting down or its engine died."},
        public=True,
    ),
)
