"""Calls that want something else than one vector a row, from the engine's line and back."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import numpy as np
import numpy.typing as npt

from textmill.engine.engine import Engine, Policy
from textmill.engine.ticket import Answer
from textmill.testing.runtime import FakeRuntime, row_of

Serve = Callable[..., Engine]
PATIENCE_S = 10.0


def parts(future: Future[Answer], output: str) -> list[npt.NDArray[Any]]:
    made = future.result(PATIENCE_S).outputs
    assert set(made) == {output}
    return list(made[output])  # type: ignore[index]  # the test's own names


def occupy(engine: Engine, runtime: FakeRuntime) -> None:
    runtime.gate.shut()
    engine.submit([row_of(99)])
    runtime.gate.wait_for_arrival()


def test_states_come_in_the_order_of_the_rows_across_batches(serve: Serve) -> None:
    runtime = FakeRuntime()
    rows = [row_of(*range(1, 2 + number % 9), number, outputs=("tokens",)) for number in range(100)]
    answer = serve(runtime, Policy(batch_tokens=16)).submit(rows)
    for part, row in zip(parts(answer, "tokens"), rows, strict=True):
        np.testing.assert_array_equal(part, runtime.states(row))
    assert len(runtime.batches) > 10


def test_sparse_rows_come_in_the_order_of_the_rows_across_batches(serve: Serve) -> None:
    runtime = FakeRuntime()
    rows = [row_of(number, outputs=("sparse",)) for number in range(100)]
    answer = serve(runtime, Policy(batch_tokens=16)).submit(rows)
    for part, row in zip(parts(answer, "sparse"), rows, strict=True):
        np.testing.assert_array_equal(part, runtime.weights(row))
    assert len(runtime.batches) > 5


def test_calls_of_several_wishes_share_a_batch_and_each_gets_its_own(serve: Serve) -> None:
    runtime = FakeRuntime()
    engine = serve(runtime)
    occupy(engine, runtime)
    dense = engine.submit([row_of(1, 2)])
    tokens = engine.submit([row_of(1, 2, outputs=("tokens",))])
    both = engine.submit([row_of(1, 2, outputs=("sparse", "dense"))])
    runtime.gate.open()
    np.testing.assert_array_equal(parts(dense, "dense"), [runtime.vector(row_of(1, 2))])
    np.testing.assert_array_equal(parts(tokens, "tokens"), [runtime.states(row_of(1, 2))])
    outputs = both.result(PATIENCE_S).outputs
    assert set(outputs) == {"sparse", "dense"}
    np.testing.assert_array_equal(outputs["sparse"][0], runtime.weights(row_of(1, 2)))
    np.testing.assert_array_equal(outputs["dense"], [runtime.vector(row_of(1, 2))])
    assert len(runtime.batches[1]) == 3


def test_twins_do_not_share_the_memory_of_states_or_sparse_rows(serve: Serve) -> None:
    runtime = FakeRuntime()
    engine = serve(runtime)
    occupy(engine, runtime)
    row = row_of(1, 2, outputs=("tokens", "sparse"))
    first, second = (engine.submit([row, row]) for _ in range(2))
    runtime.gate.open()
    spoilt = first.result(PATIENCE_S).outputs
    spoilt["tokens"][0][:] = 0
    spoilt["sparse"][0]["value"] = 0
    for outputs, place in ((spoilt, 1), (second.result(PATIENCE_S).outputs, 0)):
        np.testing.assert_array_equal(outputs["tokens"][place], runtime.states(row))
        np.testing.assert_array_equal(outputs["sparse"][place], runtime.weights(row))
    assert len(runtime.batches[1]) == 1
