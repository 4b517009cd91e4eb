"""What the routes share: the store, the options, the metrics, the keys, the permits."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import ParamSpec, Protocol, Self, TypeVar

from textmill.contract import (
    Answered,
    Classify,
    ClassifyZeroShot,
    Embed,
    EmbedChunks,
    EmbedSparse,
    EmbedTokens,
    ModelInfo,
    Rerank,
    Tokenize,
)
from textmill.errors import ModelNotFound
from textmill.http.keys import Keys
from textmill.http.settings import HttpSettings
from textmill.store.permits import Permits
from textmill.telemetry import Telemetry

A = TypeVar("A", bound=Answered)
P = ParamSpec("P")

_log = logging.getLogger(__name__)


class Model(Embed, EmbedChunks, EmbedSparse, EmbedTokens, Classify, ClassifyZeroShot, Rerank, Tokenize, Protocol):
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
        self._chosen: str | None = None
        self._permitted = False

    def choosing(self, name: str | None) -> Self:
        """The same for a request whose path names a model, whatever its body says."""
        if name is None:
            return self
        chosen = copy.copy(self)
        chosen._chosen = name  # noqa: SLF001 - a copy of this object
        return chosen

    def model(self, named: str | None = None) -> Model:
        """The model that the path names, else the one that the body names, else the default. Raises ModelNotFound."""
        if self._chosen is not None:
            return self.store.get(self._chosen)
        try:
            return self.store.get(named)
        except ModelNotFound:
            if not self.settings.any_model_name:
                raise
            _log.warning("no model is called %r; the default answers", named)
            return self.store.get(None)

    def models(self) -> Sequence[Model]:
        """All models, the default first; only that which the path names where it does."""
        return self.store.models() if self._chosen is None else [self.model()]

    async def compute(self, model: Model, verb: Callable[P, Awaitable[A]], *given: P.args, **options: P.kwargs) -> A:
        """Have a model compute, as one of those that may do so at once, and count what it did. Raises Overloaded."""
        with nullcontext() if self._permitted else self.permits.compute():
            started = time.perf_counter()
            made = await verb(*given, **options)
        self.telemetry.observe_answer(model.info.name, made, time.perf_counter() - started)
        return made

    @contextmanager
    def computing(self) -> Iterator[Self]:
        """Hold one place for all that the yielded copy computes. Raises Overloaded."""
        with self.permits.compute():
            permitted = copy.copy(self)
            permitted._permitted = True  # noqa: SLF001 - a copy of this object
            yield permitted
