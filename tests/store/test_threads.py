from __future__ import annotations

import asyncio
import threading

import pytest

from textmill.store.threads import in_thread


async def test_what_it_gives_or_raises_arrives() -> None:
    def fails() -> int:
        raise OSError

    assert await in_thread(lambda: threading.current_thread().daemon) is True
    with pytest.raises(OSError):  # noqa: PT011 - any
        await in_thread(fails)


def test_a_loop_ends_without_waiting_for_it() -> None:
    go_on, ended = threading.Event(), threading.Event()

    def work() -> None:
        go_on.wait(10)
        ended.set()

    async def leave() -> None:
        task = asyncio.create_task(in_thread(work))
        await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(leave())
    assert not ended.is_set()
    go_on.set()
    assert ended.wait(10)
