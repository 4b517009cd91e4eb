"""Models that are not there, for tests of who is loaded and who leaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

from textmill.store.keeper import Keeper, Slot
from textmill.store.shelf import Limits

MB = 10**6
T = TypeVar("T")


class Fake:
    """A model that takes memory of a `World` until it is closed."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name, self.closed = world, name, False
        world.used += world.each
        world.alive.append(name)

    def close(self, drain_s: float = 10.0) -> None:
        del drain_s
        assert not self.closed
        self.closed = True
        self.world.used -= self.world.each
        self.world.alive.remove(self.name)


class World:
    """Memory, time, and what is loaded."""

    def __init__(self) -> None:
        self.used, self.each, self.now = 0, 10 * MB, 0.0
        self.alive: list[str] = []
        self.loads: list[str] = []
        self.most = 0
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def keeper(self, limits: Limits | None = None, **options: object) -> Keeper[Fake]:
        return Keeper(limits or Limits(), measure=lambda: self.used, clock=lambda: self.now, **options)  # type: ignore[arg-type]

    def slot(self, name: str, *, pinned: bool = False, **more: Any) -> Slot[Fake]:
        def load() -> Fake:
            self.loads.append(name)
            assert self.gate.wait(10)
            if self.error is not None:
                raise self.error
            made = Fake(self, name)
            self.most = max(self.most, len(self.alive))
            return made

        return Slot(name=name, load=load, pinned=pinned, need=self.each, **more)


async def until(true: Callable[[], bool]) -> None:
    for _ in range(2000):
        if true():
            return
        await asyncio.sleep(0.001)
    raise AssertionError


def apart(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Another request's work: it holds nothing yet."""
    return asyncio.create_task(work, context=Context())


async def use(keeper: Keeper[Fake], name: str) -> str:
    async with keeper.lease(name) as model:
        assert not model.closed
        return model.name
