"""The inputs of one call in pieces, each for one request, of which some are under way at once for all calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

P = TypeVar("P")
A = TypeVar("A")


def pieces(inputs: Sequence[str | list[int]], most: int, size: int = 0) -> Iterator[list[str | list[int]]]:
    """Inputs in their order, in pieces of texts or of ids that have at most ``most``, and ``size`` bytes in UTF-8 (0: any number).

    An id counts as a byte. An input that is larger alone is a piece of its own.
    """
    piece: list[str | list[int]] = []
    held = 0
    for item in inputs:
        needed = len(item.encode("utf-8", "surrogatepass")) if isinstance(item, str) else len(item)
        full = len(piece) == most or (size and held + needed > size)
        if piece and (full or isinstance(item, str) != isinstance(piece[0], str)):
            yield piece
            piece, held = [], 0
        piece.append(item)
        held += needed
    yield piece


class AtOnce:
    """Runs at most ``most`` requests at once, those of all calls in one event loop together.

    A call has no more than that in line, so that a small one beside a large one waits for one request of each place, and not for all.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._loop: asyncio.AbstractEventLoop | None = None
        self._places = asyncio.Semaphore(most)

    async def each(self, todo: Sequence[P], one: Callable[[P], Awaitable[A]]) -> list[A]:
        """The answers of pieces in their order. The first error ends those of this call that are under way, and none of it begins any more."""
        places = self._of_loop()
        made: dict[int, A] = {}
        line = iter(enumerate(todo))

        async def work() -> None:
            for index, piece in line:
                async with places:
                    made[index] = await one(piece)

        if len(todo) == 1:
            await work()
            return [made[0]]
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(self._most, len(todo))):
                    tasks.create_task(work())
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [made[index] for index in range(len(todo))]

    def _of_loop(self) -> asyncio.Semaphore:
        """The places of the running loop: a command may use one for each call."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._places = loop, asyncio.Semaphore(self._most)
        return self._places
