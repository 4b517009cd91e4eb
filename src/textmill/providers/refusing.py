"""The verbs of a model that a provider runs, each refused; a provider's model has those that it can do in their place."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import NoReturn

from textmill.contract import (
    ChatOptions,
    ChunkOptions,
    Chunks,
    Classifications,
    ClassifyOptions,
    CompleteOptions,
    Embeddings,
    EmbedOptions,
    Event,
    Input,
    Message,
    ModelInfo,
    MultiEmbeddings,
    Pair,
    RerankOptions,
    Scores,
    SparseEmbeddings,
    SparseOptions,
    Task,
    TextOptions,
    Token,
    TokenizeOptions,
    ZeroShotOptions,
)
from textmill.errors import WrongTask


class RefusesAll:
    """Raises WrongTask for every verb, with those that ``info`` names."""

    info: ModelInfo

    async def embed_inputs(self, inputs: Sequence[Input], options: EmbedOptions) -> Embeddings:
        """Refused."""
        del inputs, options
        self._refuse("embed")

    async def embed_chunks_inputs(self, inputs: Sequence[str], options: ChunkOptions) -> Chunks:
        """Refused."""
        del inputs, options
        self._refuse("embed_chunks")

    async def embed_sparse_inputs(self, inputs: Sequence[Input], options: SparseOptions) -> SparseEmbeddings:
        """Refused."""
        del inputs, options
        self._refuse("embed_sparse")

    async def embed_tokens_inputs(self, inputs: Sequence[Input], options: TextOptions) -> MultiEmbeddings:
        """Refused."""
        del inputs, options
        self._refuse("embed_tokens")

    async def classify_inputs(self, inputs: Sequence[Input | Pair], options: ClassifyOptions) -> Classifications:
        """Refused."""
        del inputs, options
        self._refuse("classify")

    async def classify_zero_shot_inputs(
        self, inputs: Sequence[str], labels: Sequence[str], options: ZeroShotOptions
    ) -> Classifications:
        """Refused."""
        del inputs, labels, options
        self._refuse("classify_zero_shot")

    async def rerank_inputs(self, query: str, texts: Sequence[str], options: RerankOptions) -> Scores:
        """Refused."""
        del query, texts, options
        self._refuse("rerank")

    async def tokenize_inputs(self, inputs: Sequence[str], options: TokenizeOptions) -> tuple[tuple[Token, ...], ...]:
        """Refused."""
        del inputs, options
        self._refuse("tokenize")

    async def decode_inputs(self, inputs: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> tuple[str, ...]:
        """Refused."""
        del inputs, skip_special_tokens
        self._refuse("decode")

    def chat(self, messages: Sequence[Message], options: ChatOptions) -> AsyncGenerator[Event]:
        """Refused."""
        del messages, options
        self._refuse("chat")

    def complete(self, prompt: str | Sequence[int], options: CompleteOptions) -> AsyncGenerator[Event]:
        """Refused."""
        del prompt, options
        self._refuse("complete")

    def _refuse(self, verb: str) -> NoReturn:
        msg = f"{self.info.name} cannot {verb}; it can {', '.join(self.info.tasks) or 'nothing'}"
        raise WrongTask(msg)

    def _need(self, task: Task) -> None:
        """Raise WrongTask unless the model does that."""
        if task not in self.info.tasks:
            self._refuse(task)
