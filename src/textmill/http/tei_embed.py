"""TEI's embedding routes: /embed, /embed_all and /embed_sparse."""

from __future__ import annotations

import time
from typing import Annotated, Any

from msgspec import Meta, Struct

from textmill.contract import (
    Chunking,
    ChunkOptions,
    EmbedOptions,
    Input,
    Kind,
    ModelInfo,
    SparseEmbeddings,
    SparseOptions,
    Task,
    TextOptions,
)
from textmill.errors import InvalidInput, WrongTask
from textmill.http.answer import Answer
from textmill.http.inputs import Inputs, as_batch, check_count, form_of, inputs_schema, refuse_empty
from textmill.http.operation import Operation
from textmill.http.overflow import OnOverflow, Overlap, Window, policy
from textmill.http.service import Model, Service
from textmill.http.tei_dialect import (
    FAILURES,
    TEXT_EMBEDDINGS_INFERENCE,
    Direction,
    ModelName,
    Overflow,
    PromptName,
    Truncate,
    cuts,
    require,
    side_of,
)
from textmill.http.timing import timing_headers
from textmill.http.vectors import chunk_array, float_rows, json_array, nested_array, sparse_array
from textmill.store.vocabulary import MOST_VALUES, check_vocabulary, embed_vocabulary, only_sparse

Texts = Annotated[
    Inputs,
    Meta(
        description="A text, a list of texts, the token ids of one text, or a list that mixes texts and lists of ids. "
        "Ids are the model's own. Empty texts are refused.",
        extra_json_schema=inputs_schema(empty_texts=False),
    ),
]
_SPECIAL, _USUAL_WIDTH = 2, 1024
"""Of vectors as long as a vocabulary: 128 MB."""


class EmbedRequest(Struct, frozen=True):
    """What to embed. Null is the same as absent in every optional field; unknown fields are ignored."""

    inputs: Texts
    truncate: Truncate = None
    truncation_direction: Direction = None
    prompt_name: PromptName = None
    normalize: Annotated[bool | None, Meta(description="Scale vectors to length one (the default).")] = None
    dimensions: Annotated[
        Annotated[int, Meta(ge=0, le=2**32 - 1)] | None,
        Meta(description="Keep that many leading values, then normalise (Matryoshka)."),
    ] = None
    on_overflow: OnOverflow = None
    chunk_tokens: Window = None
    chunk_overlap: Overlap = None
    model: ModelName = None


class TokensRequest(Struct, frozen=True):
    """Whose tokens to embed."""

    inputs: Texts
    truncate: Truncate = None
    truncation_direction: Direction = None
    on_overflow: Overflow = None
    prompt_name: PromptName = None
    model: ModelName = None


class ChunksRequest(Struct, frozen=True):
    """Texts of any length, to be embedded chunk by chunk."""

    inputs: Annotated[str | list[str], Meta(description="A text, or a list of texts.")]
    chunk_tokens: Window = None
    chunk_overlap: Overlap = None
    late: Annotated[
        bool | None,
        Meta(description="Pool chunks from the states of the whole text, so that each knows what stands around it."),
    ] = None
    spans: Annotated[
        list[list[tuple[int, int]]] | None,
        Meta(
            description="For each text its chunks, such as its sentences, as pairs of characters: the first, and that behind "
            "the last. They are pooled late. A text has at most 10,000 chunks, a request as many spans as it may have inputs."
        ),
    ] = None
    prompt_name: PromptName = None
    normalize: Annotated[bool | None, Meta(description="Scale vectors to length one (the default).")] = None
    dimensions: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="Keep that many leading values, then normalise.")
    ] = None
    model: ModelName = None


class ChunkItem(Struct, frozen=True):
    """A part of a text, its characters ``start`` up to ``end``, and its vector."""

    start: int
    end: int
    tokens: int
    embedding: list[float]


class SparseRequest(Struct, frozen=True):
    """What to embed sparsely."""

    inputs: Texts
    truncate: Truncate = None
    truncation_direction: Direction = None
    on_overflow: Overflow = None
    prompt_name: PromptName = None
    input_type: Annotated[
        Kind | None,
        Meta(description="The side of a model that embeds queries in another way than documents; document by default."),
    ] = None
    model: ModelName = None


class SparseEntry(Struct, frozen=True):
    """The weight of an entry of the vocabulary."""

    index: int
    value: float


async def embed(service: Service, request: EmbedRequest) -> Answer:
    """POST /embed."""
    started = time.perf_counter()
    model = await service.model(request.model, "embed")
    inputs = as_batch(request.inputs, "inputs", service.settings.max_inputs)
    truncate, chunking = policy(
        request.on_overflow, request.chunk_tokens, request.chunk_overlap, truncate=cuts(service, request.truncate)
    )
    options = EmbedOptions(
        prompt_name=request.prompt_name,
        dimensions=request.dimensions,
        normalize=request.normalize,
        truncate=truncate,
        truncate_side=side_of(request.truncation_direction),
        chunking=chunking,
    )
    if only_sparse(model.info):
        if chunking is not None:
            msg = f"{model.info.name} gives sparse vectors, which have no mean over chunks"
            raise InvalidInput(msg, param="on_overflow")
        return await _embed_vocabulary(service, model, inputs, options, started)
    _check(model, "embed", inputs)
    made = await service.compute(model, model.embed_inputs, inputs, options)
    body = await json_array(made.vectors, float_rows)
    return Answer(body, headers=timing_headers(model.info, inputs, made, started), model=model.info.name)


async def embed_chunks(service: Service, request: ChunksRequest) -> Answer:
    """POST /embed_chunks."""
    started = time.perf_counter()
    model = await service.model(request.model, "embed_chunks")
    inputs = [request.inputs] if isinstance(request.inputs, str) else request.inputs
    check_count("inputs", len(inputs), service.settings.max_inputs)
    refuse_empty(inputs, "inputs")
    check_count("spans", sum(map(len, request.spans or ())), service.settings.max_inputs)
    options = ChunkOptions(
        chunking=Chunking(request.chunk_tokens, request.chunk_overlap or 0),
        late=request.spans is not None if request.late is None else request.late,
        spans=request.spans,
        prompt_name=request.prompt_name,
        normalize=request.normalize,
        dimensions=request.dimensions,
    )
    made = await service.compute(model, model.embed_chunks_inputs, inputs, options)
    body = await chunk_array(made.chunks)
    return Answer(body, headers=timing_headers(model.info, inputs, made, started), model=model.info.name)


async def embed_all(service: Service, request: TokensRequest) -> Answer:
    """POST /embed_all."""
    started = time.perf_counter()
    model = await service.model(request.model, "embed_tokens")
    inputs = as_batch(request.inputs, "inputs", service.settings.max_inputs)
    if only_sparse(model.info):
        msg = f"{model.info.name} gives sparse vectors only, no states of tokens; use /embed_sparse"
        raise WrongTask(msg)
    _check(model, "embed_tokens", inputs)
    _refuse_many_states(model.info, inputs)
    options = TextOptions(
        prompt_name=request.prompt_name,
        truncate=cuts(service, request.truncate, request.on_overflow),
        truncate_side=side_of(request.truncation_direction),
    )
    made = await service.compute(model, model.embed_tokens_inputs, inputs, options)
    body = await nested_array(made.vectors)
    return Answer(body, headers=timing_headers(model.info, inputs, made, started), model=model.info.name)


async def embed_sparse(service: Service, request: SparseRequest) -> Answer:
    """POST /embed_sparse."""
    started = time.perf_counter()
    model = await service.model(request.model, "embed_sparse")
    inputs = as_batch(request.inputs, "inputs", service.settings.max_inputs)
    _check(model, "embed_sparse", inputs)
    made = await _sparse(service, model, inputs, request, truncate=cuts(service, request.truncate, request.on_overflow))
    body = await sparse_array(made.vectors)
    return Answer(body, headers=timing_headers(model.info, inputs, made, started), model=model.info.name)


async def _sparse(
    service: Service, model: Model, inputs: list[Input], request: SparseRequest, *, truncate: bool
) -> SparseEmbeddings:
    options = SparseOptions(
        kind=request.input_type or "document",
        prompt_name=request.prompt_name,
        truncate=truncate,
        truncate_side=side_of(request.truncation_direction),
    )
    return await service.compute(model, model.embed_sparse_inputs, inputs, options)


async def _embed_vocabulary(
    service: Service, model: Model, inputs: list[Input], options: EmbedOptions, started: float
) -> Answer:
    """/embed of a model whose vectors are sparse."""
    check_vocabulary(model.info, len(inputs), options)
    refuse_empty(inputs, "inputs")
    made = await service.compute(model, embed_vocabulary, model, inputs, options)
    body = await json_array(made.vectors, float_rows)
    return Answer(body, headers=timing_headers(model.info, inputs, made, started), model=model.info.name)


def _refuse_many_states(about: ModelInfo, inputs: list[Input]) -> None:
    """Raise InvalidInput where the states of all tokens may be too many for one answer; a character may be a token."""
    tokens = sum(min(about.max_tokens, len(item) + _SPECIAL) for item in inputs)
    if len(inputs) > 1 and tokens * (about.dimensions or _USUAL_WIDTH) > MOST_VALUES:
        msg = f"the states of {len(inputs)} inputs may be more than {MOST_VALUES} values; send fewer inputs a request"
        raise InvalidInput(msg, param="inputs")


def _check(model: Model, task: Task, inputs: list[Input]) -> None:
    """Raise WrongTask where the model does not have the verb, else EmptyInput for an empty input."""
    require(model, task)
    refuse_empty(inputs, "inputs")


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
        form=lambda request: form_of(request.inputs, "inputs"),
        strict=True,
    ),
    Operation(
        method="POST",
        paths=("/embed_chunks",),
        dialect=TEXT_EMBEDDINGS_INFERENCE,
        handle=embed_chunks,
        takes=ChunksRequest,
        gives=list[list[ChunkItem]],
        summary="Embed long texts in chunks (textmill's own)",
        description="For each text its chunks with their places and vectors. Not a route of TEI's.",
        example={"inputs": "Berlin is big. It has many people.", "spans": [[[0, 14], [15, 34]]]},
        answers_with=[
            [
                {"start": 0, "end": 14, "tokens": 4, "embedding": [0.020964134, -0.041305967]},
                {"start": 15, "end": 34, "tokens": 5, "embedding": [0.05937732, 0.0019301853]},
            ]
        ],
        statuses=FAILURES,
        form=lambda request: form_of(request.inputs, "inputs"),
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
        form=lambda request: form_of(request.inputs, "inputs"),
        strict=True,
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
        form=lambda request: form_of(request.inputs, "inputs"),
        strict=True,
    ),
)
