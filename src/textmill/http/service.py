"""What the routes share: the store, the options, the metrics, the keys, the permits."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, ParamSpec, Protocol, Self, TypeVar

from starlette.types import Scope

from textmill.contract import (
    Answered,
    Chat,
    Classify,
    ClassifyZeroShot,
    Complete,
    Embed,
    EmbedChunks,
    EmbedSparse,
    EmbedTokens,
    Kind,
    Known,
    ModelInfo,
    Rerank,
    Task,
    Tokenize,
)
from textmill.errors import ModelNotFound
from textmill.http.address import base_url, query_of
from textmill.http.failures import Failure, WrongShape, failure
from textmill.http.inputs import ForeignTokens
from textmill.http.keys import bearer
from textmill.http.model_name import parted, said
from textmill.http.rights import Right, Rights
from textmill.http.settings import HttpSettings
from textmill.store.permits import Permits
from textmill.telemetry import Telemetry
from textmill.telemetry.tei import Form

if TYPE_CHECKING:
    from textmill.gallery.entry import Source
    from textmill.gallery.gallery import Available
    from textmill.gallery.record import Record
    from textmill.gallery.wish import Wish
    from textmill.http.operation import Dialect

A = TypeVar("A", bound=Answered)
P = ParamSpec("P")

_log = logging.getLogger(__name__)

_NAMING = ("deployment", "repository", "id")
"""Parameters of paths that name the model whatever a body says: Azure's and Hugging Face's words for it."""


class Model(
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
        """Whether every model that is loaded can answer."""
        ...

    def lease(self, name: str | None = None, task: Task | None = None) -> AbstractAsyncContextManager[Model]:
        """The model of that name, loaded if need be, for as long as the context lasts; no name means the default for the task.

        Raises ModelNotFound, ModelUnclear, LoadFailed, Unavailable.
        """
        ...

    def names(self) -> Collection[str]:
        """All names by which models are found."""
        ...

    async def unload(self, name: str) -> bool:
        """Free a model's memory once it is idle; false where it was not loaded.

        Raises ModelNotFound, InvalidInput for one that stays, Unavailable where it stays busy.
        """
        ...

    async def run(self) -> None:
        """Do what a store does by itself; until cancelled."""
        ...

    def known(self, *, everything: bool = False) -> Sequence[tuple[Known, ModelInfo | None, Model | None]]:
        """All models, the default first: what is known of each, what it said when last loaded, and it itself where it is.

        With ``everything`` those too that answer to their name and are not listed.
        """
        ...

    def memory(self, name: str) -> int:
        """Bytes that a loaded model takes, as far as was seen when it loaded; 0 where nobody knows."""
        ...

    def leaves_in(self, name: str) -> float | None:
        """Seconds after which a loaded model leaves unless it is asked before; None for one that stays."""
        ...

    def models(self) -> Sequence[Model]:
        """All models that are loaded, the default first."""
        ...

    def close(self, drain_s: float) -> None:
        """Finish what waits for at most ``drain_s`` seconds; blocks."""
        ...


class Installer(Protocol):
    """What installs and deletes models while the server runs; `textmill.gallery.installer.Installer` is one. All may block."""

    @property
    def sources(self) -> Sequence[Source]:
        """The galleries."""
        ...

    def available(self) -> Sequence[Available]:
        """What the galleries have."""
        ...

    def submit(self, wish: Wish) -> str:
        """Begin a wish; its job's id. Raises InvalidInput."""
        ...

    def record(self, key: str) -> Record:
        """How a job is, at once; raises ModelNotFound."""
        ...

    def records(self) -> Mapping[str, Record]:
        """All jobs."""
        ...

    def cancel(self, key: str) -> Record:
        """Stop a job; raises ModelNotFound."""
        ...

    def resume(self) -> None:
        """Begin, with the jobs that an earlier process has not ended."""
        ...

    def close(self) -> None:
        """Stop what runs."""
        ...


class Service:
    """The app's parts, for its routes."""

    def __init__(
        self,
        store: Store,
        settings: HttpSettings,
        telemetry: Telemetry,
        permits: Permits,
        installer: Installer | None = None,
        texts: ForeignTokens | None = None,
    ) -> None:
        self.store = store
        self.texts = texts
        self.installer = installer
        # One thread: galleries that do not answer must not take those that others need.
        self.galleries = ThreadPoolExecutor(1, "galleries")
        self.permits = permits
        self.settings = settings
        self.telemetry = telemetry
        telemetry.watch(store.models)
        self.rights = Rights(settings)
        self._chosen: str | None = None
        self._held = AsyncExitStack()
        self._scope: Scope = {}
        self.form: Form | None = None
        self._permitted = False

    def asked(self, held: AsyncExitStack, scope: Scope) -> Self:
        """The same for one request, which holds its models as long as ``held`` is open; its path may name one, whatever its body says."""
        one = copy.copy(self)
        chosen = scope.get("textmill.chosen") or next(
            filter(None, map(scope.get("path_params", {}).get, _NAMING)), None
        )
        one._held, one._scope, one._chosen = held, scope, chosen  # noqa: SLF001 - a copy
        return one

    def in_path(self, parameter: str) -> str:
        """What the request's path has for one of its parameters; empty where it has none of that name."""
        found: str = self._scope.get("path_params", {}).get(parameter, "")
        return found

    async def model(self, named: str | None = None, task: Task | None = None) -> Model:
        """The model that a request means, loaded if need be.

        It is the one below whose `/m/MODEL` the path is, or that a path of Azure's or Hugging Face's names; else that which the body names; else that of the path, then of the query;
        where no keys are set, the one whose name the bearer token is; else the default for the task.
        It stays until the request is done, which counts as begun from now on. Raises ModelNotFound, ModelUnclear, LoadFailed,
        Unavailable.
        """
        model = await self.look(named, task)
        if self.form is not None and "textmill.form" not in self._scope:
            self._scope["textmill.form"] = self.form
            self.telemetry.observe_entry(self.form)
        return model

    async def sided(self, named: str | None = None, task: Task | None = None) -> tuple[Model, Kind | None]:
        """`model`, by a name that may end in a side of a search as `parted` has it, and that side."""
        known = self.store.names()
        name, side = parted(self._chosen or said(named) or self._addressed(), known)
        if self._chosen is None:
            return await self.model(named if side is None else name, task), side
        if side is None:  # the path says which model, and the body may say the side behind the same name
            also, beside = parted(named, known)
            side = beside if also == name else None
        one = copy.copy(self)
        one._chosen = name  # noqa: SLF001 - a copy
        return await one.model(None, task), side

    async def look(self, named: str | None = None, task: Task | None = None) -> Model:
        """`model`, for a request of which it is not known yet whether it can be read."""
        if self._chosen is not None:
            return await self._lease(self._chosen, task)
        named = said(named) or self._addressed()
        try:
            return await self._lease(named, task)
        except ModelNotFound:
            if not (named and self.settings.any_model_name):
                raise
            _log.warning("no model is called %r; the default answers", named)
            return await self._lease(None, task)

    def _addressed(self) -> str | None:
        """The model that the request names beside its body."""
        named: str = self._scope.get("path_params", {}).get("model") or query_of(self._scope).get("model", "")
        if named or self.settings.api_keys:
            return named or None
        token = bearer(self._scope.get("headers", ()))
        return token if token and token in self.store.names() else None

    async def _lease(self, name: str | None, task: Task | None) -> Model:
        return await self._held.enter_async_context(self.store.lease(name, task))

    def known(self, *, everything: bool = False) -> Sequence[tuple[Known, ModelInfo | None, Model | None]]:
        """All models, the default first; only that below whose `/m/MODEL` the path is where it is. Raises ModelNotFound."""
        return self.store.known(everything=everything) if self._chosen is None else [self.find(self._chosen)]

    def find(self, name: str) -> tuple[Known, ModelInfo | None, Model | None]:
        """What is known of a model, by any of its names, its own before others' aliases. Raises ModelNotFound."""
        known = self.store.known(everything=True)
        found = next((each for each in known if each[0].name == name), None) or next(
            (each for each in known if name in _names(*each[:2])), None
        )
        if found is None:
            msg = f"no model {name!r} is known; GET /v1/models lists those that are"
            raise ModelNotFound(msg)
        return found

    def find_named(self, name: str | None) -> tuple[Known, ModelInfo | None, Model | None]:
        """`find` for what a request names: the one below whose `/m/MODEL` the path is comes first. Raises WrongShape for no name."""
        name = self._chosen or name
        if not name:
            msg = "the field 'model' is missing"
            raise WrongShape(msg, param="model")
        return self.find(name)

    def allow(self, right: Right) -> None:
        """Have a request do more than its route asks a right for. Raises Unauthorised or Forbidden."""
        self.rights.check(right, self._scope["method"], self._scope["headers"])

    @property
    def base_url(self) -> str:
        """The server's URL as the client sees it."""
        return base_url(self._scope)

    async def compute(self, model: Model, verb: Callable[P, Awaitable[A]], *given: P.args, **options: P.kwargs) -> A:
        """Have a model compute, as one of those that may do so at once, and count what it did. Raises Overloaded."""
        with self.place():
            started = time.perf_counter()
            made = await verb(*given, **options)
        self.telemetry.observe_answer(model.info.name, made, time.perf_counter() - started)
        return made

    def place(self) -> AbstractContextManager[None]:
        """One of the places of those that may compute at once; the request's own where it holds one. Raises Overloaded."""
        return nullcontext() if self._permitted else self.permits.compute()

    def note(self, model: Model) -> None:
        """Have metrics know which model answers a request whose answer comes bit by bit."""
        self._scope["textmill.model"] = model.info.name

    def speak(self, dialect: Dialect) -> None:
        """Have errors of this request answered in another dialect than its operation's."""
        self._scope["textmill.dialect"] = dialect

    @property
    def headers(self) -> Iterable[tuple[bytes, bytes]]:
        """The request's headers, as ASGI has them."""
        found: Iterable[tuple[bytes, bytes]] = self._scope["headers"]
        return found

    def refuse(self, error: Exception) -> Failure:
        """What to say about an error."""
        return failure(error, self.settings.tei_compat, tei_only=self.settings.as_tei)

    @contextmanager
    def computing(self, model: Model) -> Iterator[Self]:
        """Hold one place for all that the yielded copy computes, by this model. Raises Overloaded."""
        with self.permits.compute():
            permitted = copy.copy(self)
            permitted._permitted, permitted._chosen = True, model.info.name  # noqa: SLF001 - a copy of this object
            yield permitted


def _names(known: Known, info: ModelInfo | None) -> tuple[str, ...]:
    return (known.name, *known.aliases, *(() if info is None else info.aliases))
