"""Reranking as LocalAI, Jina and Cohere have it: /v1/rerank."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Annotated, Any, Literal

import numpy as np
import orjson
from msgspec import UNSET, Meta, Struct, UnsetType

from textmill.contract import RerankOptions, Scores
from textmill.errors import EmptyInput, InvalidInput, WrongTask
from textmill.http.answer import Answer
from textmill.http.backend import BackendName, check_backend
from textmill.http.failures import WrongShape, told_of
from textmill.http.inputs import check_count
from textmill.http.openai import OPENAI, Usage
from textmill.http.operation import Operation
from textmill.http.schema import exactly
from textmill.http.service import Model, Service
from textmill.http.timing import timing_headers
from textmill.tasks.best import best_first, refuse_no_numbers

_RESULTS_A_STEP = 256
_DOCUMENTS_A_UNIT = 100
"""Of one query, as Cohere bills searches."""
_OBJECT: dict[str, object] = {
    "type": "object",
    "properties": {"text": {"type": ["string", "null"]}, "image": {"type": "null"}},
}
_QUERY: dict[str, object] = {"anyOf": [{"type": "string"}, _OBJECT | {"required": ["text"]}]}

Document = str | dict[str, Any]


class RelevantSpans(Struct, frozen=True):
    """Which spans of documents to tell of: none."""

    mode: Annotated[
        str | None,
        Meta(
            description="`disabled`; spans are not told here.", extra_json_schema=exactly({"enum": ["disabled", None]})
        ),
    ] = None


class RerankDocumentsRequest(Struct, frozen=True):
    """Documents to be ordered by how relevant they are to the query. Null is the same as absent in every optional field."""

    query: Annotated[
        Document,
        Meta(
            description="What the documents are judged by: a text, or an object with a `text`.",
            extra_json_schema=exactly(_QUERY),
        ),
    ]
    documents: Annotated[
        list[Document],
        Meta(
            description="What is to be ordered, at least one: texts, or objects with a `text`. An empty text is one too.",
            extra_json_schema=exactly(
                {"type": "array", "items": {"anyOf": [{"type": "string"}, _OBJECT]}, "minItems": 1}
            ),
        ),
    ]
    model: Annotated[str | None, Meta(description="A name of `/v1/models`; absent means the default model.")] = None
    top_n: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Give that many of the best; absent means all, as does any number that is larger."),
    ] = None
    return_documents: Annotated[
        bool | None,
        Meta(
            description="Repeat each document's text in the answer; absent means so in `/v1/rerank`, and not elsewhere."
        ),
    ] = None
    rank_fields: Annotated[
        list[str] | None,
        Meta(
            description="Cohere's: the fields of documents that are objects which are read, in this order, a line each; those that a "
            "document does not have are left out. Absent means `text`."
        ),
    ] = None
    truncation: Annotated[
        bool | None, Meta(description="Cut what is too long, or refuse it with `false`; absent means the server's way.")
    ] = None
    raw_scores: Annotated[
        bool | None, Meta(description="Infinity's: give the model's own scores, not shares between 0 and 1.")
    ] = None
    backend: BackendName = None
    max_chunks_per_doc: Annotated[
        object, Meta(description="Accepted and ignored: documents that are too long are cut.")
    ] = None
    max_tokens_per_doc: Annotated[
        object, Meta(description="Accepted and ignored: documents are cut where the model reads no further.")
    ] = None
    relevant_spans: Annotated[RelevantSpans | None, Meta(description="Cohere's: refused where it is enabled.")] = None
    priority: Annotated[object, Meta(description="Accepted and ignored.")] = None


class ResultDocument(Struct, frozen=True):
    """A document of the request."""

    text: str


class RerankResult(Struct, frozen=True):
    """A document at its place: its ``index`` among those of the request, and how relevant it is."""

    index: int
    relevance_score: float
    document: ResultDocument | UnsetType = UNSET


class ApiVersion(Struct, frozen=True):
    """The version of Cohere's API that an answer has the form of."""

    version: str


class CohereMeta(Struct, frozen=True):
    """What Cohere's clients read of a call: what it counts as there, and the tokens that were computed."""

    api_version: ApiVersion
    billed_units: dict[str, int]
    tokens: dict[str, int]


class RerankAnswer(Struct, frozen=True):
    """The results, the most relevant first, equal ones in the order of the request."""

    id: str
    model: str
    object: Literal["list"]
    usage: Usage
    meta: CohereMeta
    results: list[RerankResult]


async def rerank_documents(service: Service, request: RerankDocumentsRequest) -> Answer:
    """POST /v1/rerank."""
    return await ranked(service, request, version="1", shown=request.return_documents is not False)


async def ranked(
    service: Service, request: RerankDocumentsRequest, *, version: str, shown: bool, kind: str = "list"
) -> Answer:
    """The documents in order, with their texts where they are to be ``shown``, as of a ``version`` of Cohere's API.

    ``kind`` is what the answer calls itself.
    """
    started = time.perf_counter()
    model = await service.model(request.model, "rerank")
    require_rerank(service, model)
    check_backend(request.backend, model.info)
    _refuse_spans(request.relevant_spans)
    check_count("documents", len(request.documents), service.settings.max_inputs)
    fields = request.rank_fields or ()
    texts = [_text(document, f"documents[{index}]", fields) for index, document in enumerate(request.documents)]
    query = _text(request.query, "query")
    refuse_nothing(query, texts)
    truncate = service.settings.auto_truncate if request.truncation is None else request.truncation
    options = RerankOptions(truncate=truncate, scoring="raw" if request.raw_scores else None)
    with told_of({"input": "documents"}):
        made = await service.compute(model, model.rerank_inputs, query, texts, options)
    refuse_no_numbers(made.scores)
    results = await _results(made, request.top_n, texts if shown else None)
    tokens = made.query_tokens + sum(made.tokens)
    head = {
        "id": str(uuid.uuid4()),
        "model": model.info.name,
        "object": kind,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "meta": meta_of(version, {"search_units": -(-len(texts) // _DOCUMENTS_A_UNIT)}, tokens),
    }
    body = b"".join((orjson.dumps(head)[:-1], b',"results":', results, b"}"))
    pairs = [(query, text) for text in texts]
    return Answer(body, headers=timing_headers(model.info, pairs, made, started), model=model.info.name)


def meta_of(version: str, billed: Mapping[str, int], tokens: int) -> dict[str, object]:
    """`CohereMeta` of an answer."""
    return {"api_version": {"version": version}, "billed_units": dict(billed), "tokens": {"input_tokens": tokens}}


def _text(given: Document, where: str, fields: Sequence[str] = ()) -> str:
    """What there is to read: the ``fields`` of an object that it has, a line each, or its text.

    Raises WrongShape for a field that is no text, InvalidInput for an object without any, and for an image.
    """
    if isinstance(given, str):
        return given
    param = where.partition("[")[0]
    if given.get("image") is not None:
        msg = f"{where} has an image; only texts are ranked here: send objects with a 'text', or texts"
        raise InvalidInput(msg, param=param)
    found = [(name, given[name]) for name in fields or ("text",) if given.get(name) is not None]
    for name, value in (*found, ("text", given.get("text"))):
        if not isinstance(value, (str, NoneType)):
            msg = f"{where}.{name} is not a text"
            raise WrongShape(msg, param=param)
    if not found:
        msg = f"{where} is an object without {'any of the fields ' + ', '.join(fields) if fields else repr('text')}"
        raise InvalidInput(msg, param=param)
    return "\n".join(value for _, value in found)


def _refuse_spans(spans: RelevantSpans | None) -> None:
    if spans is not None and spans.mode not in (None, "disabled"):
        msg = f"'relevant_spans' is {spans.mode}, and no spans of documents are told here; leave it out"
        raise InvalidInput(msg, param="relevant_spans")


def refuse_nothing(query: str, texts: Sequence[str]) -> None:
    """Raise EmptyInput for no documents, and for an empty query."""
    if not texts:
        msg = "'documents' is an empty list; there is nothing to rank"
        raise EmptyInput(msg, param="documents")
    if not query:
        msg = "'query' is empty; there is nothing to judge the documents by"
        raise EmptyInput(msg, param="query")


def require_rerank(service: Service, model: Model) -> None:
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


FAILURES = {
    400: "The body is not JSON, a field is wrong, there is nothing to rank, or the model does not rerank.",
    401: "The API key is missing or wrong.",
    404: "No model of that name is known.",
    413: "The body is larger than the server accepts.",
    422: "With `textmill tei`: a text or an option is wrong, or a field has the wrong type.",
    424: "With `textmill tei`: the model does something else, or failed on these inputs.",
    429: "Too much work waits; come back after Retry-After seconds.",
    500: "The model failed on these inputs.",
    503: "The model could not be loaded, or is shutting down.",
}

OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="POST",
        paths=("/v1/rerank", "/jina/v1/rerank", "/v1/v1/rerank"),
        dialect=OPENAI,
        handle=rerank_documents,
        takes=RerankDocumentsRequest,
        gives=RerankAnswer,
        summary="Order documents by relevance (LocalAI, Jina, Cohere)",
        description="The most relevant document first. Scores are those of `/rerank`: between 0 and 1, but for models of late "
        "interaction, whose scores are sums.",
        example={
            "query": "What drives the mill?",
            "documents": ["Bread is baked.", {"text": "Water drives the wheel."}],
            "top_n": 1,
        },
        answers_with={
            "id": "5a0e8f4c-6a57-4d0c-9ddc-0b1c6d0f6c11",
            "model": "ms-marco-MiniLM-L6-v2",
            "object": "list",
            "usage": {"prompt_tokens": 27, "total_tokens": 27},
            "meta": {
                "api_version": {"version": "1"},
                "billed_units": {"search_units": 1},
                "tokens": {"input_tokens": 27},
            },
            "results": [{"index": 1, "document": {"text": "Water drives the wheel."}, "relevance_score": 0.97}],
        },
        statuses=FAILURES,
        form=lambda _: "batch",
    ),
)
