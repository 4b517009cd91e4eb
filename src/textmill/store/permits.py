"""Who may begin: requests under way, over all dialects, and whether the process is leaving."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from textmill.errors import Overloaded, Unavailable

_RETRY_S = 1.0


class NoPlace(Overloaded):
    """As many requests compute as may at once; no model was asked."""


class Permits:
    """Counts what is under way. For one event loop; not thread-safe.

    ``limit`` bounds the requests that compute at the same time; None leaves it to the engine, which counts tokens.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._computing = 0
        self._under_way = 0
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def draining(self) -> bool:
        """Whether the process is about to leave: what is under way ends, and nothing else begins."""
        return self._draining

    @property
    def under_way(self) -> int:
        """Requests that have begun and not ended, those included whose body is still on its way."""
        return self._under_way

    def drain(self) -> None:
        """Let nothing begin from now on."""
        self._draining = True

    async def wait_until_idle(self) -> None:
        """Wait until nothing is under way."""
        await self._idle.wait()

    @contextmanager
    def begin(self) -> Iterator[None]:
        """Hold the process for a request, from its head to its answer. Raises Unavailable while it drains."""
        if self._draining:
            msg = "the server is shutting down and takes no new requests"
            raise Unavailable(msg)
        self._under_way += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    @contextmanager
    def compute(self) -> Iterator[None]:
        """Take one of the ``limit`` places. Raises NoPlace where none is free."""
        if self._limit is not None and self._computing >= self._limit:
            msg = f"{self._computing} requests are under way, as many as the server takes; try again in a second"
            raise NoPlace(msg, retry_after=_RETRY_S)
        self._computing += 1
        try:
            yield
        finally:
            self._computing -= 1
