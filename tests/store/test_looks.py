from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from textmill.store.looks import Looks


async def forever(_: float) -> None:
    await asyncio.Event().wait()


async def done(awaited: Awaitable[None]) -> None:
    await asyncio.wait_for(awaited, 5)


async def test_who_asks_waits_for_the_look_that_began_after_it() -> None:
    looks = Looks()
    resting = asyncio.create_task(looks.rest(1.0, forever))
    await asyncio.sleep(0)
    asked = asyncio.create_task(asyncio.to_thread(looks.ask, ["a.yaml", "b"]))
    await done(resting)
    assert looks.whole() == {"a.yaml", "b"}
    assert looks.whole() == frozenset()
    assert not asked.done()  # the look is under way
    resting = asyncio.create_task(looks.rest(1.0, forever))
    await done(asked)
    assert not resting.done()
    resting.cancel()


async def test_what_was_asked_for_before_the_loop_rests_ends_the_rest_at_once() -> None:
    looks = Looks()
    asked = asyncio.create_task(asyncio.to_thread(looks.ask, ["a"]))
    await asyncio.sleep(0.01)
    await done(looks.rest(1.0, forever))
    looks.end()
    await done(asked)


async def test_nobody_waits_for_a_loop_that_has_ended_or_is_slow() -> None:
    looks = Looks(patience_s=0.01)
    await done(asyncio.to_thread(looks.ask, ["a"]))
    looks.whole()
    looks.end()
    await done(asyncio.to_thread(looks.ask, ["b"]))


async def test_a_rest_is_over_when_its_time_is() -> None:
    await done(Looks().rest(0.001))
