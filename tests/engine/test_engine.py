from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait

import numpy as np
import numpy.typing as npt
import pytest

from textmill.contract import BatchReport
from textmill.engine.engine import Engine, Policy
from textmill.engine.scheduler import Lane
from textmill.engine.ticket import Answer
from textmill.errors import ConfigInvalid, EmptyInput, ForwardFailed, ModelBroken, Overloaded, Unavailable
from textmill.runtimes.runtime import Row
from textmill.testing.runtime import FakeRuntime, row_of

Serve = Callable[..., Engine]
PATIENCE_S = 10.0


def vectors_in(answer: Answer) -> npt.NDArray[np.float32]:
    values = answer.outputs["dense"]
    assert isinstance(values, np.ndarray)
    return values


def as_lists(answer: Answer) -> list[list[float]]:
    values: list[list[float]] = vectors_in(answer).tolist()
    return values


def vectors(future: Future[Answer]) -> list[list[float]]:
    return as_lists(future.result(PATIENCE_S))


def expected(runtime: FakeRuntime, *rows: Row) -> list[list[float]]:
    return [runtime.vector(row).tolist() for row in rows]


def ids(batch: list[Row]) -> list[list[int]]:
    return [row.ids.tolist() for row in batch]


def occupy(engine: Engine, runtime: FakeRuntime) -> Future[Answer]:
    """Have the runtime hold a batch, so that whatever comes next waits in line."""
    runtime.gate.shut()
    future = engine.submit([row_of(99)])
    runtime.gate.wait_for_arrival()
    return future


def poison(row: Row) -> ValueError | None:
    return ValueError("id 13 is unlucky\nand a long story") if 13 in row.ids else None


def test_answers_come_in_the_order_of_the_rows_across_batches(serve: Serve) -> None:
    runtime = FakeRuntime()
    engine = serve(runtime, Policy(batch_tokens=16))
    rows = [row_of(*range(1, 2 + number % 9), number) for number in range(200)]
    answer = engine.submit(rows).result(PATIENCE_S)
    assert as_lists(answer) == expected(runtime, *rows)
    assert vectors_in(answer).dtype == np.float32
    assert len(runtime.batches) > 10


def test_one_thread_alone_touches_the_runtime(serve: Serve) -> None:
    runtime = FakeRuntime(warm_up=("first", "second"))
    engine = serve(runtime)
    vectors(engine.submit([row_of(1)]))
    assert engine.wait_until_warm(PATIENCE_S)
    engine.close()
    assert runtime.diary[-1] == "close"
    assert len(runtime.threads) == 1
    assert threading.get_ident() not in runtime.threads


def test_a_large_call_is_bulk_and_lets_a_single_row_pass(serve: Serve) -> None:
    runtime = FakeRuntime()
    engine = serve(runtime, Policy(batch_tokens=64, bulk_age_s=PATIENCE_S))
    held = occupy(engine, runtime)
    bulk = engine.submit([row_of(number, 5) for number in range(10_000)])
    single = engine.submit([row_of(4)])
    assert engine.waiting_rows == 10_001
    runtime.gate.open()
    vectors(single)
    assert ids(runtime.batches[1]) == [[4]]
    assert vectors_in(bulk.result(PATIENCE_S)).shape == (10_000, 8)
    vectors(held)


def test_the_caller_may_choose_the_lane(serve: Serve) -> None:
    runtime = FakeRuntime()
    engine = serve(runtime)
    occupy(engine, runtime)
    bulk = engine.submit([row_of(1)], lane=Lane.BULK)
    vital = engine.submit([row_of(2, number) for number in range(64)], lane=Lane.INTERACTIVE)
    runtime.gate.open()
    vectors(bulk)
    assert vital.done()


def test_timings_are_means_over_the_rows_of_a_call(serve: Serve) -> None:
    seconds = 0.0
    runtime = FakeRuntime()

    def one_second_a_batch(vectors: object) -> object:
        nonlocal seconds
        seconds += 1.0
        return vectors

    runtime = FakeRuntime(spoil=one_second_a_batch)
    engine = serve(runtime, Policy(batch_tokens=64, batch_rows=1), clock=lambda: seconds)
    occupy(engine, runtime)
    future = engine.submit([row_of(1), row_of(2)])
    runtime.gate.open()
    answer = future.result(PATIENCE_S)
    assert (answer.queue_s, answer.inference_s) == (1.5, 1.0)


def test_a_failing_row_fails_its_call_and_no_other_of_its_batch(serve: Serve) -> None:
    runtime = FakeRuntime(fail=poison)
    engine = serve(runtime)
    held = occupy(engine, runtime)
    futures = [engine.submit([row_of(number)]) for number in range(10, 20)]
    runtime.gate.open()
    vectors(held)
    for number, future in enumerate(futures, start=10):
        if number == 13:
            with pytest.raises(ForwardFailed, match=r"1 tokens: id 13 is unlucky$") as caught:
                future.result(PATIENCE_S)
            assert isinstance(caught.value.__cause__, ValueError)
        else:
            assert vectors(future) == expected(runtime, row_of(number))
    assert len(runtime.batches[1]) == 10


def test_a_call_with_a_failing_row_withdraws_its_other_rows(serve: Serve) -> None:
    runtime = FakeRuntime(fail=poison)
    engine = serve(runtime, Policy(batch_tokens=64, batch_rows=1))
    occupy(engine, runtime)
    doomed = engine.submit([row_of(13), row_of(1), row_of(2)])
    other = engine.submit([row_of(2)])
    runtime.gate.open()
    with pytest.raises(ForwardFailed):
        doomed.result(PATIENCE_S)
    assert vectors(other) == expected(runtime, row_of(2))
    assert [row.ids.tolist() for batch in runtime.batches for row in batch] == [[99], [13], [2]]


def test_each_caller_of_a_failing_row_gets_an_error_of_its_own(serve: Serve) -> None:
    runtime = FakeRuntime(fail=poison)
    engine = serve(runtime)
    occupy(engine, runtime)
    twins = [engine.submit([row_of(13)]) for _ in range(2)]
    runtime.gate.open()
    errors = [twin.exception(PATIENCE_S) for twin in twins]
    assert all(isinstance(error, ForwardFailed) for error in errors)
    assert errors[0] is not errors[1]


def test_a_wrong_answer_of_the_runtime_is_an_error_and_not_a_shift(serve: Serve) -> None:
    runtime = FakeRuntime(spoil=lambda vectors: vectors[1:] if len(vectors) > 1 else vectors)
    engine = serve(runtime)
    with pytest.raises(ForwardFailed, match=r"shape \(2, .*shape \(1, 8\)"):
        engine.submit([row_of(1), row_of(2)]).result(PATIENCE_S)
    assert vectors(engine.submit([row_of(1)])) == expected(runtime, row_of(1))


def test_a_dead_loop_is_loud_and_leaves_nobody_waiting(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    runtime = FakeRuntime(fail=lambda row: SystemExit("bug") if 13 in row.ids else None)
    engine = serve(runtime, Policy(batch_tokens=64, batch_rows=1))
    held = occupy(engine, runtime)
    doomed = [engine.submit([row_of(number)]) for number in (13, 14)]
    runtime.gate.open()
    vectors(held)
    for future in doomed:
        with pytest.raises(Unavailable, match="fake has died of SystemExit"):
            future.result(PATIENCE_S)
    assert not engine.ready
    with pytest.raises(Unavailable, match="died"):
        engine.submit([row_of(1)])
    engine.close()
    assert runtime.diary[-1] == "close"
    record = next(record for record in caplog.records if record.levelno == logging.CRITICAL)
    assert record.exc_info is not None


def test_cancelled_rows_never_reach_the_runtime_and_leave_the_counts_at_once(serve: Serve) -> None:
    runtime = FakeRuntime()
    engine = serve(runtime)
    occupy(engine, runtime)
    before, gone, after = (engine.submit([row_of(number, number)]) for number in (1, 2, 3))
    assert gone.cancel()
    assert (engine.waiting_rows, engine.waiting_tokens) == (2, 4)
    runtime.gate.open()
    assert vectors(before) == expected(runtime, row_of(1, 1))
    assert vectors(after) == expected(runtime, row_of(3, 3))
    assert ids(runtime.batches[1]) == [[1, 1], [3, 3]]
    with pytest.raises(CancelledError):
        gone.result(PATIENCE_S)
    assert gone in wait([gone], PATIENCE_S).done


def test_a_caller_who_leaves_during_the_batch_harms_nobody(serve: Serve) -> None:
    runtime = FakeRuntime()
    engine = serve(runtime)
    held = occupy(engine, runtime)
    assert held.cancel()
    follower = engine.submit([row_of(1)])
    runtime.gate.open()
    assert vectors(follower) == expected(runtime, row_of(1))
    assert engine.ready


def test_identical_rows_are_computed_once_for_all(serve: Serve) -> None:
    runtime = FakeRuntime()
    engine = serve(runtime)
    occupy(engine, runtime)
    first = engine.submit([row_of(1), row_of(2), row_of(1)])
    second = engine.submit([row_of(2)])
    runtime.gate.open()
    assert vectors(first) == expected(runtime, row_of(1), row_of(2), row_of(1))
    assert vectors(second) == expected(runtime, row_of(2))
    assert ids(runtime.batches[1]) == [[1], [2]]


def test_twins_do_not_share_memory(serve: Serve) -> None:
    runtime = FakeRuntime()
    engine = serve(runtime)
    occupy(engine, runtime)
    twins = [engine.submit([row_of(1)]) for _ in range(2)]
    runtime.gate.open()
    vectors_in(twins[0].result(PATIENCE_S))[:] = 0
    assert vectors(twins[1]) == expected(runtime, row_of(1))


def test_cancelling_one_of_two_twins_keeps_the_other(serve: Serve) -> None:
    runtime = FakeRuntime()
    engine = serve(runtime)
    occupy(engine, runtime)
    gone, stays = (engine.submit([row_of(1)]) for _ in range(2))
    gone.cancel()
    runtime.gate.open()
    assert vectors(stays) == expected(runtime, row_of(1))


def test_overload_is_refused_with_a_time_and_recovers(serve: Serve) -> None:
    runtime = FakeRuntime()
    engine = serve(runtime, Policy(batch_tokens=64, waiting_tokens=4))
    occupy(engine, runtime)
    waiting = engine.submit([row_of(1, 2, 3)])
    with pytest.raises(Overloaded, match="limit of 4; try again in 1 s") as refused:
        engine.submit([row_of(4, 5)])
    assert refused.value.retry_after >= 1.0
    assert engine.waiting_tokens == 3
    later_part = engine.submit([row_of(6, 7)], admitted=True)
    runtime.gate.open()
    vectors(waiting)
    vectors(later_part)
    assert vectors(engine.submit([row_of(4, 5)])) == expected(runtime, row_of(4, 5))


def test_a_cancelled_call_makes_room_for_the_next_at_once(serve: Serve) -> None:
    runtime = FakeRuntime()
    engine = serve(runtime, Policy(batch_tokens=64, waiting_tokens=4))
    occupy(engine, runtime)
    engine.submit([row_of(1, 2, 3)]).cancel()
    assert not engine.submit([row_of(4, 5, 6, 7)]).done()


def test_a_call_alone_is_admitted_however_large(serve: Serve) -> None:
    engine = serve(FakeRuntime(), Policy(batch_tokens=64, waiting_tokens=4))
    assert len(vectors(engine.submit([row_of(*range(100))]))) == 1


@pytest.mark.parametrize("rows", [[], [row_of(1), row_of()]])
def test_nothing_to_compute_is_refused(serve: Serve, rows: list[Row]) -> None:
    with pytest.raises(EmptyInput):
        serve(FakeRuntime()).submit(rows)


@pytest.mark.parametrize("option", ["batch_tokens", "batch_rows", "waiting_tokens", "bulk_age_s"])
def test_an_impossible_policy_is_refused_by_name(option: str) -> None:
    options: dict[str, int] = {"batch_tokens": 64, option: -1}
    with pytest.raises(ConfigInvalid, match=option):
        Policy(**options)


def test_close_answers_what_waits_and_takes_nothing_new(serve: Serve) -> None:
    runtime = FakeRuntime()
    engine = serve(runtime)
    held = occupy(engine, runtime)
    waiting = engine.submit([row_of(number) for number in range(100)])
    with ThreadPoolExecutor() as pool:
        closing = pool.submit(engine.close)
        end = time.monotonic() + PATIENCE_S
        while engine.ready:
            assert time.monotonic() < end
        with pytest.raises(Unavailable, match="shutting down"):
            engine.submit([row_of(1)])
        runtime.gate.open()
        closing.result(PATIENCE_S)
    assert held.done()
    assert waiting.done()
    assert len(vectors(waiting)) == 100
    assert runtime.diary[-1] == "close"


def test_close_fails_the_rest_at_its_deadline(serve: Serve) -> None:
    runtime = FakeRuntime()
    engine = serve(runtime)
    held = occupy(engine, runtime)
    waiting = engine.submit([row_of(1)])
    with ThreadPoolExecutor() as pool:
        closing = pool.submit(engine.close, 0.0)
        for future in (held, waiting):
            with pytest.raises(Unavailable, match="shutting down"):
                future.result(PATIENCE_S)
        assert not closing.done()
        runtime.gate.open()
        closing.result(PATIENCE_S)
    assert ids(runtime.batches[-1]) == [[99]]


def test_close_may_be_called_by_many_and_again(serve: Serve) -> None:
    runtime = FakeRuntime()
    engine = serve(runtime)
    with ThreadPoolExecutor(4) as pool:
        for closing in [pool.submit(engine.close) for _ in range(4)]:
            closing.result(PATIENCE_S)
    engine.close()
    assert runtime.diary.count("close") == 1


def test_close_may_be_called_in_the_engines_own_thread(serve: Serve) -> None:
    runtime = FakeRuntime()
    engine = serve(runtime)
    occupy(engine, runtime)
    future = engine.submit([row_of(1)])
    future.add_done_callback(lambda _: engine.close())
    runtime.gate.open()
    vectors(future)
    engine.close()
    assert runtime.diary[-1] == "close"


def test_an_engine_that_was_never_started_closes_and_refuses(serve: Serve) -> None:
    runtime = FakeRuntime()
    engine = Engine(runtime, Policy(batch_tokens=64), name="fake")
    with pytest.raises(Unavailable, match="not been started"):
        engine.submit([row_of(1)])
    assert not engine.ready
    engine.close()
    engine.close()
    with pytest.raises(Unavailable, match="closed before"):
        engine.start()
    assert runtime.diary == ["close"]
    assert not serve(FakeRuntime()).submit([row_of(1)]).cancelled()


def test_eight_threads_get_their_own_right_answers(serve: Serve) -> None:
    runtime = FakeRuntime()
    engine = serve(runtime, Policy(batch_tokens=32, batch_rows=8))

    def caller(number: int) -> None:
        rng = random.Random(number)  # noqa: S311 - a repeatable test, not a secret
        for _ in range(60):
            rows = [row_of(*rng.choices(range(6), k=rng.randint(1, 6))) for _ in range(rng.choice([1, 2, 30]))]
            future = engine.submit(rows)
            if rng.random() < 0.2 and future.cancel():
                continue
            assert vectors(future) == expected(runtime, *rows)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(caller, number) for number in range(8)]:
            done.result(PATIENCE_S)
    assert (engine.waiting_rows, engine.waiting_tokens) == (0, 0)


async def test_cancelling_a_task_withdraws_its_rows(serve: Serve) -> None:
    runtime = FakeRuntime()
    engine = serve(runtime)
    held = asyncio.wrap_future(occupy(engine, runtime))

    async def call(number: int) -> list[list[float]]:
        return as_lists(await asyncio.wrap_future(engine.submit([row_of(number)])))

    gone, stays = asyncio.create_task(call(1)), asyncio.create_task(call(2))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert engine.waiting_rows == 1
    runtime.gate.open()
    assert await stays == expected(runtime, row_of(2))
    await held


def test_idle_warm_up_yields_to_work_after_each_step(serve: Serve) -> None:
    runtime = FakeRuntime(warm_up=("first", "second", "third"))
    runtime.warm_up_gate.shut()
    engine = serve(runtime, Policy(batch_tokens=64, batch_rows=1))
    runtime.warm_up_gate.wait_for_arrival()
    assert engine.ready
    assert not engine.wait_until_warm(0)
    future = engine.submit([row_of(1), row_of(2)])
    runtime.warm_up_gate.open()
    vectors(future)
    assert engine.wait_until_warm(PATIENCE_S)
    assert runtime.diary == ["first", "second", "forward", "forward", "third"]


def test_a_failing_later_step_stops_warming_and_nothing_else(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    runtime = FakeRuntime(warm_up=("first", ValueError("no code for 64"), "third"))
    engine = serve(runtime)
    assert not engine.wait_until_warm(PATIENCE_S)
    assert vectors(engine.submit([row_of(1)])) == expected(runtime, row_of(1))
    assert "no code for 64" in caplog.text
    assert "third" not in runtime.diary


@pytest.mark.parametrize(
    ("failure", "kind", "match"),
    [
        (ValueError("no device"), ForwardFailed, "first warm-up step: no device"),
        (ModelBroken("bad weights"), ModelBroken, "bad weights"),
        (SystemExit("bug"), Unavailable, "died of SystemExit"),
    ],
)
def test_start_raises_when_the_first_step_fails(failure: BaseException, kind: type[Exception], match: str) -> None:
    runtime = FakeRuntime(warm_up=(failure,))
    engine = Engine(runtime, Policy(batch_tokens=64), name="fake")
    with pytest.raises(kind, match=match):
        engine.start()
    engine.close()
    assert not engine.ready
    with pytest.raises(Unavailable):
        engine.submit([row_of(1)])
    assert runtime.diary == ["close"]


def test_the_observer_sees_each_batch_before_its_callers_do(serve: Serve) -> None:
    reports: list[BatchReport] = []
    runtime = FakeRuntime(fail=poison)
    engine = serve(runtime, Policy(batch_tokens=64, batch_rows=3), observe=reports.append, clock=lambda: 0.0)
    occupy(engine, runtime)
    future = engine.submit([row_of(1, 2), row_of(3), row_of(3), row_of(13)])
    other = engine.submit([row_of(4, 5, 6, 7)])
    runtime.gate.open()
    assert isinstance(future.exception(PATIENCE_S), ForwardFailed)
    assert reports[1] == BatchReport(
        rows=3,
        tokens=4,
        padded_tokens=6,
        seconds=0.0,
        deduplicated_rows=1,
        failed_rows=1,
    )
    vectors(other)


def test_a_failing_observer_is_logged_once_and_harms_nobody(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    def observe(_: BatchReport) -> None:
        msg = "no metrics today"
        raise RuntimeError(msg)

    engine = serve(FakeRuntime(), observe=observe)
    for number in range(3):
        vectors(engine.submit([row_of(number)]))
    assert engine.ready
    assert caplog.text.count("RuntimeError: no metrics today") == 1


def test_a_report_has_the_traces_of_its_calls_and_since_when_they_wait(serve: Serve) -> None:
    reports: list[BatchReport] = []
    times = iter(range(1000))
    runtime = FakeRuntime()
    engine = serve(runtime, observe=reports.append, clock=lambda: float(next(times)))
    occupy(engine, runtime)
    calls = [
        engine.submit([row_of(1), row_of(2)], trace="a"),
        engine.submit([row_of(1)]),
        engine.submit([row_of(3)], trace="b"),
    ]
    runtime.gate.open()
    for call in calls:
        vectors(call)
    assert reports[0].traced == ()
    [first, second] = reports[1].traced
    assert (first[0], second[0]) == ("a", "b")
    assert first[1] < second[1] < reports[1].began
