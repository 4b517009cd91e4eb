from __future__ import annotations

from collections.abc import Iterator
from queue import Queue
from threading import Event
from typing import Any

import pytest

from textmill.contract import Sampling
from textmill.engine.writing import WAITING, Call, Took, WritingLoop
from textmill.errors import ForwardFailed, Overloaded, TextmillError, Unavailable
from textmill.runtimes.writing import Choosing, Picked
from textmill.testing.writing_runtime import POISON_PROMPT, POISON_ROW, CountingRuntime

HOW = Choosing(sampling=Sampling())


class Heard:
    """Listens until each choice has so many tokens."""

    def __init__(self, most: int) -> None:
        self.tokens: dict[int, list[int]] = {}
        self.ends: Queue[Took | TextmillError] = Queue()
        self.began = Event()
        self._most = most

    def wrote(self, choice: int, picked: Picked, row: Any) -> bool:
        del row
        self.tokens.setdefault(choice, []).append(picked.id)
        self.began.set()
        return len(self.tokens[choice]) >= self._most

    def over(self, took: Took) -> None:
        self.ends.put(took)

    def failed(self, error: TextmillError) -> None:
        self.ends.put(error)

    def end(self) -> Took | TextmillError:
        return self.ends.get(timeout=10)


@pytest.fixture
def runtime() -> CountingRuntime:
    return CountingRuntime()


@pytest.fixture
def loop(runtime: CountingRuntime) -> Iterator[WritingLoop]:
    made = WritingLoop(runtime, "m", part=4, most=3)
    yield made
    runtime.gate.set()
    made.close(0.0)


def call(loop: WritingLoop, ids: list[int], most: int, choices: int = 1) -> tuple[Call, Heard]:
    heard = Heard(most)
    made = Call(ids, (HOW,) * choices, heard)
    loop.submit(made)
    return made, heard


def test_a_call_is_written_choice_by_choice(loop: WritingLoop, runtime: CountingRuntime) -> None:
    _, heard = call(loop, [1, 2, 3], 4, choices=2)

    assert isinstance(heard.end(), Took)
    assert heard.tokens == {0: [4, 5, 6, 7], 1: [4, 5, 6, 7]}
    assert runtime.rows == []


def test_a_long_prompt_is_read_between_the_steps_of_others(loop: WritingLoop, runtime: CountingRuntime) -> None:
    runtime.gate.clear()
    _, first = call(loop, [100], 20)
    first.began.wait(10)
    _, second = call(loop, list(range(10)), 2)
    runtime.gate.set()
    second.end()
    first.end()

    assert runtime.reads == [1, 4, 4, 2]
    assert sum(len(step) == 2 for step in runtime.steps) == 1  # of its two tokens the first came with the prompt
    assert first.tokens[0] == list(range(101, 121))


def test_several_short_prompts_are_read_at_once(loop: WritingLoop, runtime: CountingRuntime) -> None:
    runtime.gate.clear()
    _, first = call(loop, [100], 3)
    first.began.wait(10)
    others = [call(loop, [200 + index], 3)[1] for index in range(2)]
    runtime.gate.set()
    for each in (first, *others):
        each.end()

    assert [101, 201, 202] not in runtime.steps[:1]
    assert any(len(step) == 3 for step in runtime.steps)


def test_more_rows_than_there_is_room_for_wait(loop: WritingLoop, runtime: CountingRuntime) -> None:
    runtime.gate.clear()
    _, first = call(loop, [1], 5, choices=2)
    first.began.wait(10)
    _, second = call(loop, [10], 5, choices=2)
    _, third = call(loop, [20], 5)
    assert loop.waiting == (2, 2)
    runtime.gate.set()
    for each in (first, second, third):
        assert isinstance(each.end(), Took)

    assert max(len(step) for step in runtime.steps) == 3


def test_a_call_of_more_rows_than_usual_is_written_alone(loop: WritingLoop, runtime: CountingRuntime) -> None:
    _, heard = call(loop, [1], 3, choices=5)

    assert isinstance(heard.end(), Took)
    assert max(len(step) for step in runtime.steps) == 5


def test_who_leaves_is_gone_before_the_next_step(loop: WritingLoop, runtime: CountingRuntime) -> None:
    runtime.gate.clear()
    gone, heard = call(loop, [1], 100)
    heard.began.wait(10)
    _, other = call(loop, [50], 3)
    loop.leave(gone)
    runtime.gate.set()
    other.end()

    assert len(heard.tokens[0]) <= 2  # one step was under way
    assert loop.rows == 0


def test_a_prompt_that_fails_fails_alone(loop: WritingLoop) -> None:
    _, good = call(loop, [1, 2], 9)
    _, bad = call(loop, [POISON_PROMPT], 9)

    failed = bad.end()
    assert isinstance(failed, ForwardFailed)
    assert "poison" in str(failed)
    assert isinstance(good.end(), Took)
    assert loop.ready


def test_a_row_that_fails_fails_its_call_alone(loop: WritingLoop, runtime: CountingRuntime) -> None:
    _, good = call(loop, [1, 2], 9)
    _, bad = call(loop, [POISON_ROW - 3], 9, choices=2)

    assert isinstance(bad.end(), ForwardFailed)
    assert isinstance(good.end(), Took)
    assert runtime.rows == []


def test_a_step_that_fails_ends_what_is_written_and_the_loop_goes_on(
    loop: WritingLoop, runtime: CountingRuntime
) -> None:
    runtime.gate.clear()
    _, bad = call(loop, [1], 9)
    bad.began.wait(10)
    runtime.broken = True
    runtime.gate.set()

    assert "the device is gone" in str(bad.end())
    assert isinstance(call(loop, [5], 2)[1].end(), Took)


def test_rows_that_cannot_leave_end_what_is_written_and_the_loop_goes_on(
    loop: WritingLoop, runtime: CountingRuntime
) -> None:
    runtime.gate.clear()
    _, first = call(loop, [1], 3)
    first.began.wait(10)
    _, other = call(loop, [10], 9)
    runtime.stuck = True
    runtime.gate.set()

    for each in (first, other):
        assert "the rows are lost" in str(each.end())
    assert isinstance(call(loop, [5], 2)[1].end(), Took)
    assert runtime.rows == []


def test_who_leaves_and_cannot_ends_what_is_written_and_the_loop_goes_on(
    loop: WritingLoop, runtime: CountingRuntime
) -> None:
    runtime.gate.clear()
    gone, heard = call(loop, [1], 100)
    _, other = call(loop, [10], 100)
    heard.began.wait(10)
    other.began.wait(10)
    runtime.stuck = True
    loop.leave(gone)
    runtime.gate.set()

    assert "the rows are lost" in str(other.end())
    assert isinstance(call(loop, [5], 2)[1].end(), Took)
    assert runtime.rows == []


def test_a_step_that_fails_leaves_rows_that_cannot_leave_behind(loop: WritingLoop, runtime: CountingRuntime) -> None:
    runtime.gate.clear()
    _, bad = call(loop, [1], 9)
    bad.began.wait(10)
    runtime.broken = runtime.stuck = True
    runtime.gate.set()

    assert "the device is gone" in str(bad.end())
    assert isinstance(call(loop, [5], 2)[1].end(), Took)


class Clumsy(Heard):
    """Raises where it is told so."""

    def __init__(self, *clumsy: str) -> None:
        super().__init__(3)
        self._clumsy = clumsy

    def wrote(self, choice: int, picked: Picked, row: Any) -> bool:
        made = super().wrote(choice, picked, row)
        self._raise("wrote", clumsy=choice == 1)
        return made

    def over(self, took: Took) -> None:
        self._raise("over")
        super().over(took)

    def failed(self, error: TextmillError) -> None:
        super().failed(error)
        self._raise("failed")

    def _raise(self, what: str, *, clumsy: bool = True) -> None:
        if clumsy and what in self._clumsy:
            raise LookupError(what)


@pytest.mark.parametrize("clumsy", [("wrote",), ("over",), ("wrote", "failed"), ("over", "failed")])
def test_a_listener_that_raises_ends_its_own_call_alone(
    clumsy: tuple[str, ...], loop: WritingLoop, runtime: CountingRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    runtime.gate.clear()
    _, good = call(loop, [1, 2], 9)
    good.began.wait(10)
    bad = Clumsy(*clumsy)
    loop.submit(Call([5], (HOW, HOW), bad))
    runtime.gate.set()

    failed = bad.end()
    assert isinstance(failed, ForwardFailed)
    assert clumsy[0] in str(failed)
    assert isinstance(good.end(), Took)
    assert good.tokens[0] == list(range(3, 12))
    assert isinstance(call(loop, [5], 2)[1].end(), Took)
    assert runtime.rows == []
    assert "a bug" in caplog.text


def test_too_many_that_wait_are_refused(loop: WritingLoop, runtime: CountingRuntime) -> None:
    runtime.gate.clear()
    first, heard = call(loop, [1], 9, choices=3)
    heard.began.wait(10)
    waiting = [call(loop, [1], 1)[0] for _ in range(WAITING)]

    with pytest.raises(Overloaded):
        call(loop, [1], 1)
    for each in (first, *waiting):
        loop.leave(each)
    runtime.gate.set()
    assert isinstance(call(loop, [1], 1)[1].end(), Took)


def test_closing_tells_who_waits_and_closes_the_runtime(runtime: CountingRuntime) -> None:
    loop = WritingLoop(runtime, "m")
    _, heard = call(loop, [1000], 10**9)
    heard.began.wait(10)

    loop.close(0.0)

    assert isinstance(heard.end(), Unavailable)
    assert runtime.closed
    with pytest.raises(Unavailable):
        call(loop, [1], 1)
    loop.close(0.0)
