"""What Weaviate's modules text2vec-transformers and reranker-transformers ask of their services: /vectors, /meta and readiness."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import NoneType
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import orjson
from msgspec import UNSET, Meta, Struct, UnsetType

from textmill.contract import EmbedOptions, Kind, RerankOptions
from textmill.errors import EmptyInput
from textmill.http import probes
from textmill.http.answer import JSON, Answer
from textmill.http.failures import EMBED_STATUSES, Failure, WrongShape
from textmill.http.inputs import check_count, refuse_empty
from textmill.http.operation import Operation
from textmill.http.rerank import refuse_nothing, require_rerank
from textmill.http.service import Service
from textmill.http.tei_dialect import ErrorText
from textmill.http.timing import timing_headers
from textmill.http.vectors import float_rows, json_array
from textmill.tasks.best import refuse_no_numbers
from textmill.telemetry.tei import Form

_KINDS: Mapping[str, Kind] = {"query": "query", "passage": "document"}
_SCORES_A_STEP = 256


class VectorsConfig(Struct, frozen=True):
    """How texts become vectors."""

    pooling_strategy: Annotated[object, Meta(description="Accepted and ignored: each model pools in its own way.")] = (
        None
    )
    task_type: Annotated[
        Literal["", "query", "passage"] | None,
        Meta(description="The side of a search that the texts are on; it chooses the prompt."),
    ] = None
    dimensions: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Keep that many leading values, then normalise (Matryoshka)."),
    ] = None


class VectorsRequest(Struct, frozen=True):
    """One text, or several. Null is the same as absent in every field; what else Weaviate sends is ignored."""

    text: Annotated[str | None, Meta(description="The text, also an empty one.")] = None
    texts: Annotated[list[str] | None, Meta(description="In place of `text`: at least one.")] = None
    config: VectorsConfig | None = None
    model: Annotated[str | None, Meta(description="A name of `/v1/models`; absent means the default model.")] = None


class VectorsAnswer(Struct, frozen=True):
    """The vector of the text, or those of the texts in their order, and how long they are."""

    dims: int
    dim: int | UnsetType = UNSET
    text: str | UnsetType = UNSET
    vector: list[float] | UnsetType = UNSET
    vectors: list[list[float]] | UnsetType = UNSET


class ScoresRequest(Struct, frozen=True):
    """Documents to be judged by a query."""

    query: str
    documents: list[str]
    model: str | None = None


class DocumentScore(Struct, frozen=True):
    """A document and how relevant it is."""

    document: str
    score: float


class ModelMeta(Struct, frozen=True):
    """What the model is."""

    model: str
    source: str
    architecture: str
    tasks: list[str]
    dimensions: int
    max_tokens: int
    fingerprint: str
    version: str


class Weaviate:
    """Errors as Weaviate reads them: a text in ``error``."""

    name = "Weaviate"
    failure_schema = ErrorText

    def refuse(self, failure: Failure) -> Answer:
        """`ErrorText`, with OpenAI's status."""
        body = orjson.dumps({"error": failure.message, "error_type": failure.kind.tei_type})
        return Answer(body, failure.kind.status, headers=failure.headers)

    def forms(self, status: int) -> tuple[str, ...]:
        """Always JSON."""
        del status
        return (JSON,)


WEAVIATE = Weaviate()


async def vectors(service: Service, request: VectorsRequest) -> Answer:
    """POST /vectors."""
    started = time.perf_counter()
    model = await service.model(request.model, "embed")
    texts = _texts(service, request)
    config = request.config or VectorsConfig()
    options = EmbedOptions(
        kind=_KINDS.get(config.task_type or ""),
        dimensions=config.dimensions,
        truncate=service.settings.auto_truncate,
    )
    made = await service.compute(model, model.embed_inputs, texts, options)
    rows = await json_array(made.vectors, float_rows)
    width = made.vectors.shape[1]
    if request.text is None:
        body = b'{"vectors":%s,"dims":%d}' % (rows, width)
    else:
        body = b'{"text":%s,"vector":%s,"dim":%d,"dims":%d}' % (orjson.dumps(request.text), rows[1:-1], width, width)
    return Answer(body, headers=timing_headers(model.info, texts, made, started), model=model.info.name)


async def scores(service: Service, request: ScoresRequest) -> Answer:
    """POST /rerank with a `property`: a score for each document in the order of the request, which is what Weaviate goes by."""
    started = time.perf_counter()
    model = await service.model(request.model, "rerank")
    require_rerank(service, model)
    texts = request.documents
    check_count("documents", len(texts), service.settings.max_inputs)
    refuse_nothing(request.query, texts)
    options = RerankOptions(truncate=service.settings.auto_truncate)
    made = await service.compute(model, model.rerank_inputs, request.query, texts, options)
    refuse_no_numbers(made.scores)
    judged = await _judged(made.scores, texts)
    body = b'{"query":%s,"scores":%s}' % (orjson.dumps(request.query), judged)
    pairs = [(request.query, text) for text in texts]
    return Answer(body, headers=timing_headers(model.info, pairs, made, started), model=model.info.name)


async def meta(service: Service, _: None) -> Answer:
    """GET /meta, of the default model or that in the path."""
    about = (await service.model()).info
    told = {
        "model": about.name,
        "source": about.source,
        "architecture": about.architecture,
        "tasks": about.tasks,
        "dimensions": about.dimensions,
        "max_tokens": about.max_tokens,
        "fingerprint": about.fingerprint,
        "version": service.settings.version,
    }
    return Answer(orjson.dumps(told))


async def well_ready(service: Service, _: None) -> Answer:
    """GET /.well-known/ready."""
    await probes.ready(service, None)
    return Answer(status=HTTPStatus.NO_CONTENT)


async def well_live(service: Service, _: None) -> Answer:
    """GET /.well-known/live."""
    await probes.live(service, None)
    return Answer(status=HTTPStatus.NO_CONTENT)


def form_of_texts(request: VectorsRequest) -> Form:
    """Whether a request has one text by itself, or several. Raises WrongShape for both, and for neither."""
    if request.text is not None and request.texts is not None:
        msg = "give either 'text' or 'texts', not both"
        raise WrongShape(msg, param="texts")
    if request.text is None and request.texts is None:
        msg = "the field 'text' is missing, or 'texts' for several"
        raise WrongShape(msg, param="text")
    return "single" if request.texts is None else "batch"


def _texts(service: Service, request: VectorsRequest) -> list[str]:
    """The texts of a request that has any. Raises EmptyInput for none, TooManyInputs for too many."""
    given = request.texts or []
    check_count("texts", len(given), service.settings.max_inputs)
    texts = given if request.text is None else [request.text]
    if not texts:
        msg = "'texts' is an empty list; there is nothing to embed"
        raise EmptyInput(msg, param="texts")
    if service.settings.as_tei:
        refuse_empty(texts, "texts")
    return texts


async def _judged(given: npt.NDArray[np.float32], texts: Sequence[str]) -> bytes:
    """Documents with their scores, in steps where there are many."""
    pieces = []
    for first in range(0, len(texts), _SCORES_A_STEP):
        some = slice(first, first + _SCORES_A_STEP)
        rows = [{"document": text, "score": score} for text, score in zip(texts[some], given[some], strict=True)]
        pieces.append(orjson.dumps(rows, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1])
        await asyncio.sleep(0)
    return b"[" + b",".join(pieces) + b"]"


def _probe(path: str, handle: Any, summary: str, refusal: str) -> Operation[None]:
    return Operation(
        method="GET",
        paths=(path,),
        dialect=WEAVIATE,
        handle=handle,
        takes=NoneType,
        gives=None,
        succeeds=HTTPStatus.NO_CONTENT,
        summary=summary,
        description="204 if so, as Weaviate's own services answer.",
        statuses={503: refusal},
        right="none",
    )


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="POST",
        paths=("/vectors", "/vectors/"),
        dialect=WEAVIATE,
        handle=vectors,
        takes=VectorsRequest,
        gives=VectorsAnswer,
        summary="Embed texts (Weaviate)",
        description="What Weaviate's text2vec-transformers calls: set TRANSFORMERS_INFERENCE_API to this server's address.",
        example={"text": "The mill turns.", "config": {"task_type": "passage"}},
        answers_with={
            "text": "The mill turns.",
            "vector": [0.020964134, -0.041305967, 0.07319605],
            "dim": 3,
            "dims": 3,
        },
        statuses=EMBED_STATUSES,
        form=form_of_texts,
    ),
    Operation(
        method="GET",
        paths=("/meta",),
        dialect=WEAVIATE,
        handle=meta,
        takes=NoneType,
        gives=ModelMeta,
        summary="Describe the default model (Weaviate)",
        statuses={status: EMBED_STATUSES[status] for status in (401, 404, 500, 503)},
    ),
    _probe(
        "/.well-known/ready",
        well_ready,
        "Say whether to send requests here (Weaviate)",
        "The server is shutting down, or a model's engine died.",
    ),
    _probe("/.well-known/live", well_live, "Say whether the process is sound (Weaviate)", "A model's engine died."),
)
