"""Cohere's dialect: /v1/embed, /v2/embed and /v2/rerank."""

from __future__ import annotations

import time
import uuid
from typing import Annotated, Any, Literal

import orjson
from msgspec import UNSET, Meta, Struct, UnsetType, field

from textmill.contract import Embeddings
from textmill.http.answer import Answer
from textmill.http.cohere_request import CohereEmbedRequest, EmbeddingType, check_tokens, options_of, texts_of
from textmill.http.cohere_vectors import TYPES
from textmill.http.failures import EMBED_STATUSES, Failure, told_of
from textmill.http.openai import OpenAI
from textmill.http.operation import Operation
from textmill.http.rerank import FAILURES as RERANK_FAILURES
from textmill.http.rerank import CohereMeta, RerankAnswer, RerankDocumentsRequest, meta_of, ranked
from textmill.http.service import Service
from textmill.http.timing import timing_headers
from textmill.http.vectors import float_rows, json_array


class VectorsByType(Struct, frozen=True):
    """The vectors in each of the types that were asked for, in the order of the inputs."""

    floats: list[list[float]] | UnsetType = field(default=UNSET, name="float")
    int8: list[list[Annotated[int, Meta(ge=-128, le=127)]]] | UnsetType = UNSET
    uint8: list[list[Annotated[int, Meta(ge=0, le=255)]]] | UnsetType = UNSET
    binary: list[list[Annotated[int, Meta(ge=-128, le=127)]]] | UnsetType = UNSET
    ubinary: list[list[Annotated[int, Meta(ge=0, le=255)]]] | UnsetType = UNSET
    base64: list[str] | UnsetType = UNSET


class CohereEmbedAnswer(Struct, frozen=True):
    """The vectors by type, and the texts that they are of."""

    id: str
    embeddings: VectorsByType
    texts: list[str]
    response_type: Literal["embeddings_by_type"]
    meta: CohereMeta


class CohereFirstEmbedAnswer(Struct, frozen=True):
    """The vectors: a list, or by type where types were asked for; `response_type` tells which."""

    id: str
    embeddings: list[list[float]] | VectorsByType
    texts: list[str]
    response_type: Literal["embeddings_floats", "embeddings_by_type"]
    meta: CohereMeta


class Cohere(OpenAI):
    """Errors as OpenAI's clients read them, among them the `message` that Cohere's look for."""

    name = "Cohere"

    def _param(self, failure: Failure) -> str | None:
        """Here `inputs` is a field of its own."""
        return failure.param


COHERE = Cohere()


async def embed_first(service: Service, request: CohereEmbedRequest) -> Answer:
    """POST /v1/embed."""
    return await _embed(service, request, version="1", types=request.embedding_types or [])


async def embed_second(service: Service, request: CohereEmbedRequest) -> Answer:
    """POST /v2/embed."""
    return await _embed(service, request, version="2", types=request.embedding_types or ["float"])


async def rerank_second(service: Service, request: RerankDocumentsRequest) -> Answer:
    """POST /v2/rerank."""
    return await ranked(service, request, version="2", shown=request.return_documents is True)


async def _embed(service: Service, request: CohereEmbedRequest, version: str, types: list[EmbeddingType]) -> Answer:
    started = time.perf_counter()
    model = await service.model(request.model, "embed")
    texts = texts_of(service, request)
    check_tokens(model.info, request.max_tokens)
    with told_of({"input": "texts" if request.inputs is None else "inputs", "dimensions": "output_dimension"}):
        made = await service.compute(model, model.embed_inputs, texts, options_of(service, request, model.info))
    written = await _written(made, types)
    tokens = sum(made.tokens)
    tail = {
        "texts": texts,
        "response_type": "embeddings_by_type" if types else "embeddings_floats",
        "meta": meta_of(version, {"input_tokens": tokens}, tokens),
    }
    head = orjson.dumps({"id": str(uuid.uuid4())})
    body = b"".join((head[:-1], b',"embeddings":', written, b",", orjson.dumps(tail)[1:]))
    return Answer(body, headers=timing_headers(model.info, texts, made, started), model=model.info.name)


async def _written(made: Embeddings, types: list[EmbeddingType]) -> bytes:
    """The vectors as JSON: by type, or a bare list where there are no types."""
    if not types:
        return await json_array(made.vectors, float_rows)
    pieces = [
        b'"%s":%s' % (each.encode(), await json_array(made.vectors, TYPES[each])) for each in dict.fromkeys(types)
    ]
    return b"{" + b",".join(pieces) + b"}"


_EXAMPLE = {"texts": ["The mill turns."], "input_type": "search_document", "embedding_types": ["float", "ubinary"]}
_META = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 6}, "tokens": {"input_tokens": 6}}
_ANSWER = {
    "id": "5a0e8f4c-6a57-4d0c-9ddc-0b1c6d0f6c11",
    "embeddings": {"float": [[0.020964134, -0.041305967, 0.07319605]], "ubinary": [[160]]},
    "texts": ["The mill turns."],
    "response_type": "embeddings_by_type",
    "meta": _META,
}

OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="POST",
        paths=("/v2/embed", "/v1/v2/embed"),
        dialect=COHERE,
        handle=embed_second,
        takes=CohereEmbedRequest,
        gives=CohereEmbedAnswer,
        summary="Embed texts (Cohere, version 2)",
        description="Works with Cohere's clients: set their base URL to this server's.",
        example=_EXAMPLE,
        answers_with=_ANSWER,
        statuses=EMBED_STATUSES,
        form=lambda _: "batch",
    ),
    Operation(
        method="POST",
        paths=("/v1/embed", "/v1/v1/embed"),
        dialect=COHERE,
        handle=embed_first,
        takes=CohereEmbedRequest,
        gives=CohereFirstEmbedAnswer,
        summary="Embed texts (Cohere, version 1)",
        description="As `/v2/embed`, but that without `embedding_types` the vectors are a bare list of floats.",
        example=_EXAMPLE,
        answers_with=_ANSWER | {"meta": _META | {"api_version": {"version": "1"}}},
        statuses=EMBED_STATUSES,
        form=lambda _: "batch",
    ),
    Operation(
        method="POST",
        paths=("/v2/rerank", "/v1/v2/rerank"),
        dialect=COHERE,
        handle=rerank_second,
        takes=RerankDocumentsRequest,
        gives=RerankAnswer,
        summary="Order documents by relevance (Cohere, version 2)",
        description="As `/v1/rerank`, but that documents are repeated only where `return_documents` is true.",
        example={
            "query": "What drives the mill?",
            "documents": ["Bread is baked.", "Water drives the wheel."],
            "top_n": 1,
        },
        answers_with={
            "id": "5a0e8f4c-6a57-4d0c-9ddc-0b1c6d0f6c11",
            "model": "ms-marco-MiniLM-L6-v2",
            "object": "list",
            "usage": {"prompt_tokens": 27, "total_tokens": 27},
            "meta": {
                "api_version": {"version": "2"},
                "billed_units": {"search_units": 1},
                "tokens": {"input_tokens": 27},
            },
            "results": [{"index": 1, "relevance_score": 0.97}],
        },
        statuses=RERANK_FAILURES,
        form=lambda _: "batch",
    ),
)
