"""The rpcs of `tei.v1.Embed`: dense vectors, sparse ones, and the states of all tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textmill.contract import (
    Embeddings,
    EmbedOptions,
    MultiEmbeddings,
    SparseEmbeddings,
    SparseOptions,
    TextOptions,
)
from textmill.errors import EmptyInput
from textmill.grpc.messages import (
    EmbedAllRequest,
    EmbedRequest,
    EmbedSparseRequest,
    EmbedSparseResponse,
    vector,
    vectors,
)
from textmill.grpc.served import Model
from textmill.grpc.verb import optional, remembered, side_of
from textmill.store.vocabulary import check_vocabulary, embed_vocabulary, only_sparse

TOGETHER = 512
_FEW = 8
"""The states of a text's tokens may be megabytes."""


class Dense:
    """Embed."""

    request = EmbedRequest
    free = False
    together = TOGETHER

    def read(self, message: Any) -> tuple[str, EmbedOptions]:
        """The text, and how."""
        options = _dense(
            message.truncate,
            message.truncation_direction,
            optional(message, "prompt_name"),
            optional(message, "normalize"),
            optional(message, "dimensions"),
        )
        return text_of(message), options

    async def ask(self, model: Model, inputs: Sequence[str], options: EmbedOptions) -> Embeddings:
        """Embed the texts."""
        if only_sparse(model.info):
            check_vocabulary(model.info, len(inputs), options)
            return await embed_vocabulary(model, inputs, options)
        return await model.embed_inputs(inputs, options)

    def answer(self, made: Embeddings, index: int) -> bytes:
        """The vector."""
        return vector(made.vectors[index])


class Sparse:
    """EmbedSparse."""

    request = EmbedSparseRequest
    free = False
    together = TOGETHER

    def read(self, message: Any) -> tuple[str, SparseOptions]:
        """The text, and how."""
        how = _sparse(message.truncate, message.truncation_direction, optional(message, "prompt_name"))
        return text_of(message), how

    async def ask(self, model: Model, inputs: Sequence[str], options: SparseOptions) -> SparseEmbeddings:
        """Embed the texts sparsely."""
        return await model.embed_sparse_inputs(inputs, options)

    def answer(self, made: SparseEmbeddings, index: int) -> bytes:
        """Each entry and its weight."""
        found = made.vectors[index]
        entries = [
            {"index": entry, "value": weight}
            for entry, weight in zip(found.indices.tolist(), found.values.tolist(), strict=True)
        ]
        message: bytes = EmbedSparseResponse(sparse_embeddings=entries).SerializeToString()
        return message


class Tokens:
    """EmbedAll."""

    request = EmbedAllRequest
    free = False
    together = _FEW

    def read(self, message: Any) -> tuple[str, TextOptions]:
        """The text, and how."""
        how = _tokens(message.truncate, message.truncation_direction, optional(message, "prompt_name"))
        return text_of(message), how

    async def ask(self, model: Model, inputs: Sequence[str], options: TextOptions) -> MultiEmbeddings:
        """The states of the tokens."""
        return await model.embed_tokens_inputs(inputs, options)

    def answer(self, made: MultiEmbeddings, index: int) -> bytes:
        """A vector a token."""
        return vectors(made.vectors[index])


def text_of(message: Any) -> str:
    """The field inputs; raises EmptyInput where there is nothing in it."""
    text: str = message.inputs
    if not text:
        msg = "'inputs' is an empty text; there is nothing to compute"
        raise EmptyInput(msg, param="inputs", index=0)
    return text


@remembered
def _dense(
    truncate: bool,  # noqa: FBT001 - as the message has it
    direction: int,
    prompt_name: str | None,
    normalize: bool | None,  # noqa: FBT001
    dimensions: int | None,
) -> EmbedOptions:
    return EmbedOptions(
        prompt_name=prompt_name,
        truncate=truncate,
        truncate_side=side_of(direction),
        dimensions=dimensions,
        normalize=normalize,
    )


@remembered
def _sparse(truncate: bool, direction: int, prompt_name: str | None) -> SparseOptions:  # noqa: FBT001
    return SparseOptions(prompt_name=prompt_name, truncate=truncate, truncate_side=side_of(direction))


@remembered
def _tokens(truncate: bool, direction: int, prompt_name: str | None) -> TextOptions:  # noqa: FBT001
    return TextOptions(prompt_name=prompt_name, truncate=truncate, truncate_side=side_of(direction))
