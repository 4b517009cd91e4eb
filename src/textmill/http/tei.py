"""The dialect of Text Embeddings Inference: all its operations, and /info and /health."""

from __future__ import annotations

from types import NoneType
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from textmill.contract import ModelInfo
from textmill.errors import Unavailable
from textmill.http import tei_embed, tei_rank, tei_root, tei_similarity, tei_tokens
from textmill.http.answer import Answer
from textmill.http.operation import Operation
from textmill.http.service import Service
from textmill.http.tei_dialect import FAILURES, TEXT_EMBEDDINGS_INFERENCE


class Pooling(Struct, frozen=True):
    """How token states become a vector."""

    pooling: Annotated[
        str,
        Meta(
            description="`cls`, `mean`, `last_token`, or another way of sentence-transformers'; `splade` for sparse vectors; "
            "`multi_vector` where each token keeps one; `none` where the model's file pools by itself."
        ),
    ]


class Labels(Struct, frozen=True):
    """A classifier's labels by index, and their indices."""

    id2label: dict[str, str]
    label2id: dict[str, int]


class ModelType(Struct, frozen=True, omit_defaults=True):
    """TEI's way to say what a model does: one of these keys."""

    embedding: Pooling | UnsetType = UNSET
    classifier: Labels | UnsetType = UNSET
    reranker: Labels | UnsetType = UNSET


class Info(Struct, frozen=True):
    """TEI's keys in TEI's order, then textmill's own. Limits that textmill does not have are null."""

    model_id: str
    model_sha: str | None
    model_dtype: str
    served_model_name: str
    model_type: ModelType
    max_concurrent_requests: int | None
    max_input_length: int
    max_batch_tokens: int
    max_batch_requests: int | None
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    version: str
    sha: str | None
    docker_label: str | None
    tasks: Annotated[list[str], Meta(description="What the model can do.")]
    dimensions: int
    architecture: str
    runtime: str
    device: str
    threads: int
    int8_cosine: Annotated[
        float | None, Meta(description="Of an int8 model, the smallest cosine to float32 on built-in texts.")
    ]
    vocabulary: int
    prompts: list[str]
    default_prompt: str | None
    fingerprint: Annotated[str, Meta(description="Vectors may share an index only where this is equal.")]
    models: Annotated[list[str], Meta(description="All models that are known, the default first.")]


async def info(service: Service, _: None) -> Answer:
    """GET /info, of the default model or that in the path."""
    about = (await service.model()).info
    return Answer(
        msgspec.json.encode(
            Info(
                model_id=about.source,
                model_sha=about.revision,
                model_dtype=about.dtype,
                served_model_name=about.name,
                model_type=_model_type(about),
                max_concurrent_requests=service.settings.max_concurrent_requests,
                max_input_length=about.max_tokens,
                max_batch_tokens=about.batch_tokens,
                max_batch_requests=about.batch_rows,
                max_client_batch_size=service.settings.client_batch_size,
                auto_truncate=service.settings.auto_truncate,
                tokenization_workers=about.tokenization_workers,
                version=service.settings.version,
                sha=None,
                docker_label=None,
                tasks=list(about.tasks),
                dimensions=about.dimensions,
                architecture=about.architecture,
                runtime=about.runtime,
                device=about.device,
                threads=about.threads,
                int8_cosine=about.int8_cosine,
                vocabulary=about.vocabulary,
                prompts=list(about.prompts),
                default_prompt=about.default_prompt,
                fingerprint=about.fingerprint,
                models=[known.name for known, _, _ in service.store.known()],
            )
        )
    )


def _model_type(about: ModelInfo) -> ModelType:
    names = about.labels or ("LABEL_0",)
    labels = Labels({str(i): name for i, name in enumerate(names)}, {name: i for i, name in enumerate(names)})
    if "embed" in about.tasks:
        return ModelType(embedding=Pooling({"lasttoken": "last_token"}.get(about.pooling, about.pooling) or "none"))
    if "embed_multi" in about.tasks:
        return ModelType(embedding=Pooling("multi_vector"))
    if "embed_sparse" in about.tasks:
        return ModelType(embedding=Pooling("splade"))
    if "rerank" in about.tasks and len(names) == 1:
        return ModelType(reranker=labels)
    return ModelType(classifier=labels)


async def health(service: Service, _: None) -> Answer:
    """GET /health: of all models, or that in the path."""
    if service.permits.draining or not all(model is None or model.ready for _, _, model in service.known()):
        msg = "a model cannot answer: it is shutting down or its engine died"
        raise Unavailable(msg)
    return Answer()


OPERATIONS: tuple[Operation[Any], ...] = (
    *tei_embed.OPERATIONS,
    *tei_rank.OPERATIONS,
    *tei_similarity.OPERATIONS,
    *tei_tokens.OPERATIONS,
    *tei_root.OPERATIONS,
    Operation(
        method="GET",
        paths=("/info",),
        dialect=TEXT_EMBEDDINGS_INFERENCE,
        handle=info,
        takes=NoneType,
        gives=Info,
        summary="Describe the default model",
        statuses={status: FAILURES[status] for status in (401, 404, 422, 500, 503)},
    ),
    Operation(
        method="GET",
        paths=("/health", "/", "/ping"),
        dialect=TEXT_EMBEDDINGS_INFERENCE,
        handle=health,
        takes=NoneType,
        gives=None,
        summary="Say whether every model answers",
        description="200 with an empty body once requests can be answered.",
        statuses={404: FAILURES[404], 500: FAILURES[500], 503: "A model is shutting down or its engine died."},
        right="none",
    ),
)
