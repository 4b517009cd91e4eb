"""The store: models by the names that clients use, loaded or not."""

from __future__ import annotations

import asyncio
import difflib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

from textmill.contract import Known, ModelInfo, Task
from textmill.errors import ConfigInvalid, InvalidInput, LoadFailed, ModelNotFound, ModelUnclear
from textmill.store.finding import Finder, NoFinder
from textmill.store.keeper import Keeper, Slot
from textmill.store.served import Served
from textmill.store.shelf import Limits

_log = logging.getLogger("textmill")

_LONG, _SHOWN, _COMPARED = 200, 20, 500
"""Characters of a name, and names, that an answer repeats; names that a misspelt one is compared with."""
_AGAIN_S = 5.0


@dataclass(slots=True)
class _Entry:
    known: Known
    slot: Slot[Served]
    info: ModelInfo | None = None
    """Of the last time that it was loaded."""
    found: bool = False
    """It is known because a request named it; who names none does not mean it."""

    @property
    def came(self) -> bool:
        """Whether it exists, as far as is known: a name that somebody has made up never loads."""
        return not self.found or self.info is not None or self.slot.model is not None

    def fits(self, task: Task | None) -> bool:
        """Whether it can do that, as far as is known."""
        if self.known.refusal is not None or not self.known.listed or self.found:
            return False
        tasks = self.known.tasks if self.info is None else self.info.tasks
        return task is None or not tasks or task in tasks


class Store:
    """Models by name. Those that it is made with are loaded and stay; the first of them is the default.

    For one event loop, but for `add` before it runs, and `close`. Raises ConfigInvalid for two models of one name.
    """

    def __init__(self, models: Sequence[Served] = (), keeper: Keeper[Served] | None = None) -> None:
        self._keeper = keeper or Keeper(Limits())
        self._entries: dict[str, _Entry] = {}
        self._named: dict[str, str] | None = None
        self._finder: Finder = NoFinder()
        self._works: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._default = models[0].info.name if models else None
        for model in models:
            info = model.info
            other = self._entries.get(info.name)
            if other is not None and other.info is not None:
                msg = (
                    f"two models would be called {info.name!r}: {other.info.source} and {info.source}; "
                    "rename one of the folders"
                )
                raise ConfigInvalid(msg)
            known = Known(name=info.name, source=info.source, aliases=info.aliases, tasks=info.tasks)
            self._enter(known, Slot(name=info.name, load=_gone, model=model, pinned=True), info)

    def add(self, known: Known, slot: Slot[Served]) -> None:
        """Know a model that is loaded when it is asked for. One of the same name before it answers the requests that it has, and leaves."""
        self._enter(known, slot, None)

    def call(self, name: str, aliases: tuple[str, ...]) -> None:
        """Find a model by these names too, and by none that it had beside its own before."""
        entry = self._entries[name]
        entry.known = replace(entry.known, aliases=aliases)
        self._named = None

    def describe(self, models: Iterable[Known]) -> None:
        """Have this known of models that are known already; they stay as they are otherwise."""
        for known in models:
            self._entries[known.name].known = known
        self._named = None

    def find_by(self, finder: Finder) -> None:
        """Ask this for models that are not known and that requests name."""
        self._finder = finder

    def load_now(
        self, names: Iterable[str], parallel: int, told: Callable[[str], AbstractContextManager[None]]
    ) -> None:
        """Load models before the store runs, so many at once, each within ``told`` of its name; blocks.

        Raises ModelNotFound, LoadFailed, and what a load raises.
        """
        entries = {entry.known.name: entry for entry in (self._asked(name, None) for name in names)}

        def load(entry: _Entry) -> None:
            with told(entry.known.name):
                self._keeper.load_now(entry.slot)
            entry.info = None if entry.slot.model is None else entry.slot.model.info

        with ThreadPoolExecutor(parallel) as pool:
            list(pool.map(load, entries.values()))
        self._named = None

    def forget(self, name: str) -> None:
        """Know a model no longer; it answers the requests that it has, and leaves."""
        self._drop(name, None)

    @asynccontextmanager
    async def lease(self, name: str | None = None, task: Task | None = None) -> AsyncIterator[Served]:
        """The model of that name, or by its hub id, folder or alias, loaded for it if need be; while this lasts it stays.

        No name means the default: the first that the store was made with, or else the only one that may do the ``task``. Raises
        ModelNotFound, ModelUnclear where several might be meant, LoadFailed, Overloaded, Unavailable.
        """
        entry = self._asked(name, task)
        if entry.known.refusal is not None:  # before another model would make room for it
            msg = f"{entry.known.name} cannot be served: {entry.known.refusal}"
            raise LoadFailed(msg, retry_after=None)
        async with self._leased(entry) as model:
            if entry.info is not model.info:
                entry.info = model.info
                self._named = None
            yield model

    @asynccontextmanager
    async def _leased(self, entry: _Entry) -> AsyncIterator[Served]:
        """The model of an entry. Raises ModelNotFound for one that was looked for and that does not exist, else what the keeper raises."""
        try:
            async with self._keeper.lease(entry.known.name) as model:
                yield model
        except LoadFailed as error:
            if not entry.found or not isinstance(error.__cause__, ModelNotFound):
                raise
            raise error.__cause__ from None

    def names(self) -> Collection[str]:
        """All names by which models are found."""
        return self._names

    def known(self, *, everything: bool = False) -> Sequence[tuple[Known, ModelInfo | None, Served | None]]:
        """All models, the default first: what is known of each, what it said of itself when last loaded, and it itself if it is.

        Those that were looked for only once they have loaded. With ``everything`` those too that answer to their name and are not listed.
        """
        return [
            (entry.known, entry.info, entry.slot.model)
            for entry in self._entries.values()
            if entry.came and (everything or entry.known.listed or entry.slot.model is not None)
        ]

    def memory(self, name: str) -> int:
        """Bytes that a loaded model takes, as far as was seen when it loaded; 0 where nobody knows."""
        slot = self._entry(name, None).slot
        return slot.need if slot.loaded else 0

    def leaves_in(self, name: str) -> float | None:
        """Seconds after which a loaded model leaves unless it is asked before; None for one that stays."""
        return self._keeper.leaves_in(self._entry(name, None).known.name)

    def models(self) -> Sequence[Served]:
        """All models that are loaded, the default first."""
        return [entry.slot.model for entry in self._entries.values() if entry.slot.model is not None]

    @property
    def ready(self) -> bool:
        """Whether every model that is loaded can answer."""
        return all(model.ready for model in self.models())

    @property
    def loading(self) -> bool:
        """Whether a load is under way."""
        return self._keeper.loading

    async def unload(self, name: str) -> bool:
        """Free a model's memory once it is idle; false where it was not loaded.

        Raises ModelNotFound, InvalidInput for one that the store was made with, Unavailable where it stays busy.
        """
        entry = self._entry(name, None)
        if entry.slot.load is _gone:
            msg = f"{entry.known.name} was given to the server at its start, and stays as long as it runs"
            raise InvalidInput(msg, param="model")
        return await self._keeper.unload(entry.known.name)

    def also(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do this too while the store runs."""
        self._works.append(work)

    async def run(self) -> None:
        """Let idle models go, and do what else there is to do; until cancelled."""
        async with asyncio.TaskGroup() as group:
            for work in (self._keeper.run, *self._works):
                group.create_task(_lasting(work))

    def close(self, drain_s: float = 10.0) -> None:
        """Close all models at the same time, each with the same deadline in seconds."""
        models = self._keeper.close()
        if models:
            with ThreadPoolExecutor(len(models)) as pool:
                list(pool.map(lambda model: model.close(drain_s), models))

    def _lost(self, entry: _Entry, error: BaseException) -> None:
        """Know a model no longer that was looked for, where it does not exist or never came: others need the place."""
        why = error.__cause__ if isinstance(error.__cause__, ModelNotFound) else error
        name = entry.known.name
        if self._entries.get(name) is entry and (why is not error or not entry.slot.prepared):
            self._drop(name, why)

    def _drop(self, name: str, why: BaseException | None) -> None:
        entry = self._entries.pop(name, None)
        self._keeper.forget(name)
        self._named = None
        if entry is not None and entry.found:
            self._finder.forget(name, why)

    def _enter(self, known: Known, slot: Slot[Served], info: ModelInfo | None) -> None:
        before = self._entries.get(known.name)
        if before is not None and before.found:
            self._finder.forget(known.name)
        self._keeper.add(slot)
        self._entries[known.name] = _Entry(known, slot, info)
        self._named = None

    @property
    def _names(self) -> Mapping[str, str]:
        """Models by their names first, then by their other names, those known first before those known later."""
        if self._named is None:
            self._named = {name: name for name in self._entries}
            for name, entry in self._entries.items():
                for alias in (*entry.known.aliases, *(() if entry.info is None else entry.info.aliases)):
                    self._named.setdefault(alias, name)
        return self._named

    def _asked(self, name: str | None, task: Task | None) -> _Entry:
        """What a request means, after a look for a model that is not known."""
        if name and name not in self._names and (found := self._finder.find(name)) is not None:
            self.add(found.known, found.slot)
            entry = self._entries[found.known.name]
            entry.found = True
            found.slot.failed = partial(self._lost, entry)
        return self._entry(name, task)

    def _entry(self, name: str | None, task: Task | None) -> _Entry:
        if not name:
            return self._entries[self._default] if self._default is not None else self._only(task)
        found = self._names.get(name)
        if found is None:
            near = self._near(name)
            hint = f"; did you mean {near!r}?" if near else ""
            found = self._finder.hint(name) if len(name) <= _LONG else ""
            msg = f"no model {_short(name)!r} is known; there is {self._listed()}{hint}{found}"
            raise ModelNotFound(msg)
        return self._entries[found]

    def _only(self, task: Task | None) -> _Entry:
        """The only model that may do that."""
        fitting = [entry for entry in self._entries.values() if entry.fits(task)]
        if len(fitting) == 1:
            return fitting[0]
        does = "" if task is None else f" that does {task}"
        if not fitting:
            msg = f"there is no model{does}; there is {self._listed()}"
            raise ModelNotFound(msg)
        names = _some([entry.known.name for entry in fitting])
        msg = f"the request names no model, and several might be meant: {names}; set 'model' to one of them"
        raise ModelUnclear(msg, param="model")

    def _listed(self) -> str:
        return _some([name for name, entry in self._entries.items() if entry.known.listed and entry.came])

    def _near(self, name: str) -> str:
        """The name that is nearest to a misspelt one, be it but for Ollama's tag; paths are nobody's business, and a long name is not misspelt."""
        if len(name) > _LONG:
            return ""
        names = [known for known in self._names if not known.startswith(("/", ".", "~"))]
        tagged = (each for each in (name.rpartition(":")[0], f"{name}:latest") if each in names)
        return next(chain(tagged, difflib.get_close_matches(name, names[:_COMPARED], n=1)), "")


def _some(names: Sequence[str]) -> str:
    """The first of these names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more or "none"


def _short(name: str) -> str:
    return name if len(name) <= _LONG else f"{name[:_LONG]}…"


async def _lasting(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do it for as long as the store runs: what it stumbles over goes into the log, and it begins again."""
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001 - whatever it is, requests are answered as before
            _log.exception("work beside the requests failed; it is begun again in %.0f s", _AGAIN_S)
        else:
            return
        await asyncio.sleep(_AGAIN_S)


def _gone() -> Served:
    msg = "it was given loaded, and has been unloaded; only a restart brings it back"
    raise LoadFailed(msg, retry_after=None)
