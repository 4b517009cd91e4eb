"""TEI's route for how alike texts are: /similarity."""

from __future__ import annotations

import time
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import orjson
from msgspec import Meta, Struct

from textmill.contract import Embeddings, EmbedOptions, Input, SparseEmbeddings, SparseOptions, SparseVector
from textmill.errors import EmptyInput
from textmill.http.answer import Answer
from textmill.http.inputs import check_count, refuse_empty
from textmill.http.operation import Operation
from textmill.http.service import Model, Service
from textmill.http.tei_dialect import (
    FAILURES,
    TEXT_EMBEDDINGS_INFERENCE,
    Direction,
    ModelName,
    PromptName,
    Truncate,
    cuts,
    require,
    side_of,
)
from textmill.http.timing import timing_headers
from textmill.store.vocabulary import only_sparse

_TEXT = {"minLength": 1}


class Compared(Struct, frozen=True):
    """A text, and those that it is compared with."""

    source_sentence: Annotated[
        str, Meta(description="The text that the others are compared with.", extra_json_schema=_TEXT)
    ]
    sentences: Annotated[
        list[Annotated[str, Meta(extra_json_schema=_TEXT)]],
        Meta(description="The others; at least one.", extra_json_schema={"minItems": 1}),
    ]


class SimilarityParameters(Struct, frozen=True):
    """How to read the texts."""

    truncate: Truncate = None
    truncation_direction: Direction = None
    prompt_name: PromptName = None


class SimilarityRequest(Struct, frozen=True):
    """Texts to compare."""

    inputs: Annotated[Compared, Meta(description="The texts.")]
    parameters: Annotated[SimilarityParameters | None, Meta(description="How to read them.")] = None
    model: ModelName = None


async def similarity(service: Service, request: SimilarityRequest) -> Answer:
    """POST /similarity."""
    started = time.perf_counter()
    model = await service.model(request.model, "embed")
    sentences = request.inputs.sentences
    if not sentences:
        msg = "'sentences' is an empty list; there is nothing to compare with"
        raise EmptyInput(msg, param="inputs")
    inputs: list[Input] = [request.inputs.source_sentence, *sentences]
    check_count("inputs", len(inputs), service.settings.max_inputs)
    if not only_sparse(model.info):
        require(model, "embed")
    refuse_empty(inputs, "inputs")
    made = await _embed(service, model, inputs, request.parameters or SimilarityParameters())
    cosines = _dense_cosines(made.vectors) if isinstance(made, Embeddings) else _sparse_cosines(made)
    body = orjson.dumps(cosines, option=orjson.OPT_SERIALIZE_NUMPY)
    return Answer(body, headers=timing_headers(model.info, inputs, made, started), model=model.info.name)


async def _embed(
    service: Service, model: Model, inputs: list[Input], how: SimilarityParameters
) -> Embeddings | SparseEmbeddings:
    truncate, side = cuts(service, how.truncate), side_of(how.truncation_direction)
    if only_sparse(model.info):
        sparse = SparseOptions(prompt_name=how.prompt_name, truncate=truncate, truncate_side=side)
        return await service.compute(model, model.embed_sparse_inputs, inputs, sparse)
    options = EmbedOptions(prompt_name=how.prompt_name, truncate=truncate, truncate_side=side, normalize=True)
    return await service.compute(model, model.embed_inputs, inputs, options)


def _dense_cosines(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The cosines of vectors of length one with the first of them; rounding takes none beyond 1."""
    cosines: npt.NDArray[np.float32] = np.clip(vectors[1:] @ vectors[0], -1, 1)
    return cosines


def _sparse_cosines(made: SparseEmbeddings) -> npt.NDArray[np.float32]:
    """The same of sparse vectors of any length; 0 where one has no entry."""
    source, *others = made.vectors
    spread = np.zeros(made.size, np.float32)
    spread[source.indices] = source.values
    return np.array([_sparse_cosine(spread, vector) for vector in others], np.float32)


def _sparse_cosine(spread: npt.NDArray[np.float32], vector: SparseVector) -> float:
    lengths = float(np.linalg.norm(spread) * np.linalg.norm(vector.values))
    return min(1.0, float(spread[vector.indices] @ vector.values) / lengths) if lengths else 0.0


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="POST",
        paths=("/similarity",),
        dialect=TEXT_EMBEDDINGS_INFERENCE,
        handle=similarity,
        takes=SimilarityRequest,
        gives=list[float],
        summary="Compare texts with one text (TEI)",
        description="The cosine of each sentence with the source, in the order of the sentences.",
        example={
            "inputs": {"source_sentence": "The mill turns.", "sentences": ["The wheel turns.", "Bread is baked."]}
        },
        answers_with=[0.83, 0.21],
        statuses=FAILURES,
        strict=True,
        form=lambda _: "batch",
    ),
)
