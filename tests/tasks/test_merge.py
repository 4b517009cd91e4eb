from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from textmill.tasks.merge import merged


class Source:
    """Yields numbers, each when it may; ``closed`` is set at the end."""

    def __init__(self, *numbers: int | Exception) -> None:
        self.numbers = numbers
        self.may = asyncio.Semaphore(0)
        self.closed = asyncio.Event()

    async def run(self) -> AsyncGenerator[int]:
        try:
            for number in self.numbers:
                await self.may.acquire()
                if isinstance(number, Exception):
                    raise number
                yield number
        finally:
            self.closed.set()


async def test_what_comes_first_comes_out_first() -> None:
    a, b = Source(1, 2), Source(10, 20)
    found = []
    b.may.release()
    async with aclosing(merged([a.run(), b.run()])) as events:
        async for each in events:
            found.append(each)
            (a if len(found) != 2 else b).may.release()
            if len(found) == 3:
                b.may.release()
    assert found[0] == (1, 10)
    assert sorted(found) == [(0, 1), (0, 2), (1, 10), (1, 20)]
    assert [each for number, each in found if number == 0] == [1, 2]
    assert [each for number, each in found if number == 1] == [10, 20]


async def test_the_first_error_ends_the_others() -> None:
    a, b = Source(1, 2), Source(LookupError())
    b.may.release()
    with pytest.raises(LookupError):
        async for _ in merged([a.run(), b.run()]):
            pass
    assert a.closed.is_set()


async def test_closing_closes_all() -> None:
    a, b = Source(1, 2), Source(10, 20)
    a.may.release()
    async with aclosing(merged([a.run(), b.run()])) as events:
        assert await anext(events) == (0, 1)
    assert a.closed.is_set()
    assert b.closed.is_set()


async def test_sources_wait_for_whoever_takes() -> None:
    source = Source(*range(1000))
    for _ in range(1000):
        source.may.release()
    async with aclosing(merged([source.run()])) as events:
        await anext(events)
        for _ in range(2000):
            await asyncio.sleep(0)
        assert not source.closed.is_set()
