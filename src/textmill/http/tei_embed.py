"""TEI's embedding routes: /embed, /embed_all and /embed_sparse."""

from __future__ import annotations

import time
from typing import Annotated, Any

from msgspec import Meta, Struct

from textmill.contract import EmbedOptions, Input, SparseOptions, TextOptions
from textmill.http.inputs import Inputs, as_batch, refuse_empty_texts
from textmill.http.operation import Answer, Operation
from textmill.http.service import Service
from textmill.http.tei_dialect import (
    FAILURES,
    TEXT_EMBEDDINGS_INFERENCE,
    Direction,
    PromptName,
    Truncate,
    side_of,
)
from textmill.http.timing import timing_headers
from textmill.http.vectors import float_rows, json_array, nested_array, sparse_array

Texts = Annotated[
    Inputs,
    Meta(
        description="A text, a list of texts, the token ids of one text, or a list that mixes texts and lists of ids. "
        "Ids are the model's own. Empty texts are refused."
    ),
]


class EmbedRequest(Struct, frozen=True):
    """What to embed. Null is the same as absent in every optional field; unknown fields are ignored."""

    inputs: Texts
    truncate: Truncate = None
    truncation_direction: Direction = None
    prompt_name: PromptName = None
    normalize: Annotated[bool | None, Meta(description="Scale vectors to length one (the default).")] = None
    dimensions: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="Keep that many leading values, then normalise (Matryoshka)."),
    ] = None


class TokensRequest(Struct, frozen=True):
    """Whose tokens to embed."""

    inputs: Texts
    truncate: Truncate = None
    truncation_direction: Direction = None
    prompt_name: PromptName = None


class SparseRequest(Struct, frozen=True):
    """What to embed sparsely."""

    inputs: Texts
    truncate: Truncate = None
    truncation_direction: Direction = None
    prompt_name: PromptName = None


class SparseEntry(Struct, frozen=True):
    """The weight of an entry of the vocabulary."""

    index: int
    value: float


async def embed(service: Service, request: EmbedRequest) -> Answer:
    """POST /embed."""
    started = time.perf_counter()
    model, inputs = service.store.get(None), _batch(service, request.inputs)
    options = EmbedOptions(
        prompt_name=request.prompt_name,
        dimensions=request.dimensions,
        normalize=request.normalize is not False,
        truncate=request.truncate is not False,
        truncate_side=side_of(request.truncation_direction),
    )
    made = service.count(model, await model.embed_inputs(inputs, options))
    body = await json_array(made.vectors, float_rows)
    return Answer(body, headers=timing_headers(model.info, inputs, made, started), model=model.info.name)


async def embed_all(service: Service, request: TokensRequest) -> Answer:
    """POST /embed_all."""
    started = time.perf_counter()
    model, inputs = service.store.get(None), _batch(service, request.inputs)
    options = TextOptions(
        prompt_name=request.prompt_name,
        truncate=request.truncate is not False,
        truncate_side=side_of(request.truncation_direction),
    )
    made = service.count(model, await model.embed_tokens_inputs(inputs, options))
    body = await nested_array(made.vectors)
    return Answer(body, headers=timing_headers(model.info, inputs, made, started), model=model.info.name)


async def embed_sparse(service: Service, request: SparseRequest) -> Answer:
    """POST /embed_sparse."""
    started = time.perf_counter()
    model, inputs = service.store.get(None), _batch(service, request.inputs)
    options = SparseOptions(
        prompt_name=request.prompt_name,
        truncate=request.truncate is not False,
        truncate_side=side_of(request.truncation_direction),
    )
    made = service.count(model, await model.embed_sparse_inputs(inputs, options))
    body = await sparse_array(made.vectors)
    return Answer(body, headers=timing_headers(model.info, inputs, made, started), model=model.info.name)


def _batch(service: Service, given: Inputs) -> list[Input]:
    inputs = as_batch(given, "inputs", service.settings.max_inputs)
    refuse_empty_texts(inputs, "inputs")
    return inputs


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
        statuses=FAILURES,
    ),
    Operation(
        method="POST",
        paths=("/embed_all",),
        dialect=TEXT_EMBEDDINGS_INFERENCE,
        handle=embed_all,
        takes=TokensRequest,
        gives=list[list[list[float]]],
        summary="Give the states of all tokens (TEI)",
        description="For each text the vectors of its tokens, special ones included, before any pooling.",
        example={"inputs": "The mill turns."},
        answers_with=[[[0.020964134, -0.041305967], [0.05937732, 0.0019301853]]],
        statuses=FAILURES,
    ),
    Operation(
        method="POST",
        paths=("/embed_sparse",),
        dialect=TEXT_EMBEDDINGS_INFERENCE,
        handle=embed_sparse,
        takes=SparseRequest,
        gives=list[list[SparseEntry]],
        summary="Embed texts sparsely (TEI)",
        description="For each text the entries of the vocabulary that have a weight, ascending by index.",
        example={"inputs": "The mill turns."},
        answers_with=[[{"index": 1996, "value": 0.41}, {"index": 4971, "value": 1.92}]],
        statuses=FAILURES,
    ),
)
