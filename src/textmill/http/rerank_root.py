"""POST /rerank, where TEI's clients, Cohere's and Jina's, and Weaviate meet: the keys of a body tell who asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Any, NamedTuple, TypeVar

import orjson
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from textmill.http.answer import JSON, Answer
from textmill.http.body import BodyDecoder, check_content_type
from textmill.http.cohere import COHERE
from textmill.http.failures import Failure, WrongShape
from textmill.http.openai import ErrorDetails, Usage
from textmill.http.operation import Dialect, Operation
from textmill.http.rerank import CohereMeta, RerankDocumentsRequest, RerankResult, ranked
from textmill.http.service import Service
from textmill.http.tei_dialect import FAILURES, TEI, TEXT_EMBEDDINGS_INFERENCE
from textmill.http.tei_rank import Rank, RerankRequest, rerank
from textmill.http.weaviate import WEAVIATE, DocumentScore, ScoresRequest, scores

T = TypeVar("T")


class Ranking(Struct, frozen=True):
    """Who sends `texts` means TEI's route, who sends `documents` Cohere's and Jina's, with `property` Weaviate's."""

    query: Annotated[object, Meta(description="What the texts are judged by.")]
    texts: Annotated[list[str] | None, Meta(description="TEI's: what is to be ordered. Not with `documents`.")] = None
    documents: Annotated[
        list[Any] | None,
        Meta(
            description="Cohere's, Jina's and Weaviate's: what is to be ordered, as for `/v1/rerank`. Not with `texts`."
        ),
    ] = None
    property: Annotated[object, Meta(description="Weaviate's, often empty: `documents` are scored, not ordered.")] = (
        None
    )
    raw_scores: Annotated[
        object, Meta(description="Give the model's own scores, not shares between 0 and 1. Not with `property`.")
    ] = None
    return_text: Annotated[object, Meta(description="With `texts`: repeat each text in the answer.")] = None
    truncate: Annotated[
        object, Meta(description="With `texts`: cut those that are too long, or refuse them with `false`.")
    ] = None
    truncation_direction: Annotated[
        object, Meta(description="With `texts`: the end that is cut off, `right` or `left`.")
    ] = None
    on_overflow: Annotated[
        object,
        Meta(
            description="With `texts`: cut (`truncate`) or refuse (`error`) those that are too long, whatever `truncate` says."
        ),
    ] = None
    top_n: Annotated[object, Meta(description="With `documents`: give that many of the best.")] = None
    return_documents: Annotated[object, Meta(description="With `documents`: repeat them; absent means not to.")] = None
    rank_fields: Annotated[object, Meta(description="With `documents` that are objects: the fields that are read.")] = (
        None
    )
    truncation: Annotated[
        object, Meta(description="With `documents`: cut what is too long, or refuse it with `false`.")
    ] = None
    model: Annotated[str | None, Meta(description="A name of `/v1/models`; absent means the default model.")] = None


class RankingAnswer(Struct, frozen=True):
    """The answer to `documents`: that of `/v1/rerank`, or with `property` the query and a score for each document."""

    results: list[RerankResult] | UnsetType = UNSET
    id: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    object: str | UnsetType = UNSET
    usage: Usage | UnsetType = UNSET
    meta: CohereMeta | UnsetType = UNSET
    query: str | UnsetType = UNSET
    scores: list[DocumentScore] | UnsetType = UNSET


class RankingError(Struct, frozen=True):
    """TEI's and Weaviate's error, a text with its `error_type`; or with `documents` that of `/v1/rerank`."""

    error: str | ErrorDetails
    error_type: str | None = None
    message: str | None = None
    detail: str | None = None


class RankingDialect(TEI):
    """TEI's errors, until a body has told whose they should be; of a wrong key they tell in the words of all who may have sent it."""

    failure_schema = RankingError  # type: ignore[assignment]

    def refuse(self, failure: Failure) -> Answer:
        """As TEI does, but that a caller without a key, whoever it is, is told so: Jina's client shows nothing but `detail`."""
        if not failure.withheld:
            return super().refuse(failure)
        said = {"error": failure.message, "error_type": failure.kind.tei_type}
        body = orjson.dumps(said | {"message": failure.message, "detail": failure.message})
        return Answer(body, failure.kind.tei_status, headers=failure.headers)

    def forms(self, status: int) -> tuple[str, ...]:
        """As TEI's, with JSON for a wrong key."""
        return (JSON,) if status == HTTPStatus.UNAUTHORIZED else super().forms(status)


ROOT = RankingDialect()


class _Way(NamedTuple):
    """How those who send these keys want a body to be read, and answered."""

    dialect: Dialect
    decoder: BodyDecoder[Any]
    answer: Callable[[Service, Any], Awaitable[Answer]]


def _way(
    dialect: Dialect, takes: type[T], answer: Callable[[Service, T], Awaitable[Answer]], *, strict: bool = False
) -> _Way:
    return _Way(dialect, BodyDecoder(takes, strict=strict), answer)


async def _rank_documents(service: Service, request: RerankDocumentsRequest) -> Answer:
    # Infinity's clients, which ask here, read no answer of another kind.
    return await ranked(service, request, version="1", shown=request.return_documents is True, kind="rerank")


_KEYS: BodyDecoder[dict[str, Raw]] = BodyDecoder(dict[str, Raw])
_TEI = _way(TEXT_EMBEDDINGS_INFERENCE, RerankRequest, rerank, strict=True)
_DOCUMENTS = _way(COHERE, RerankDocumentsRequest, _rank_documents)
_WEAVIATE = _way(WEAVIATE, ScoresRequest, scores)
_ONLY_DOCUMENTS = frozenset(RerankDocumentsRequest.__struct_fields__) - set(RerankRequest.__struct_fields__)


async def any_ranking(service: Service, body: Raw) -> Answer:
    """POST /rerank."""
    given = _KEYS.decode(bytes(body))
    keys = {name for name, value in given.items() if bytes(value) != b"null"}
    way = _way_of(keys)
    service.speak(way.dialect)
    if way is _TEI:
        check_content_type(service.headers)
    if {"texts", "documents"} <= keys:
        msg = "give either 'texts', as TEI has it, or 'documents', as Cohere and Jina have it, not both"
        raise WrongShape(msg, param="documents")
    return await way.answer(service, way.decoder.decode(bytes(body)))


def _way_of(keys: set[str]) -> _Way:
    """Who sends such keys: also where what is to be ranked is missing, or there twice."""
    if "texts" in keys and "documents" not in keys:
        return _TEI
    if "property" in keys:
        return _WEAVIATE
    if "texts" in keys:
        return _DOCUMENTS if keys & (_ONLY_DOCUMENTS - {"documents"}) else _TEI
    return _DOCUMENTS if keys & _ONLY_DOCUMENTS else _TEI


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="POST",
        paths=("/rerank",),
        dialect=ROOT,
        handle=any_ranking,
        takes=Raw,
        documented=Ranking,
        gives=list[Rank] | RankingAnswer,
        summary="Order texts by relevance (TEI, Cohere, Jina, Weaviate)",
        description="The keys of the body tell who asks. `texts` gives TEI's bare list, the most relevant first, with scores between 0 "
        "and 1 unless `raw_scores` is true. `documents` gives `results` as `/v1/rerank` does; with `property` it gives `scores` in the "
        "order of the request. Only with `texts` the Content-Type has to be that of JSON.",
        example={"query": "What drives the mill?", "texts": ["Bread is baked.", "Water drives the wheel."]},
        answers_with=[{"index": 1, "score": 0.97}, {"index": 0, "score": 0.01}],
        statuses=FAILURES | {401: "The API key is missing or wrong."},
        form=lambda _: "batch",
        strict=True,
        untyped=True,
    ),
)
