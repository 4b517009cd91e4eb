"""Closed-loop load: each client asks again as soon as it is answered, until the time is over.

Every request that was sent is waited for, and the clock stops at the last answer; so the rate is right for slow contenders
too, and no answer is thrown away.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """``requests`` are taken in turn and again from the start; ``seconds`` is how long clients go on asking."""

    requests: Sequence[Sequence[str]]
    clients: int
    seconds: float


@dataclass(frozen=True)
class Run:
    """What came of a load. The first ``len(milliseconds)`` requests of the cycle were answered.

    ``client_seconds`` is the CPU time of the load generator where that is a process of its own.
    """

    seconds: float
    milliseconds: list[float]
    client: str
    client_seconds: float | None = None


def in_threads(embed: Callable[[Sequence[str]], object], load: Load, *, at_once: int) -> Run:
    """Clients are threads, and at most ``at_once`` of them call at the same time.

    A library without an engine computes each call on its own. How many calls side by side it does best with is for its
    contender to say; more than that only fight for the cores.
    """
    numbers = itertools.count()
    milliseconds: list[float] = []
    begin = time.perf_counter()

    def client(call: Callable[[Sequence[str]], object]) -> None:
        while (asked := time.perf_counter()) - begin < load.seconds:
            call(load.requests[next(numbers) % len(load.requests)])
            milliseconds.append((time.perf_counter() - asked) * 1e3)

    with ThreadPoolExecutor(at_once) as callers, ThreadPoolExecutor(load.clients) as pool:

        def queued(texts: Sequence[str]) -> object:
            """Whoever came first is served first, which a lock does not promise."""
            return callers.submit(embed, texts).result()

        call = embed if load.clients <= at_once else queued
        for done in [pool.submit(client, call) for _ in range(load.clients)]:
            done.result()
    return Run(time.perf_counter() - begin, milliseconds, "threads")


async def in_tasks(
    count: int, ask: Callable[[int], Awaitable[object]], *, clients: int, seconds: float, client: str
) -> Run:
    """Clients are tasks on one event loop; ``ask`` is called with the number of a request in a cycle of ``count``."""
    numbers = itertools.cycle(range(count))
    milliseconds: list[float] = []
    begin = time.perf_counter()
    await asyncio.gather(*(_task(numbers, ask, milliseconds, begin + seconds) for _ in range(clients)))
    return Run(time.perf_counter() - begin, milliseconds, client)


async def _task(
    numbers: Iterator[int], ask: Callable[[int], Awaitable[object]], milliseconds: list[float], end: float
) -> None:
    while (asked := time.perf_counter()) < end:
        await ask(next(numbers))
        milliseconds.append((time.perf_counter() - asked) * 1e3)
