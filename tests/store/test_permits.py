from __future__ import annotations

import asyncio

import pytest

from textmill.errors import Overloaded, Unavailable
from textmill.store.permits import Permits


def test_the_limit_itself_computes_and_one_more_comes_back_later() -> None:
    permits = Permits(2)
    with permits.compute(), permits.compute(), pytest.raises(Overloaded, match="2 requests") as caught:
        permits.compute().__enter__()
    assert caught.value.retry_after >= 1
    with permits.compute():
        pass


def test_a_place_is_free_again_after_a_failure() -> None:
    permits = Permits(1)
    with pytest.raises(ZeroDivisionError), permits.compute():
        raise ZeroDivisionError
    with permits.compute():
        pass


def test_while_it_drains_nothing_begins_but_what_is_under_way_may_compute() -> None:
    permits = Permits()
    with permits.begin():
        permits.drain()
        assert permits.draining
        with pytest.raises(Unavailable, match="shutting down"), permits.begin():
            pass
        assert permits.under_way == 1
        with permits.compute():
            pass
    assert permits.under_way == 0


async def test_it_is_idle_when_the_last_one_has_ended() -> None:
    permits = Permits()
    await permits.wait_until_idle()
    with permits.begin():
        with permits.begin():
            waiting = asyncio.create_task(permits.wait_until_idle())
        await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 10)
