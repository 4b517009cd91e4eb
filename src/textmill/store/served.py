"""What the store asks of a model, whoever runs it."""

from __future__ import annotations

from typing import Protocol

from textmill.contract import (
    Chat,
    Classify,
    ClassifyZeroShot,
    Complete,
    Embed,
    EmbedChunks,
    EmbedSparse,
    EmbedTokens,
    ModelInfo,
    Rerank,
    Tokenize,
)


class Served(
    Embed,
    EmbedChunks,
    EmbedSparse,
    EmbedTokens,
    Classify,
    ClassifyZeroShot,
    Rerank,
    Tokenize,
    Chat,
    Complete,
    Protocol,
):
    """A model that is loaded: `textmill.store.model.Model` is one, and so is each provider's."""

    info: ModelInfo

    @property
    def ready(self) -> bool:
        """Whether it can answer."""
        ...

    @property
    def waiting(self) -> tuple[int, int]:
        """Rows and tokens in line."""
        ...

    def close(self, drain_s: float = ...) -> None:
        """Finish what is under way for at most ``drain_s`` seconds, free the memory; blocks."""
        ...
