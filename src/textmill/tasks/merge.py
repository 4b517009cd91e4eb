"""Several generators as one: what comes first comes out first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")

_AHEAD = 16
"""How much may come before it is taken: then the generators wait."""


async def merged(sources: Sequence[AsyncGenerator[T]]) -> AsyncGenerator[tuple[int, T]]:
    """What all of them yield, as it comes, with the number of the one that it comes from.

    They run at the same time. The first error ends the others and is raised; closing this closes all of them.
    """
    queue: asyncio.Queue[tuple[int, T] | BaseException | None] = asyncio.Queue(_AHEAD)

    async def feed(number: int, source: AsyncGenerator[T]) -> None:
        last: BaseException | None = None
        try:
            async with aclosing(source):
                async for each in source:
                    await queue.put((number, each))
        except Exception as error:  # noqa: BLE001 - it is raised by whoever takes
            last = error
        await queue.put(last)

    feeding = [asyncio.create_task(feed(number, source)) for number, source in enumerate(sources)]
    left = len(feeding)
    try:
        while left:
            got = await queue.get()
            if isinstance(got, BaseException):
                raise got
            if got is None:
                left -= 1
            else:
                yield got
    finally:
        for task in feeding:
            task.cancel()
        await asyncio.gather(*feeding, return_exceptions=True)
