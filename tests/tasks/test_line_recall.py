"""A line that can recall rows sends only the others to the engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from textmill.cache.cache import Cache
from textmill.cache.disk import Disk
from textmill.cache.memory import Memory
from textmill.engine.engine import Engine, Policy
from textmill.errors import ForwardFailed, Overloaded, Unavailable
from textmill.tasks.line import WINDOW, Done, Line, Prepared
from textmill.testing.runtime import FakeRuntime, row_of

LIMIT = 100


class Numbers:
    """A call whose inputs are numbers as texts; each is a row, and those in ``twice`` are two. The answer is what is done."""

    def __init__(self, *numbers: int, twice: bool = False) -> None:
        self.inputs: Sequence[Any] = [str(number) for number in numbers]
        self._twice = twice

    def prepare(self, inputs: Sequence[Any], first: int) -> Sequence[Prepared]:
        rows = []
        for index, text in enumerate(inputs, first):
            rows.append(Prepared(row_of(int(text)), index, truncated=False))
            if self._twice:
                rows.append(Prepared(row_of(int(text), 7), index, truncated=False))
        return rows

    def finish(self, done: Done) -> Done:
        return done


def vectors(done: Done) -> npt.NDArray[np.float32]:
    values: npt.NDArray[np.float32] = done.outputs["dense"]
    return values


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime(batch_tokens=4096)


@pytest.fixture(params=["memory", "disk"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cache]:
    disk = Disk(tmp_path / "cache", 10**7) if request.param == "disk" else None
    made = Cache(None if disk else Memory(10**7), disk)
    yield made
    made.close()


@pytest.fixture
def engine(runtime: FakeRuntime) -> Iterator[Engine]:
    engine = Engine(runtime, Policy(batch_tokens=4096, waiting_tokens=LIMIT), name="fake")
    engine.start()
    yield engine
    runtime.gate.open()
    engine.close()


@pytest.fixture
def line(engine: Engine, cache: Cache) -> Iterator[Line]:
    with ThreadPoolExecutor(1) as pool:
        yield Line(engine, pool, 50, cache.of("model", "f00d"))


def computed(runtime: FakeRuntime) -> list[int]:
    return [int(row.ids[0]) for batch in runtime.batches for row in batch]


def wait_in_line(engine: Engine) -> None:
    """Return once something waits."""
    while not engine.waiting_tokens:
        time.sleep(0.01)


def check(runtime: FakeRuntime, done: Done) -> None:
    expected = np.stack([runtime.vector(each.row) for each in done.prepared])
    np.testing.assert_array_equal(vectors(done), expected)


@pytest.mark.parametrize("count", [3, 500, WINDOW + 300])
async def test_what_was_computed_is_not_computed_again(runtime: FakeRuntime, line: Line, count: int) -> None:
    first = await line.answer(Numbers(*range(count)))
    assert (first.cached, sorted(computed(runtime))) == (0, list(range(count)))
    runtime.batches.clear()
    for again in (await line.answer(Numbers(*range(count))), line.answer_now(Numbers(*range(count)))):
        check(runtime, again)
        assert (again.cached, again.timings.inference, again.timings.queue) == (count, 0.0, 0.0)
    assert computed(runtime) == []
    mixed = await line.answer(Numbers(*range(count - 2, count + 2)))
    check(runtime, mixed)
    assert (mixed.cached, sorted(computed(runtime))) == (2, [count, count + 1])


async def test_an_input_of_several_rows_is_cached_where_all_of_them_are(runtime: FakeRuntime, line: Line) -> None:
    await line.answer(Numbers(1, 2))
    done = await line.answer(Numbers(1, 2, twice=True))
    check(runtime, done)
    assert done.cached == 0
    assert (await line.answer(Numbers(1, 2, 3, twice=True))).cached == 2


async def test_a_row_that_fails_is_not_kept(runtime: FakeRuntime, line: Line) -> None:
    runtime.fail = lambda row: ValueError("not today") if 2 in row.ids else None
    with pytest.raises(ForwardFailed, match="not today"):
        await line.answer(Numbers(1, 2))
    runtime.fail = None
    done = await line.answer(Numbers(2))
    check(runtime, done)
    assert done.cached == 0


async def test_rows_in_flight_are_computed_once_and_outlive_who_asked_first(runtime: FakeRuntime, line: Line) -> None:
    runtime.gate.shut()
    owner = asyncio.create_task(line.answer(Numbers(1, 2)))
    await asyncio.to_thread(runtime.gate.wait_for_arrival)
    others = [asyncio.create_task(line.answer(Numbers(number, 9))) for number in (1, 2)]
    await asyncio.sleep(0.05)
    owner.cancel()
    runtime.gate.open()
    for done in await asyncio.gather(*others):
        check(runtime, done)
    with pytest.raises(asyncio.CancelledError):
        await owner
    assert sorted(computed(runtime)) == [1, 2, 9]
    assert (await line.answer(Numbers(1, 2, 9))).cached == 3


async def test_what_is_known_is_answered_however_much_waits(runtime: FakeRuntime, line: Line, engine: Engine) -> None:
    await line.answer(Numbers(*range(200)))
    for _ in runtime.batches:
        runtime.gate.wait_for_arrival()
    runtime.gate.shut()
    busy = asyncio.create_task(line.answer(Numbers(1000)))
    await asyncio.to_thread(runtime.gate.wait_for_arrival)
    waiting = asyncio.create_task(line.answer(Numbers(*range(2000, 2000 + LIMIT))))
    await asyncio.to_thread(wait_in_line, engine)
    assert (await line.answer(Numbers(*range(200)))).cached == 200
    with pytest.raises(Overloaded):
        await line.answer(Numbers(1, 3000))
    assert engine.waiting_tokens == LIMIT
    runtime.gate.open()
    await asyncio.gather(busy, waiting)


async def test_a_closed_engine_answers_nothing_from_the_cache_either(line: Line, engine: Engine) -> None:
    await line.answer(Numbers(1))
    engine.close()
    with pytest.raises(Unavailable):
        await line.answer(Numbers(1))


async def test_an_answer_is_its_caller_s_own(line: Line) -> None:
    one = vectors(await line.answer(Numbers(1)))
    before = one.copy()
    one[:] = 0
    two = vectors(await line.answer(Numbers(1)))
    np.testing.assert_array_equal(two, before)
    two[:] = 0
    np.testing.assert_array_equal(vectors(await line.answer(Numbers(1))), before)
