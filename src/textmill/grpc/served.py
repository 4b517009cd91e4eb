"""What the rpcs ask of models and of the store."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from textmill.contract import Classify, Embed, EmbedSparse, EmbedTokens, Known, ModelInfo, Rerank, Task, Tokenize


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
        """Whether every model that is loaded can answer."""
        ...

    def lease(self, name: str | None = None, task: Task | None = None) -> AbstractAsyncContextManager[Model]:
        """The model of that name, loaded if need be, for as long as the context lasts; no name means the default for the task.

        Raises ModelNotFound, ModelUnclear, LoadFailed, Unavailable.
        """
        ...

    def known(self) -> Sequence[tuple[Known, ModelInfo | None, Model | None]]:
        """All models, the default first: what is known of each, what it said when last loaded, and it itself where it is."""
        ...
