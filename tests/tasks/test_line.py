"""Too large a call is refused before it costs anything."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from textmill.engine.engine import Engine, Policy
from textmill.errors import InvalidInput, Overloaded
from textmill.tasks.line import WINDOW, Done, Line, Prepared
from textmill.testing.runtime import FakeRuntime, row_of

LIMIT = 100
MAX_TOKENS = 50


class Lengths:
    """A call whose inputs have a token for each character; the answer is how many inputs there were."""

    def __init__(self, inputs: Sequence[Any]) -> None:
        self.inputs = inputs
        self.prepared = 0

    def prepare(self, inputs: Sequence[Any], first: int) -> Sequence[Prepared]:
        self.prepared += len(inputs)
        if "wrong" in inputs:
            msg = "wrong"
            raise InvalidInput(msg)
        return [
            Prepared(row_of(index, *[7] * (len(text) - 1)), index, truncated=False)
            for index, text in enumerate(inputs, first)
        ]

    def finish(self, done: Done) -> int:
        return len(done.prepared)


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime(batch_tokens=4096)


@pytest.fixture
def engine(runtime: FakeRuntime) -> Iterator[Engine]:
    engine = Engine(runtime, Policy(batch_tokens=4096, waiting_tokens=LIMIT), name="fake")
    engine.start()
    yield engine
    runtime.gate.open()
    engine.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def line(engine: Engine, pool: ThreadPoolExecutor) -> Line:
    return Line(engine, pool, MAX_TOKENS)


def occupy(engine: Engine, runtime: FakeRuntime) -> None:
    """Hold the runtime, and have a token wait."""
    runtime.gate.shut()
    engine.submit([row_of(1)])
    runtime.gate.wait_for_arrival()
    engine.submit([row_of(2)])


async def test_a_large_call_is_refused_without_being_tokenised(
    line: Line, engine: Engine, runtime: FakeRuntime
) -> None:
    occupy(engine, runtime)
    large = Lengths(["x" * 240] * 3)
    with pytest.raises(Overloaded) as caught:
        await line.answer(large)
    with pytest.raises(Overloaded):
        line.answer_now(large)
    assert caught.value.retry_after >= 1
    assert large.prepared == 0


async def test_a_call_that_only_looked_small_is_refused_once_it_is_counted(
    line: Line, engine: Engine, runtime: FakeRuntime
) -> None:
    occupy(engine, runtime)
    dense = Lengths(["x" * 240])
    with pytest.raises(Overloaded, match="1 tokens and 240 more"):
        await line.answer(dense)
    assert dense.prepared == 1


@pytest.mark.parametrize("inputs", [["x" * 5000], ["x" * 240] * 5, [[7] * 300]])
async def test_a_lone_call_of_any_size_is_answered(inputs: list[Any], line: Line) -> None:
    assert await line.answer(Lengths(inputs), whole=True) == len(inputs)
    assert line.answer_now(Lengths(inputs), whole=True) == len(inputs)


async def test_what_will_be_cut_is_not_counted_against_a_call(line: Line, engine: Engine, runtime: FakeRuntime) -> None:
    """A text of any length is a row of at most the model's tokens, unless it is computed whole."""
    occupy(engine, runtime)
    long = Lengths(["x" * 10_000])
    with pytest.raises(Overloaded):
        await line.answer(long, whole=True)
    assert long.prepared == 0
    with pytest.raises(Overloaded):
        await line.answer(long)  # by its rows, as this call does not cut
    assert long.prepared == 1


@pytest.mark.parametrize("item", [[7] * 101, ("x" * 250, "y" * 250), "x" * 500], ids=["ids", "a pair", "a text"])
async def test_ids_count_as_they_are_and_pairs_as_both_texts(
    item: Any, line: Line, engine: Engine, runtime: FakeRuntime
) -> None:
    occupy(engine, runtime)
    call = Lengths([item])
    with pytest.raises(Overloaded):
        await line.answer(call, whole=True)
    assert call.prepared == 0


async def test_later_windows_of_a_call_are_no_reason_to_refuse_it(pool: ThreadPoolExecutor) -> None:
    """They come in line when those before them have gone."""
    runtime = FakeRuntime(batch_tokens=4096)
    engine = Engine(runtime, Policy(batch_tokens=4096, waiting_tokens=WINDOW + 1), name="fake")
    engine.start()
    occupy(engine, runtime)
    asked = asyncio.create_task(Line(engine, pool, MAX_TOKENS).answer(Lengths(["x"] * (3 * WINDOW))))
    await asyncio.sleep(0)
    runtime.gate.open()
    assert await asked == 3 * WINDOW
    engine.close()


async def test_a_call_that_fails_leaves_nothing_expected(line: Line, engine: Engine, runtime: FakeRuntime) -> None:
    for _ in range(3):
        with pytest.raises(InvalidInput):
            await line.answer(Lengths(["x" * 240, "wrong"]))
    occupy(engine, runtime)
    asked = asyncio.create_task(line.answer(Lengths(["x" * 99])))
    await asyncio.sleep(0)
    runtime.gate.open()
    assert await asked == 1
