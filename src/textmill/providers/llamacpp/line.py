"""The line in front of a process: so many requests at once, the others wait here, where they are counted and can leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textmill.errors import Overloaded

AHEAD = 2
"""Requests that the process has beside those that it computes, so that a slot which becomes free has work at once."""
MOST = 1 << 12
"""Requests that may wait."""
_RETRY_S = 5.0


class Line:
    """The line of a model with so many slots, for one event loop. ``places`` is how many requests the process has at most."""

    def __init__(self, name: str, slots: int, most: int = MOST) -> None:
        self._name = name
        self.places = slots + AHEAD
        self._places = asyncio.Semaphore(self.places)
        self._most = most
        self.waiting = 0
        self.under_way = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place in the process; raises Overloaded where too many wait."""
        if self.waiting >= self._most:
            msg = f"{self.waiting} requests wait for {self._name}, which is too many; try again in some seconds"
            raise Overloaded(msg, retry_after=_RETRY_S)
        self.under_way += 1
        self.waiting += 1
        waits = True
        try:
            async with self._places:
                self.waiting -= 1
                waits = False
                yield
        finally:
            self.waiting -= waits
            self.under_way -= 1
