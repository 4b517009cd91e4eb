"""What the rpcs ask of models and of the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from textmill.contract import Classify, Embed, EmbedSparse, EmbedTokens, ModelInfo, Rerank, Tokenize


class Model(Embed, EmbedSparse, EmbedTokens, Classify, Rerank, Tokenize, Protocol):
    """What rpcs ask of a loaded model; `textmill.store.model.Model` is one."""

    @property
    def info(self) -> ModelInfo:
        """What the model is."""
        ...

    @property
    def ready(self) -> bool:
        """Whether it can answer."""
        ...


class Store(Protocol):
    """What rpcs ask of the store; `textmill.store.store.Store` is one."""

    @property
    def ready(self) -> bool:
        """Whether every model can answer."""
        ...

    def get(self, name: str | None) -> Model:
        """The model of that name; None means the default. Raises ModelNotFound."""
        ...

    def models(self) -> Sequence[Model]:
        """All models, the default first."""
        ...
