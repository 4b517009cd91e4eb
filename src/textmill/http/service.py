"""What the routes share: the store, the options, the metrics, the keys, the permits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from textmill.contract import (
    Answered,
    Classify,
    Embed,
    EmbedChunks,
    EmbedSparse,
    EmbedTokens,
    ModelInfo,
    Rerank,
    Tokenize,
)
from textmill.http.keys import Keys
from textmill.http.settings import HttpSettings
from textmill.store.permits import Permits
from textmill.telemetry import Telemetry

A = TypeVar("A", bound=Answered)


class Model(Embed, EmbedChunks, EmbedSparse, EmbedTokens, Classify, Rerank, Tokenize, Protocol):
    """What routes ask of a loaded model; `textmill.store.model.Model` is one."""

    @property
    def info(self) -> ModelInfo:
        """What the model is."""
        ...

    @property
    def ready(self) -> bool:
        """Whether it can answer."""
        ...

    @property
    def waiting(self) -> tuple[int, int]:
        """Rows and tokens in line."""
        ...


class Store(Protocol):
    """What routes ask of the store; `textmill.store.store.Store` is one."""

    @property
    def ready(self) -> bool:
        """Whether every model can answer."""
        ...

    def get(self, name: str | None) -> Model:
        """The model of that name; None or an empty name means the default. Raises ModelNotFound."""
        ...

    def models(self) -> Sequence[Model]:
        """All models, the default first."""
        ...

    def close(self, drain_s: float) -> None:
        """Finish what waits for at most ``drain_s`` seconds; blocks."""
        ...


class Service:
    """The app's parts, for its routes."""

    def __init__(self, store: Store, settings: HttpSettings, telemetry: Telemetry, permits: Permits) -> None:
        self.store = store
        self.permits = permits
        self.settings = settings
        self.telemetry = telemetry
        telemetry.watch(store.models)
        self.keys = Keys(settings.api_keys)

    def count(self, model: Model, made: A) -> A:
        """Count what a call computed; returns it."""
        self.telemetry.observe_answer(model.info.name, made)
        return made
