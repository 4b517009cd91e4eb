"""Loads models when they are asked for, and lets them go again: one load for all who wait, room within limits, leases."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar

from textmill.errors import LoadFailed, ModelNotFound, Overloaded, TextmillError, Unavailable
from textmill.store.shelf import Limits, Place, cooldown, room_for, stale
from textmill.store.threads import in_thread

_log = logging.getLogger("textmill")

_CLOSED = "the server is shutting down and takes no new requests"
_MB = 10**6
LOOK_S = 1.0
"""How often idle models are looked for."""


class Closes(Protocol):
    """What a keeper keeps: a loaded model."""

    def close(self, drain_s: float = ...) -> None:
        """Free its memory; blocks."""
        ...


M = TypeVar("M", bound=Closes)


@dataclass(slots=True, kw_only=True, eq=False)
class Slot(Place, Generic[M]):
    """A model that is known by a name, loaded or not. ``load`` blocks, and raises what `textmill.load` raises.

    ``prepare`` comes before it: it brings what is to be loaded to this machine, blocks, and says how many bytes the model will take,
    0 where it cannot tell; it is ``prepared`` once that has gone well. ``failed`` is told in the loop why a load has failed, before those
    who wait for it are, and whether or not anyone still does. ``most`` requests may use the model at once, None for any number; others
    are told to come back after ``retry_after`` seconds. One that loads ``beside`` others waits for no other load and holds none up,
    and what it takes is not measured: what it waits for is a server elsewhere, or somebody's own code.
    """

    name: str
    load: Callable[[], M]
    prepare: Callable[[], int] | None = None
    prepared: bool = False
    failed: Callable[[BaseException], None] | None = None
    beside: bool = False
    most: int | None = None
    retry_after: float = 1.0
    model: M | None = None
    error: str = ""
    failures: int = 0
    again: float = 0.0
    task: asyncio.Task[M] | None = None
    out: asyncio.Event = field(default_factory=asyncio.Event)


_held: ContextVar[tuple[Slot[Any], ...]] = ContextVar("held", default=())
"""What the request that runs holds already: it may hold it once more, whoever waits for it to leave."""


class Keeper(Generic[M]):
    """The models of a process. For one event loop, but for `add` and `load_now` before it runs.

    ``measure`` says how many bytes the process uses now, and ``trim`` gives freed memory back to the system; both are called
    in threads too. Loads run in threads, as many at once as ``parallel``; one after the other where memory is limited, since
    what two take at the same time cannot be told apart. Slots that are ``beside`` are not counted among them.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        measure: Callable[[], int] = lambda: 0,
        trim: Callable[[], None] = lambda: None,
        parallel: int = 2,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._limits = limits
        self._measure = measure
        self._trim = trim
        self._clock = clock
        self._sleep = sleep
        self._slots: dict[str, Slot[M]] = {}
        self._left: list[Slot[M]] = []
        self._loads = asyncio.Semaphore(parallel if limits.memory is None else 1)
        self._changed = asyncio.Event()
        self._going: set[asyncio.Task[None]] = set()
        self._closed = False
        self._starting = Lock()

    def add(self, slot: Slot[M]) -> None:
        """Know a model; one of the same name before it takes no more requests, and leaves when those it has are done."""
        before = self._slots.get(slot.name)
        slot.loaded = slot.model is not None
        slot.used = self._clock()
        self._slots[slot.name] = slot
        if before is not None:
            self._retire(before)

    def load_now(self, slot: Slot[M]) -> None:
        """Load a model before the loop runs; blocks. Raises LoadFailed where there is no room, and what the load raises.

        Several threads may call it, for one slot each, where memory is not limited.
        """
        if slot.prepare is not None:
            slot.need, slot.prepared = max(slot.need, slot.prepare()), True
        with self._starting:
            if slot.model is not None:
                return
            if not room_for(slot, self._all(), self._measure(), self._limits).fits:
                raise LoadFailed(self._too_large(slot), retry_after=None)
            slot.loading = True
        try:
            before = self._measure()
            slot.model, slot.loaded = slot.load(), True
            slot.need = _measured(slot.need, self._measure() - before)
            slot.used = self._clock()
        finally:
            slot.loading = False

    def forget(self, name: str) -> None:
        """Know it no longer."""
        slot = self._slots.pop(name, None)
        if slot is not None:
            self._retire(slot)

    def slots(self) -> Sequence[Slot[M]]:
        """All that are known, in the order in which they were added."""
        return list(self._slots.values())

    @property
    def loading(self) -> bool:
        """Whether a load is under way."""
        return any(slot.task is not None for slot in self._all())

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[M]:
        """The model of that name, loaded for it if need be; while this lasts it stays. Who holds it may hold it once more.

        Raises ModelNotFound for a name that is not known, LoadFailed where it cannot be loaded or has failed a short time ago,
        Overloaded where as many as may use it do, Unavailable once the keeper is closed.
        """
        slot = next((held for held in _held.get() if self._slots.get(name) is held), None) or await self._free(name)
        _held.set((*_held.get(), slot))
        slot.leases += 1
        try:
            yield slot.model if slot.model is not None else await self._loaded(slot)
        finally:
            slot.leases -= 1
            slot.used = self._clock()
            _held.set(_without(_held.get(), slot))
            self._tell()

    def leaves_in(self, name: str) -> float | None:
        """Seconds after which a model is let go unless somebody asks for it before; None for one that stays. One that is in use has not begun to count."""
        slot = self._find(name)
        if self._limits.idle_s is None or slot.pinned:
            return None
        return max(0.0, self._limits.idle_s - (0.0 if slot.leases else self._clock() - slot.used))

    async def unload(self, name: str, wait_s: float = 30.0) -> bool:
        """Let a model go; false where it was not loaded. Those who use it have ``wait_s`` seconds, then Unavailable is raised.

        It stays known, and loads again when somebody asks for it. Who cancels the call does not stop it halfway.
        """
        task = asyncio.create_task(self._unload(self._find(name), wait_s))
        task.add_done_callback(_look)
        return await asyncio.shield(task)

    async def _unload(self, slot: Slot[M], wait_s: float) -> bool:
        if not slot.loaded and slot.task is None:
            return False
        slot.wanted += 1
        end = self._clock() + wait_s
        try:
            while slot.leases or slot.task is not None or slot.closing:
                if not await self._change(end - self._clock()):
                    msg = f"{slot.name} is still busy after {wait_s:.0f} s; it stays loaded"
                    raise Unavailable(msg)
            await self._evict(slot)
        finally:
            self._unwant(slot)
        return True

    async def run(self) -> None:
        """Let models go that nobody has asked for too long; until cancelled."""
        while True:
            await self._sleep(LOOK_S)
            while idle := stale(
                self.slots(), self._clock(), self._limits
            ):  # anew each time: another may be in use by now
                _log.info("%s was idle for %.0f s; unloading it", idle[0].name, self._limits.idle_s)
                await self._evict(idle[0])

    def close(self) -> list[M]:
        """Lease and load nothing from now on. Any thread may call it; gives the models that are loaded, for it to close."""
        self._closed = True
        return [slot.model for slot in self._all() if slot.model is not None]

    async def _free(self, name: str) -> Slot[M]:
        """The slot of a name, once it takes requests. Raises Overloaded where it has as many as it may have."""
        while (slot := self._find(name)).leaving:
            await slot.out.wait()
        if slot.most is not None and slot.leases >= slot.most:
            msg = f"{slot.name} takes {slot.most} requests at once, and has them; its model file says so under `limits`"
            raise Overloaded(msg, retry_after=slot.retry_after)
        return slot

    def _find(self, name: str) -> Slot[M]:
        if self._closed:
            raise Unavailable(_CLOSED)
        slot = self._slots.get(name)
        if slot is None:
            msg = f"no model {name!r} is known"
            raise ModelNotFound(msg)
        return slot

    async def _loaded(self, slot: Slot[M]) -> M:
        """The model, after the one load that all who ask for it share."""
        if slot.task is None:
            wait = slot.again - self._clock()
            if slot.failures and wait > 0:
                msg = f"{slot.name} could not be loaded: {slot.error}; the next attempt is possible in {wait:.0f} s"
                raise LoadFailed(msg, retry_after=wait)
            slot.task = asyncio.create_task(self._load(slot))
            slot.task.add_done_callback(partial(_told, slot))
        return await asyncio.shield(slot.task)  # who leaves does not end the load of the others

    async def _load(self, slot: Slot[M]) -> M:
        end = self._clock() + self._limits.patience_s
        try:
            if slot.prepare is not None:
                slot.need, slot.prepared = max(slot.need, await in_thread(slot.prepare)), True
            async with nullcontext() if slot.beside else self._loads:  # who waits longest comes first
                await self._make_room(slot, end)
                slot.loading = True
                before = self._measure()
                model = await in_thread(slot.load)
                if not slot.beside:
                    slot.need = _measured(slot.need, self._measure() - before)
        except LoadFailed:
            raise
        except Exception as error:
            raise self._failed(slot, error) from error
        finally:
            slot.loading = False
            slot.task = None
            self._tell()
        if self._closed:
            await in_thread(partial(model.close, 0.0))
            raise Unavailable(_CLOSED)
        slot.model, slot.loaded, slot.failures, slot.error = model, True, 0, ""
        slot.used = self._clock()
        return model

    def _failed(self, slot: Slot[M], error: Exception) -> LoadFailed:
        """Note that a load has failed; what is no error of ours is a bug or the machine's, and only the log has its details."""
        if isinstance(error, TextmillError):
            slot.error = str(error)
            _log.error("%s could not be loaded: %s", slot.name, error)
        else:
            slot.error = "internal error; the server's log has the details"
            _log.error("%s could not be loaded", slot.name, exc_info=error)
        slot.failures += 1
        wait = cooldown(slot.failures)
        slot.again = self._clock() + wait
        return LoadFailed(f"{slot.name} could not be loaded: {slot.error}", retry_after=wait)

    async def _make_room(self, slot: Slot[M], end: float) -> None:
        """Return when the model fits; raises LoadFailed where it never will, or not until then."""
        if not room_for(slot, self._all(), self._measure(), self._limits).fits:
            await in_thread(self._trim)
        wanted: list[Slot[M]] = []
        try:
            while not (room := room_for(slot, self._all(), self._measure(), self._limits)).fits:
                if room.never:
                    soon = self._limits.memory is not None and slot.need <= self._limits.memory
                    raise LoadFailed(self._too_large(slot), retry_after=cooldown(1) if soon else None)
                ours = next((each for each in wanted if each.going and not each.closing), None)
                if (leaves := room.evict or ours) is not None:
                    await self._evict(leaves)
                elif room.want is not None:
                    room.want.wanted += 1
                    wanted.append(room.want)
                elif not await self._change(end - self._clock()):
                    patience = f"{self._limits.patience_s:.0f} s"
                    msg = f"there is no room for {slot.name}: what is loaded has been busy for {patience}; try again"
                    raise LoadFailed(msg, retry_after=1.0)
        finally:
            for each in wanted:
                self._unwant(each)

    def _unwant(self, slot: Slot[M]) -> None:
        """One waits for it to leave no longer."""
        slot.wanted -= 1
        _wake(slot)
        self._tell()

    def _too_large(self, slot: Slot[M]) -> str:
        held = ", ".join(each.name for each in self._all() if each.loaded) or "none"
        rivals = [each for each in self._all() if each is not slot and each.pinned and each.groups & slot.groups]
        if rivals:
            shared = ", ".join(sorted(rivals[0].groups & slot.groups))
            return (
                f"{slot.name} cannot be loaded beside {rivals[0].name}, which stays: both are in the group {shared}, and models of "
                "one of the `concurrency_groups` are never loaded together"
            )
        if self._limits.memory is None:
            return (
                f"{slot.name} cannot be loaded: all {self._limits.loaded} places are taken by models that stay ({held})"
            )
        return (
            f"{slot.name} needs about {slot.need // _MB} MB, and the process uses {self._measure() // _MB} MB of the "
            f"{self._limits.memory // _MB} MB that it may use; no model that is loaded ({held}) can leave. Raise the memory limit."
        )

    def _all(self) -> list[Slot[M]]:
        return [*self._slots.values(), *self._left]

    def _retire(self, slot: Slot[M]) -> None:
        """Let a slot that is known no longer go as soon as nobody uses it."""
        slot.retired = True
        _wake(slot)
        if slot.loaded or slot.task is not None:
            self._left.append(slot)
            task = asyncio.get_running_loop().create_task(self._go(slot))
            self._going.add(task)
            task.add_done_callback(self._going.discard)
            task.add_done_callback(_look)

    async def _go(self, slot: Slot[M]) -> None:
        try:
            while slot.leases or slot.task is not None or slot.closing:
                await self._change()
            await self._evict(slot)
        finally:
            self._left.remove(slot)
            self._tell()

    async def _evict(self, slot: Slot[M]) -> None:
        """Free the memory of a model that nobody uses; it is unknown from now on, or loads again when somebody asks for it."""
        model, slot.model = slot.model, None
        if model is None:
            return  # it has gone, or another is at it
        slot.closing = True
        try:
            await in_thread(partial(model.close, 0.0))
            del model
            await in_thread(self._trim)
        finally:  # nobody must wait for it forever
            slot.loaded = slot.closing = False
            _wake(slot)
            self._tell()

    def _tell(self) -> None:
        """Wake who waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _change(self, seconds: float | None = None) -> bool:
        """Wait until something has changed; false if that took too long."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True


def _without(held: tuple[Slot[Any], ...], slot: Slot[Any]) -> tuple[Slot[Any], ...]:
    """What is held when this one is held once less; a part of a request may have taken it that the rest knows nothing of."""
    place = held.index(slot) if slot in held else len(held)
    return held[:place] + held[place + 1 :]


def _wake(slot: Slot[M]) -> None:
    """Let those who wait for a slot to be out look again."""
    slot.out.set()
    slot.out = asyncio.Event()


def _measured(estimate: int, grown: int) -> int:
    """What a model takes, given how much more the process has used since it began to load; others may have done so too."""
    return min(max(estimate, grown), 2 * estimate) if estimate else max(0, grown)


def _told(slot: Slot[Any], task: asyncio.Task[Any]) -> None:
    """Tell who wants to know that a load has failed."""
    error = None if task.cancelled() else task.exception()
    if error is not None and slot.failed is not None:
        slot.failed(error)


def _look(task: asyncio.Task[Any]) -> None:
    """Take note of a load's error, also where nobody waits for it any more."""
    if not task.cancelled():
        task.exception()
