"""What TEI does with classifiers and rerankers: /predict, and its part of /rerank."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import orjson
from msgspec import UNSET, Meta, Struct, UnsetType

from textmill.contract import Classifications, ClassifyOptions, Input, Pair, RerankOptions
from textmill.errors import EmptyInput
from textmill.http.answer import Answer
from textmill.http.failures import WrongShape
from textmill.http.inputs import check_count
from textmill.http.operation import Operation
from textmill.http.schema import exactly
from textmill.http.service import Service
from textmill.http.tei_dialect import (
    FAILURES,
    TEXT_EMBEDDINGS_INFERENCE,
    Direction,
    ModelName,
    Overflow,
    RawScores,
    Truncate,
    cuts,
    require,
    side_of,
)
from textmill.http.timing import timing_headers
from textmill.tasks.best import descending, refuse_no_numbers
from textmill.telemetry.tei import Form

_PAIR = 2
_ROWS_A_STEP = 256
_FEW_TEXTS: dict[str, Any] = {
    "type": "array",
    "items": {"type": "string", "minLength": 1},
    "minItems": 1,
    "maxItems": _PAIR,
}
_BATCH_OF_TEXTS: dict[str, Any] = {"type": "array", "items": _FEW_TEXTS, "minItems": 1}

Examples = str | list[str | list[str]]


class PredictRequest(Struct, frozen=True):
    """What to classify."""

    inputs: Annotated[
        Examples,
        Meta(
            description="A text, also as a list of one; a pair of texts as a list of two; or a list of such lists. "
            "Several single texts are therefore written `[[text], [text]]`.",
            extra_json_schema=exactly({"anyOf": [{"type": "string", "minLength": 1}, _FEW_TEXTS, _BATCH_OF_TEXTS]}),
        ),
    ]
    truncate: Truncate = None
    truncation_direction: Direction = None
    on_overflow: Overflow = None
    raw_scores: RawScores = None
    model: ModelName = None


class Prediction(Struct, frozen=True):
    """A label and how much it fits."""

    score: float
    label: str


class RerankRequest(Struct, frozen=True):
    """Texts to be ordered by how relevant they are to the query."""

    query: Annotated[str, Meta(description="What the texts are judged by.")]
    texts: Annotated[
        list[str], Meta(description="What is to be ordered; at least one.", extra_json_schema={"minItems": 1})
    ]
    truncate: Truncate = None
    truncation_direction: Direction = None
    on_overflow: Overflow = None
    raw_scores: RawScores = None
    return_text: Annotated[bool | None, Meta(description="Repeat each text in the answer.")] = None
    model: ModelName = None


class Rank(Struct, frozen=True):
    """A text's place among those of the request, and its score."""

    index: int
    score: float
    text: str | UnsetType = UNSET


async def predict(service: Service, request: PredictRequest) -> Answer:
    """POST /predict."""
    started = time.perf_counter()
    model = await service.model(request.model, "classify")
    inputs, batch = examples(service, request.inputs)
    require(model, "classify")
    refuse_empty_examples(inputs)
    options = ClassifyOptions(
        truncate=cuts(service, request.truncate, request.on_overflow),
        truncate_side=side_of(request.truncation_direction),
        scoring="raw" if request.raw_scores else None,
    )
    made = await service.compute(model, model.classify_inputs, inputs, options)
    refuse_no_numbers(made.scores)
    body = await label_arrays(made) if batch else dumped(best_first(made.scores[0], made.labels))
    return Answer(body, headers=timing_headers(model.info, inputs, made, started), model=model.info.name)


async def rerank(service: Service, request: RerankRequest) -> Answer:
    """POST /rerank with `texts`."""
    started = time.perf_counter()
    model, texts = await service.model(request.model, "rerank"), request.texts
    if not texts:
        msg = "'texts' is an empty list; there is nothing to rank"
        raise EmptyInput(msg, param="texts")
    require(model, "rerank")
    check_count("texts", len(texts), service.settings.max_inputs)
    if not request.query and not all(texts):
        index = texts.index("")
        msg = f"the query and texts[{index}] are both empty; there is nothing to compare"
        raise EmptyInput(msg, param="texts", index=index)
    options = RerankOptions(
        truncate=cuts(service, request.truncate, request.on_overflow),
        truncate_side=side_of(request.truncation_direction),
        scoring="raw" if request.raw_scores else None,
    )
    made = await service.compute(model, model.rerank_inputs, request.query, texts, options)
    refuse_no_numbers(made.scores)
    body = await _ranks(made.scores, texts if request.return_text else None)
    pairs = [(request.query, text) for text in texts]
    return Answer(body, headers=timing_headers(model.info, pairs, made, started), model=model.info.name)


def examples(service: Service, given: Examples) -> tuple[list[Input | Pair], bool]:
    """The texts and pairs of a request, and whether it was a list of them.

    Raises WrongShape for a list that is none of the forms, TooManyInputs for too many.
    """
    if isinstance(given, str):
        return [given], False
    if form_of_examples(given) == "single":
        return [_example([str(item) for item in given])], False
    check_count("inputs", len(given), service.settings.max_inputs)
    return [_example(item) for item in given], True


def form_of_examples(given: Examples) -> Form:
    """Whether it is one text or pair, or a list of them. Raises WrongShape for a list that is none of the forms."""
    if isinstance(given, str):
        return "single"
    texts = sum(isinstance(item, str) for item in given)
    if 0 < texts < len(given):
        msg = "inputs: mixes texts with lists; write each text as a list of one, each pair as a list of two"
        raise WrongShape(msg, param="inputs")
    single = texts == len(given)
    for where, item in [("inputs", given)] if single else ((f"inputs[{i}]", item) for i, item in enumerate(given)):
        if len(item) not in (1, _PAIR):
            msg = f"{where}: has {len(item)} texts; give one, or two for a pair"
            raise WrongShape(msg, param="inputs")
    return "single" if single else "batch"


def refuse_empty_examples(inputs: Sequence[Input | Pair], field: str = "inputs") -> None:
    """Raise EmptyInput for an empty text, and for a pair of two."""
    for index, item in enumerate(inputs):
        if not (any(item) if isinstance(item, tuple) else item):
            msg = f"{field}[{index}] is an empty text; there is nothing to classify"
            raise EmptyInput(msg, param=field, index=index)


def _example(texts: Sequence[str]) -> Input | Pair:
    return texts[0] if len(texts) == 1 else (texts[0], texts[1])


async def _ranks(scores: npt.NDArray[np.float32], texts: Sequence[str] | None) -> bytes:
    """The ranks, best first, with the texts where they are given; in steps where there are many."""
    pieces, order = [], descending(scores).tolist()
    for first in range(0, len(order), _ROWS_A_STEP):
        ranks: list[dict[str, Any]] = []
        for index in order[first : first + _ROWS_A_STEP]:
            text = {} if texts is None else {"text": texts[index]}
            ranks.append({"index": index, **text, "score": scores[index]})
        pieces.append(dumped(ranks)[1:-1])
        await asyncio.sleep(0)
    return b"[" + b",".join(pieces) + b"]"


async def label_arrays(made: Classifications, top: int | None = None) -> bytes:
    """The labels of each input, best first, as an array of arrays; in steps where there are many."""
    pieces = []
    for index, scores in enumerate(made.scores, 1):
        pieces.append(dumped(best_first(scores, made.labels)[:top]))
        if index % _ROWS_A_STEP == 0:
            await asyncio.sleep(0)
    return b"[" + b",".join(pieces) + b"]"


def dumped(value: object) -> bytes:
    """JSON, with numpy's numbers as the shortest decimals."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def best_first(scores: Any, labels: Sequence[str]) -> list[dict[str, Any]]:
    """All labels with their scores, the best first."""
    return [{"score": scores[index], "label": labels[index]} for index in descending(scores)]


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="POST",
        paths=("/predict",),
        dialect=TEXT_EMBEDDINGS_INFERENCE,
        handle=predict,
        takes=PredictRequest,
        gives=list[Prediction | list[Prediction]],
        summary="Classify texts (TEI)",
        description="All labels of each text, the best first. A list of texts is one text or one pair, never several.",
        example={"inputs": [["I like the mill."], ["The wheel turns.", "The wheel stands still."]]},
        answers_with=[[{"score": 0.98, "label": "joy"}, {"score": 0.02, "label": "anger"}]],
        statuses=FAILURES,
        form=lambda request: form_of_examples(request.inputs),
        strict=True,
    ),
)
