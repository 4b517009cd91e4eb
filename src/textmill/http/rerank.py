"""Reranking as LocalAI and Jina have it: /v1/rerank."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import orjson
from msgspec import UNSET, Meta, Struct, UnsetType

from textmill.contract import RerankOptions, Scores
from textmill.errors import EmptyInput, InvalidInput, WrongTask
from textmill.http.answer import Answer
from textmill.http.backend import BackendName, check_backend
from textmill.http.inputs import check_count
from textmill.http.openai import OPENAI, Usage
from textmill.http.operation import Operation
from textmill.http.schema import exactly
from textmill.http.service import Model, Service
from textmill.http.timing import timing_headers
from textmill.tasks.best import best_first, refuse_no_numbers

_RESULTS_A_STEP = 256
_TEXT: dict[str, object] = {
    "anyOf": [
        {"type": "string"},
        {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}, "image": {"type": "null"}}},
    ]
}


class RerankDocument(Struct, frozen=True):
    """A document as an object; further keys are ignored."""

    text: str | None = None
    image: Annotated[object, Meta(description="Refused: only texts are ranked.")] = None


class RerankDocumentsRequest(Struct, frozen=True):
    """Documents to be ordered by how relevant they are to the query. Null is the same as absent in every optional field."""

    query: Annotated[
        str | RerankDocument,
        Meta(description="What the documents are judged by.", extra_json_schema=exactly(_TEXT)),
    ]
    documents: Annotated[
        list[str | RerankDocument],
        Meta(
            description="What is to be ordered, at least one: texts, or objects with a `text`. An empty text is one too.",
            extra_json_schema=exactly({"type": "array", "items": _TEXT, "minItems": 1}),
        ),
    ]
    model: Annotated[str | None, Meta(description="A name of `/v1/models`; absent means the default model.")] = None
    top_n: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Give that many of the best; absent means all, as does any number that is larger."),
    ] = None
    return_documents: Annotated[
        bool | None, Meta(description="Repeat each document's text in the answer (the default).")
    ] = None
    truncation: Annotated[
        bool | None, Meta(description="Cut what is too long, or refuse it with `false`; absent means the server's way.")
    ] = None
    backend: BackendName = None
    max_chunks_per_doc: Annotated[
        object, Meta(description="Accepted and ignored: documents that are too long are cut.")
    ] = None


class ResultDocument(Struct, frozen=True):
    """A document of the request."""

    text: str


class RerankResult(Struct, frozen=True):
    """A document at its place: its ``index`` among those of the request, and how relevant it is."""

    index: int
    relevance_score: float
    document: ResultDocument | UnsetType = UNSET


class RerankAnswer(Struct, frozen=True):
    """The results, the most relevant first, equal ones in the order of the request."""

    model: str
    object: Literal["list"]
    usage: Usage
    results: list[RerankResult]


async def rerank_documents(service: Service, request: RerankDocumentsRequest) -> Answer:
    """POST /v1/rerank."""
    started = time.perf_counter()
    model = await service.model(request.model, "rerank")
    _require_rerank(service, model)
    check_backend(request.backend, model.info)
    texts = [_text(document, f"documents[{index}]") for index, document in enumerate(request.documents)]
    query = _text(request.query, "query")
    _refuse_nothing(query, texts)
    check_count("documents", len(texts), service.settings.max_inputs)
    truncate = service.settings.auto_truncate if request.truncation is None else request.truncation
    made = await service.compute(model, model.rerank_inputs, query, texts, RerankOptions(truncate=truncate))
    refuse_no_numbers(made.scores)
    results = await _results(made, request.top_n, texts if request.return_documents is not False else None)
    tokens = made.query_tokens + sum(made.tokens)
    head = {"model": model.info.name, "object": "list", "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
    body = b"".join((orjson.dumps(head)[:-1], b',"results":', results, b"}"))
    pairs = [(query, text) for text in texts]
    return Answer(body, headers=timing_headers(model.info, pairs, made, started), model=model.info.name)


def _text(given: str | RerankDocument, where: str) -> str:
    """What there is to read; raises InvalidInput for an object without text, and for an image."""
    if isinstance(given, str):
        return given
    param = where.partition("[")[0]
    if given.image is not None:
        msg = f"{where} has an image; only texts are ranked here: send objects with a 'text', or texts"
        raise InvalidInput(msg, param=param)
    if given.text is None:
        msg = f"{where} is an object without a 'text'"
        raise InvalidInput(msg, param=param)
    return given.text


def _refuse_nothing(query: str, texts: Sequence[str]) -> None:
    if not texts:
        msg = "'documents' is an empty list; there is nothing to rank"
        raise EmptyInput(msg, param="documents")
    if not query:
        msg = "'query' is empty; there is nothing to judge the documents by"
        raise EmptyInput(msg, param="query")


def _require_rerank(service: Service, model: Model) -> None:
    """Raise WrongTask where the model cannot rerank, with what to do instead."""
    info = model.info
    if "rerank" in info.tasks:
        return
    others = [
        known.name
        for known, about, _ in service.known()
        if known.refusal is None and "rerank" in (known.tasks if about is None else about.tasks)
    ]
    instead = f"name one that does ({', '.join(others)})" if others else "no model here does; load a cross-encoder"
    if "embed" in info.tasks:
        instead += (
            ", or embed the query and the documents (/v1/embeddings) and order these by the product of their vectors"
        )
    msg = f"{info.name} does not rerank, it can {', '.join(info.tasks)}; {instead}"
    raise WrongTask(msg, param="model")


async def _results(made: Scores, top: int | None, texts: Sequence[str] | None) -> bytes:
    """The results, best first, with the texts where they are given; in steps where there are many."""
    pieces, order = [], best_first(made.scores)[:top]
    for first in range(0, len(order), _RESULTS_A_STEP):
        results: list[dict[str, Any]] = []
        for index in order[first : first + _RESULTS_A_STEP]:
            document = {} if texts is None else {"document": {"text": texts[index]}}
            results.append({"index": index, **document, "relevance_score": np.float32(made.scores[index])})
        pieces.append(orjson.dumps(results, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1])
        await asyncio.sleep(0)
    return b"[" + b",".join(pieces) + b"]"


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="POST",
        paths=("/v1/rerank", "/jina/v1/rerank"),
        dialect=OPENAI,
        handle=rerank_documents,
        takes=RerankDocumentsRequest,
        gives=RerankAnswer,
        summary="Order documents by relevance (LocalAI, Jina)",
        description="The most relevant document first. Scores are those of `/rerank`: between 0 and 1, but for models of late "
        "interaction, whose scores are sums.",
        example={
            "query": "What drives the mill?",
            "documents": ["Bread is baked.", {"text": "Water drives the wheel."}],
            "top_n": 1,
        },
        answers_with={
            "model": "ms-marco-MiniLM-L6-v2",
            "object": "list",
            "usage": {"prompt_tokens": 27, "total_tokens": 27},
            "results": [{"index": 1, "document": {"text": "Water drives the wheel."}, "relevance_score": 0.97}],
        },
        statuses={
            400: "The body is not JSON, a field is wrong, there is nothing to rank, or the model does not rerank.",
            401: "The API key is missing or wrong.",
            404: "No model of that name is known.",
            413: "The body is larger than the server accepts.",
            422: "With `textmill tei`: a text or an option is wrong, or a field has the wrong type.",
            424: "With `textmill tei`: the model does something else, or failed on these inputs.",
            429: "Too much work waits; come back after Retry-After seconds.",
            500: "The model failed on these inputs.",
            503: "The model could not be loaded, or is shutting down.",
        },
        form=lambda _: "batch",
    ),
)
