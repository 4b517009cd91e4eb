from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from textmill.errors import LoadFailed, ModelBroken, Unavailable
from textmill.providers.llamacpp.settings import Launch, Settings
from textmill.providers.llamacpp.supervised import Call, Supervised
from textmill.testing.gguf_llama import endless_gguf

ENVIRON = dict(os.environ)  # noqa: TID251 - as the server would


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return endless_gguf(tmp_path / "m.gguf", context=1 << 17)


@pytest.fixture
def llama(weights: Path) -> Iterator[Supervised]:
    settings = Settings(
        model=str(weights), sockets=(), context=1 << 17, parallel=1, threads=1, threads_batch=1, ui=False, verbosity=1
    )
    made = Supervised(
        "m",
        Launch(settings=settings),
        ENVIRON,
        cooldown=lambda failures: 30.0 * failures,
        look_s=0.05,
        health_s=0.3,
        stuck_s=0.3,
    )
    yield made
    made.close()


def writes(llama: Supervised, tokens: int) -> AsyncGenerator[dict[str, Any], None]:
    """A request under way."""

    async def chunks() -> AsyncGenerator[dict[str, Any], None]:
        call = Call()
        async with llama.session(call) as session:
            body = {"prompt": "x", "max_tokens": tokens, "stream": True}
            async with aclosing(session.wire.stream("/completions", body)) as events:
                async for event in events:
                    call.answered = True
                    yield event

    return chunks()


def wait(llama: Supervised) -> None:
    """Until the process has ended."""
    assert llama._session is not None
    assert llama._session.process.wait(5)


async def hangs(llama: Supervised) -> None:
    """A request as one that hangs in llama.cpp's server."""
    async with llama.session() as session:
        await asyncio.sleep(2)
        await session.native.get("/health")


async def count(events: AsyncGenerator[dict[str, Any], None]) -> int:
    async with aclosing(events):
        return len([event async for event in events])


async def test_a_process_that_answers_no_more_is_ended_and_the_next_request_has_a_new_one(llama: Supervised) -> None:
    llama.open()
    events = writes(llama, 10**6)
    await anext(events)
    stuck = llama.pid
    assert stuck is not None

    os.kill(stuck, signal.SIGSTOP)

    with pytest.raises(Unavailable, match=r"did not answer for 0 s; it is started again"):
        await count(events)
    assert await count(writes(llama, 3)) >= 3
    assert llama.pid not in (None, stuck)


async def test_a_request_that_no_slot_works_on_is_not_waited_for_for_ever(llama: Supervised) -> None:
    llama.open()

    with pytest.raises(Unavailable, match="worked on nothing"):
        await hangs(llama)
    assert await count(writes(llama, 3)) >= 3


async def test_long_work_is_not_taken_for_a_hang(llama: Supervised) -> None:
    llama.open()
    first = llama.pid

    assert await count(writes(llama, 2_000)) > 1_900

    assert llama.pid == first


async def test_who_reads_slowly_is_not_taken_for_a_hang(llama: Supervised) -> None:
    llama.open()
    first = llama.pid
    events = writes(llama, 10)
    await anext(events)

    await asyncio.sleep(1)  # the slot has long ended

    assert await count(events) > 5
    assert llama.pid == first


def damage(weights: Path) -> None:
    """Have something else in a file that looks the same from outside."""
    stat = weights.stat()
    weights.write_bytes(bytes(stat.st_size))
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))


async def test_other_weights_than_were_loaded_are_not_served_under_the_same_fingerprint(
    llama: Supervised, weights: Path
) -> None:
    llama.open()
    assert llama.pid is not None
    endless_gguf(weights, "other words ")
    os.kill(llama.pid, signal.SIGKILL)
    wait(llama)

    with pytest.raises(LoadFailed, match=r"the files of m have changed since it was loaded"):
        await count(writes(llama, 1))


async def test_a_new_process_is_looked_at_as_well(llama: Supervised) -> None:
    llama.open()
    assert llama.pid is not None
    async with llama.session():
        os.kill(llama.pid, signal.SIGKILL)
        wait(llama)
    async with llama.session() as session:  # before the next look at the old one
        assert session.watching is not None
        assert not session.watching.done()


async def test_what_does_not_start_again_is_tried_again_after_a_while_only(llama: Supervised, weights: Path) -> None:
    llama.open()
    damage(weights)
    assert llama.pid is not None
    os.kill(llama.pid, signal.SIGKILL)
    wait(llama)

    with pytest.raises(LoadFailed, match=r"could not be started again: llama\.cpp does not load m") as first:
        await count(writes(llama, 1))
    with pytest.raises(LoadFailed, match=r"the next attempt is possible in (29|30) s") as second:
        await count(writes(llama, 1))

    assert first.value.retry_after == 30
    assert 0 < (second.value.retry_after or 0) <= 30


async def test_all_who_wait_for_a_new_process_share_one(llama: Supervised) -> None:
    llama.open()
    assert llama.pid is not None
    os.kill(llama.pid, signal.SIGKILL)
    wait(llama)
    pids: set[int | None] = set()

    async def ask() -> None:
        async with llama.session() as session:
            await session.native.get("/health")
            pids.add(session.process.pid)

    await asyncio.gather(*(ask() for _ in range(8)))

    assert len(pids) == 1


def test_opening_a_file_that_is_none_leaves_no_process(llama: Supervised, weights: Path) -> None:
    weights.write_bytes(b"no model")

    with pytest.raises(ModelBroken):
        llama.open()
    assert llama.pid is None
