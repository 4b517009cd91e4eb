"""The verbs over texts: one Protocol each. What they take and give is in `textmill.contract.texts`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from textmill.contract.texts import (
    ChunkOptions,
    Chunks,
    Classifications,
    ClassifyOptions,
    Embeddings,
    EmbedOptions,
    Entities,
    HybridEmbeddings,
    Input,
    MultiEmbeddings,
    MultiOptions,
    Pair,
    RerankOptions,
    Scores,
    SparseEmbeddings,
    SparseOptions,
    TextOptions,
    Token,
    TokenizeOptions,
    ZeroShotOptions,
)


class Embed(Protocol):
    """A model that turns inputs into one dense vector each.

    Every verb raises WrongTask where the model cannot do it, InvalidInput, Overloaded, Unavailable or ForwardFailed.
    Cancelling a call withdraws the rows that have not started.
    """

    async def embed_inputs(self, inputs: Sequence[Input], options: EmbedOptions) -> Embeddings:
        """Embed the inputs."""
        ...


class EmbedChunks(Protocol):
    """A model that gives a vector for each chunk of a text."""

    async def embed_chunks_inputs(self, inputs: Sequence[str], options: ChunkOptions) -> Chunks:
        """Embed the inputs."""
        ...


class EmbedSparse(Protocol):
    """A model that weighs the vocabulary's entries for each input."""

    async def embed_sparse_inputs(self, inputs: Sequence[Input], options: SparseOptions) -> SparseEmbeddings:
        """Embed the inputs."""
        ...


class EmbedMulti(Protocol):
    """A model that makes several vectors of each input, for late interaction."""

    async def embed_multi_inputs(self, inputs: Sequence[Input], options: MultiOptions) -> MultiEmbeddings:
        """Embed the inputs."""
        ...


class EmbedHybrid(Protocol):
    """A model that makes dense, sparse and multi-vector embeddings in one pass."""

    async def embed_hybrid_inputs(self, inputs: Sequence[Input], options: EmbedOptions) -> HybridEmbeddings:
        """Embed the inputs."""
        ...


class EmbedTokens(Protocol):
    """A model that gives the states of an input's tokens, before any pooling."""

    async def embed_tokens_inputs(self, inputs: Sequence[Input], options: TextOptions) -> MultiEmbeddings:
        """Embed the inputs."""
        ...


class Classify(Protocol):
    """A model that scores labels for each text, or for each pair of texts."""

    async def classify_inputs(self, inputs: Sequence[Input | Pair], options: ClassifyOptions) -> Classifications:
        """Classify the inputs."""
        ...


class ClassifyTokens(Protocol):
    """A model that finds labelled stretches in texts."""

    async def classify_tokens_inputs(self, inputs: Sequence[str], options: TextOptions) -> Entities:
        """Find the entities."""
        ...


class ClassifyZeroShot(Protocol):
    """A model that scores the caller's own labels for each text."""

    async def classify_zero_shot_inputs(
        self, inputs: Sequence[str], labels: Sequence[str], options: ZeroShotOptions
    ) -> Classifications:
        """Classify the inputs by these labels."""
        ...


class Rerank(Protocol):
    """A model that scores how relevant texts are to a query."""

    async def rerank_inputs(self, query: str, texts: Sequence[str], options: RerankOptions) -> Scores:
        """Score the texts."""
        ...


class Tokenize(Protocol):
    """A model that says what tokens it makes of texts, and what texts ids stand for. Nothing is computed, nothing waits in line."""

    async def tokenize_inputs(self, inputs: Sequence[str], options: TokenizeOptions) -> tuple[tuple[Token, ...], ...]:
        """The tokens of each text, never cut. Raises InvalidInput."""
        ...

    async def decode_inputs(self, inputs: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> tuple[str, ...]:
        """The text of each list of ids. Raises EmptyInput or InvalidInput."""
        ...
