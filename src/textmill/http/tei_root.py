"""Routes that look at a body to know what is wanted: POST / and /invocations, and Vertex AI's /vertex."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, NamedTuple, TypeGuard, TypeVar

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from textmill.contract import ModelInfo
from textmill.errors import InvalidInput
from textmill.http.answer import Answer, Streamed
from textmill.http.body import BodyDecoder
from textmill.http.failures import NotJson, WrongShape
from textmill.http.framing import EVENTS
from textmill.http.generation import GenerationRequest, generate, writes_only
from textmill.http.inputs import check_count
from textmill.http.operation import Operation
from textmill.http.service import Model, Service
from textmill.http.settings import MAX_INPUTS
from textmill.http.tei_dialect import FAILURES, TEXT_EMBEDDINGS_INFERENCE, ModelName
from textmill.http.tei_embed import EmbedRequest, SparseRequest, embed, embed_sparse
from textmill.http.tei_pipelines import (
    ClassificationRequest,
    ZeroShotRequest,
    classification,
    zero_shot_classification,
)
from textmill.http.tei_rank import PredictRequest, RerankRequest, predict, rerank
from textmill.http.tei_similarity import SimilarityRequest, similarity
from textmill.store.about import FINGERPRINT
from textmill.telemetry.tei import Form

T = TypeVar("T")


class AnyRequest(Struct, frozen=True):
    """The body of any route that computes: its fields tell which one, and where they do not, the model."""

    inputs: Annotated[object, Meta(description="As for `/embed`, `/embed_sparse`, `/predict` or `/similarity`.")] = None
    query: Annotated[object, Meta(description="With `texts`, as for `/rerank`.")] = None
    texts: Annotated[object, Meta(description="With `query`, as for `/rerank`.")] = None
    parameters: Annotated[
        object,
        Meta(
            description="As Hugging Face's clients send it to classifiers: `top_k`, `function_to_apply`, or `candidate_labels` with "
            "`multi_label` and `hypothesis_template`; for similarities as for `/similarity`; to models that write `max_new_tokens`, "
            "`temperature`, `top_k`, `top_p`, `typical_p`, `repetition_penalty`, `frequency_penalty`, `seed`, `stop`, `do_sample`, "
            "`return_full_text` and `details`."
        ),
    ] = None
    stream: Annotated[object, Meta(description="A model that writes sends its text as it is written.")] = None
    model: ModelName = None


class VertexRequest(Struct, frozen=True):
    """Several requests at once."""

    instances: Annotated[
        list[Raw],
        Meta(
            description="Each a body for `/rerank`, or for `/predict`, `/embed_sparse` or `/embed`, as the model has it."
        ),
    ]
    model: ModelName = None


class VertexAnswer(Struct, frozen=True):
    """The answer of each instance, in order."""

    predictions: list[Any]


class _Fields(Struct, frozen=True):
    """What of a body tells the route."""

    inputs: Raw | UnsetType = UNSET
    query: Raw | UnsetType = UNSET
    texts: Raw | UnsetType = UNSET
    parameters: Raw | UnsetType = UNSET
    model: str | None = None


class _Parameters(Struct, frozen=True):
    """What of a pipeline's parameters tells the route."""

    candidate_labels: Raw | UnsetType = UNSET
    max_new_tokens: Raw | UnsetType = UNSET


class Way(NamedTuple):
    """How one of the routes reads a body, and answers it."""

    decoder: BodyDecoder[Any]
    answer: Callable[[Service, Any], Awaitable[Answer | Streamed]]


def _way(takes: type[T], answer: Callable[[Service, T], Awaitable[Answer | Streamed]]) -> Way:
    return Way(BodyDecoder(takes, strict=True), answer)


_FIELDS = BodyDecoder(_Fields)
_PARAMETERS = BodyDecoder(_Parameters)
EMBED = _way(EmbedRequest, embed)
_EMBED_SPARSE = _way(SparseRequest, embed_sparse)
_PREDICT = _way(PredictRequest, predict)
RERANK = _way(RerankRequest, rerank)
SIMILARITY = _way(SimilarityRequest, similarity)
CLASSIFICATION = _way(ClassificationRequest, classification)
ZERO_SHOT = _way(ZeroShotRequest, zero_shot_classification)
GENERATION = _way(GenerationRequest, generate)


async def any_route(service: Service, body: Raw) -> Answer | Streamed:
    """POST / and /invocations."""
    fields = _FIELDS.decode(bytes(body))
    model = await service.look(fields.model)
    way = (
        GENERATION if writes_only(model) else _way_of_shape(fields, model.info) or _way_of_model(service, fields, model)
    )
    return await way.answer(service, way.decoder.decode(bytes(body)))


async def vertex(service: Service, request: VertexRequest) -> Answer:
    """POST /vertex."""
    check_count("instances", len(request.instances), MAX_INPUTS)
    model = await service.model(request.model)
    with service.computing(model) as asked:
        answers = await asyncio.gather(
            *(_instance(asked, model, bytes(raw), index) for index, raw in enumerate(request.instances)),
            return_exceptions=True,
        )
    bodies: list[bytes] = []
    fingerprints: set[tuple[str, str]] = set()
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        bodies.append(answer.body)
        fingerprints |= {pair for pair in answer.headers if pair[0] == FINGERPRINT}
    told = tuple(fingerprints) if len(fingerprints) == 1 else ()  # an instance may name a model of its own
    return Answer(b'{"predictions":[' + b",".join(bodies) + b"]}", headers=told, model=model.info.name)


async def _instance(service: Service, model: Model, body: bytes, index: int) -> Answer:
    """The answer to one instance; raises InvalidInput, which has a JSON body, for one that cannot be read."""
    try:
        fields = _FIELDS.decode(body)
        way = _way_of_instance(fields, model)
        request = way.decoder.decode(body)
        answer = await way.answer(service, request)
    except (WrongShape, NotJson) as error:
        msg = f"instance {index}: {error}"
        raise InvalidInput(msg, param="instances") from None
    if isinstance(answer, Streamed):
        msg = f"instance {index} wants a stream, which several answers at once cannot be; leave 'stream' out"
        raise InvalidInput(msg, param="instances")
    return answer


def _way_of_instance(fields: _Fields, model: Model) -> Way:
    if writes_only(model):
        return GENERATION
    return RERANK if _given(fields.query) and _given(fields.texts) else _way_of_task(model.info)


def _way_of_shape(fields: _Fields, about: ModelInfo) -> Way | None:
    """The route that a body's fields tell by themselves."""
    if _given(fields.query) and _given(fields.texts):
        return RERANK
    if _given(fields.inputs) and bytes(fields.inputs).startswith(b"{"):
        return SIMILARITY
    if not _given(fields.parameters) or (
        "classify" not in about.tasks and not bytes(fields.parameters).startswith(b"{")
    ):
        return None
    parameters = _PARAMETERS.decode(bytes(fields.parameters))
    if _given(parameters.candidate_labels):
        return ZERO_SHOT
    if _given(parameters.max_new_tokens) and "complete" in about.tasks:
        return GENERATION
    return CLASSIFICATION if "classify" in about.tasks else None


def _way_of_model(service: Service, fields: _Fields, model: Model) -> Way:
    """The route of the model's kind; of one that ranks, also that of classes, where the body has inputs."""
    about = model.info
    if "classify" in about.tasks and _given(fields.inputs):
        return _PREDICT
    if service.settings.root_task == "similarity" and "embed" in about.tasks:
        return SIMILARITY
    if "rerank" in about.tasks and "embed" not in about.tasks:
        return RERANK
    return _way_of_task(about)


def _way_of_task(about: ModelInfo) -> Way:
    if "embed" in about.tasks:
        return EMBED
    if "classify" in about.tasks or "rerank" in about.tasks:
        return _PREDICT
    return _EMBED_SPARSE if "embed_sparse" in about.tasks else EMBED


def _given(value: Raw | UnsetType) -> TypeGuard[Raw]:
    """Whether a field is there, and is not null."""
    return value is not UNSET and bytes(value) != b"null"


_SINGLE = re.compile(rb"\"|\[\s*[\]\d-]")
"""A text, or the ids of one."""


def form_of_body(body: Raw) -> Form:
    """Whether the body of POST / has one input, as far as its first character tells."""
    fields = _FIELDS.decode(bytes(body))
    return "single" if _given(fields.inputs) and _SINGLE.match(bytes(fields.inputs)) else "batch"


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="POST",
        paths=("/", "/invocations"),
        dialect=TEXT_EMBEDDINGS_INFERENCE,
        handle=any_route,
        takes=Raw,
        documented=AnyRequest,
        gives=list[Any],
        summary="Do what the body and the model tell (TEI)",
        description="What clients of Hugging Face and SageMaker call. `query` and `texts` are ranked; `source_sentence` in `inputs` is "
        "compared; with `parameters` a classifier answers one more list around its labels; a model that writes goes on with `inputs`; else the model's kind counts.",
        example={"inputs": "The mill turns."},
        answers_with=[[0.020964134, -0.041305967, 0.07319605]],
        statuses=FAILURES,
        streams=EVENTS,
        strict=True,
        form=form_of_body,
    ),
    Operation(
        method="POST",
        paths=("/vertex",),
        dialect=TEXT_EMBEDDINGS_INFERENCE,
        handle=vertex,
        takes=VertexRequest,
        gives=VertexAnswer,
        summary="Answer several requests at once (Vertex AI)",
        description="Each instance is answered as its own route would, without headers; the first that fails fails all.",
        example={"instances": [{"inputs": "The mill turns."}]},
        answers_with={"predictions": [[[0.020964134, -0.041305967, 0.07319605]]]},
        statuses=FAILURES,
        strict=True,
        form=lambda _: "batch",
    ),
)
