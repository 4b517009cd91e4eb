"""Rows that come while identical ones run wait for the answer of these."""

from __future__ import annotations

import pytest
from tests.engine.test_engine import PATIENCE_S, Serve, as_lists, expected, ids, occupy, vectors

from textmill.contract import BatchReport
from textmill.errors import ForwardFailed
from textmill.testing.runtime import FakeRuntime, row_of


def test_a_row_that_comes_while_its_twin_runs_is_not_computed_again(serve: Serve) -> None:
    runtime = FakeRuntime()
    reports: list[BatchReport] = []
    engine = serve(runtime, observe=reports.append)
    first = occupy(engine, runtime)
    second = engine.submit([row_of(1), row_of(99), row_of(99)])
    third = engine.submit([row_of(99)])
    assert engine.waiting_rows == 1
    assert first.cancel()  # who asked first leaves; the others wait for what runs
    runtime.gate.open()
    assert vectors(second) == expected(runtime, row_of(1), row_of(99), row_of(99))
    answer = third.result(PATIENCE_S)
    assert as_lists(answer) == expected(runtime, row_of(99))
    assert (answer.queue_s, answer.inference_s >= 0) == (0.0, True)
    assert [ids(batch) for batch in runtime.batches] == [[[99]], [[1]]]
    assert sum(report.deduplicated_rows for report in reports) == 3


def test_who_joins_a_row_that_fails_gets_its_error_and_the_next_one_a_new_try(serve: Serve) -> None:
    runtime = FakeRuntime(fail=lambda _: ValueError("once") if len(runtime.batches) == 1 else None)
    engine = serve(runtime)
    first = occupy(engine, runtime)
    second = engine.submit([row_of(99)])
    other = engine.submit([row_of(1)])
    runtime.gate.open()
    for future in (first, second):
        with pytest.raises(ForwardFailed, match="once"):
            future.result(PATIENCE_S)
    assert vectors(other) == expected(runtime, row_of(1))
    assert vectors(engine.submit([row_of(99)])) == expected(runtime, row_of(99))
