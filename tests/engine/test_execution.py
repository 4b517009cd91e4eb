from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from textmill.engine.execution import Execution, Outcome
from textmill.engine.scheduler import Entry, Lane, Scheduler
from textmill.engine.ticket import Ticket
from textmill.runtimes.runtime import Answers, Row
from textmill.testing.runtime import FakeRuntime, row_of


def entries(*numbers: int) -> list[Entry[Ticket]]:
    return entries_of(*(row_of(number) for number in numbers))


def entries_of(*rows: Row) -> list[Entry[Ticket]]:
    line: Scheduler[Ticket] = Scheduler(batch_tokens=100, batch_rows=100, bulk_age_s=1.0)
    return line.add(rows, Ticket(rows, 0.0), Lane.INTERACTIVE, 0.0)


def numbers(some: list[Entry[Ticket]]) -> list[int]:
    return [int(entry.row.ids[0]) for entry in some]


def done(outcome: Outcome) -> dict[int, list[float]]:
    return {
        number: vector.tolist()
        for piece, made in outcome.done
        for number, vector in zip(numbers(piece), made["dense"], strict=True)
    }


def failed(outcome: Outcome) -> list[int]:
    return [number for failure in outcome.failures for number in numbers(failure.entries)]


def bad(*numbers: int) -> Callable[[Row], Exception | None]:
    return lambda row: ValueError("bad") if row.ids[0] in numbers else None


def test_a_bad_row_is_found_in_few_calls_and_fails_alone() -> None:
    runtime = FakeRuntime(fail=bad(5))
    outcome = Execution(runtime).run(entries(*range(64)))
    assert failed(outcome) == [5]
    assert done(outcome) == {n: runtime.vector(row_of(n)).tolist() for n in range(64) if n != 5}
    assert len(runtime.batches) == 13


def test_a_runtime_that_always_fails_is_called_a_bounded_number_of_times() -> None:
    runtime = FakeRuntime(fail=bad(*range(10)))
    outcome = Execution(runtime).run(entries(*range(10)))
    assert sorted(failed(outcome)) == list(range(10))
    assert len(runtime.batches) == 19


def test_a_batch_too_large_for_memory_runs_in_pieces() -> None:
    class Small(FakeRuntime):
        def forward(self, rows: Sequence[Row]) -> Answers:
            if len(rows) > 4:
                raise MemoryError
            return super().forward(rows)

    outcome = Execution(Small()).run(entries(*range(9)))
    assert sorted(done(outcome)) == list(range(9))
    assert not outcome.failures


def test_an_error_without_words_is_named_by_its_kind() -> None:
    outcome = Execution(FakeRuntime(fail=lambda _: MemoryError())).run(entries(1))
    assert outcome.failures[0].message.endswith("1 tokens: MemoryError")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_fails_only_its_row(value: float) -> None:
    def spoil(vectors: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> object:
        vectors[1, 3] = value
        return vectors

    runtime = FakeRuntime(spoil=spoil)
    outcome = Execution(runtime).run(entries(7, 8, 9))
    assert failed(outcome) == [8]
    assert outcome.failures[0].message.endswith("gave NaN or infinity for this input; report the model")
    assert done(outcome) == {n: runtime.vector(row_of(n)).tolist() for n in (7, 9)}


def test_float32_is_a_way_out_where_it_is_not_what_ran() -> None:
    runtime = FakeRuntime(dtype="bfloat16", spoil=lambda vectors: vectors * np.float32(np.nan))
    outcome = Execution(runtime).run(entries(7))
    assert outcome.failures[0].message.startswith("the bfloat16 runtime gave NaN or infinity")
    assert "try dtype float32" in outcome.failures[0].message


@pytest.mark.parametrize(
    "spoil",
    [
        lambda vectors: vectors[:-1],
        lambda vectors: vectors[0],
        lambda vectors: vectors.astype(np.float64),
        lambda vectors: vectors[:, :, None],
        lambda vectors: vectors.tolist(),
        lambda _: None,
        lambda _: np.float32(1),
    ],
)
def test_an_answer_of_the_wrong_kind_fails_the_batch_without_another_try(spoil: Callable[[object], object]) -> None:
    runtime = FakeRuntime(spoil=spoil)
    outcome = Execution(runtime).run(entries(1, 2, 3))
    assert failed(outcome) == [1, 2, 3]
    assert "must answer dense with float32 of shape (3, " in outcome.failures[0].message
    assert len(runtime.batches) == 1


def test_the_number_of_dimensions_may_not_change_between_batches() -> None:
    answers = iter([8, 8, 7, 8])
    execution = Execution(FakeRuntime(spoil=lambda vectors: vectors[:, : next(answers)]))
    outcomes = [execution.run(entries(1)) for _ in range(4)]
    assert [len(outcome.failures) for outcome in outcomes] == [0, 0, 1, 0]


TOKENS = [row_of(7, 1, outputs=("tokens",)), row_of(8, outputs=("tokens",)), row_of(9, 1, 2, outputs=("tokens",))]
SPARSES = [row_of(number, outputs=("sparse",)) for number in (7, 8, 9)]


def test_rows_of_several_wishes_share_a_batch_and_get_what_they_want() -> None:
    runtime = FakeRuntime()
    rows = [row_of(1, 2), TOKENS[0], SPARSES[1], row_of(3, outputs=("dense", "tokens", "sparse"))]
    outcome = Execution(runtime).run(entries_of(*rows))
    ((piece, made),) = outcome.done
    assert len(piece) == len(rows)
    assert set(made) == {"dense", "tokens", "sparse"}
    assert np.array_equal(made["tokens"][1], runtime.states(TOKENS[0]))
    assert np.array_equal(made["sparse"][2], runtime.weights(SPARSES[1]))
    assert np.array_equal(made["dense"][3], runtime.vector(rows[3]))


def test_a_state_that_is_not_finite_fails_only_its_row() -> None:
    def spoil(states: list[npt.NDArray[np.float32]]) -> object:
        states[2][1, 3] = np.nan
        return states

    runtime = FakeRuntime(spoil=spoil)
    outcome = Execution(runtime).run(entries_of(*TOKENS))
    assert failed(outcome) == [9]
    ((piece, made),) = outcome.done
    assert numbers(piece) == [7, 8]
    assert [part.tolist() for part in made["tokens"]] == [runtime.states(row).tolist() for row in TOKENS[:2]]


def test_a_weight_that_is_not_finite_fails_only_its_row() -> None:
    def spoil(rows: list[npt.NDArray[Any]]) -> object:
        rows[1]["value"][0] = np.inf
        return rows

    runtime = FakeRuntime(spoil=spoil)
    outcome = Execution(runtime).run(entries_of(*SPARSES))
    assert failed(outcome) == [8]
    ((piece, made),) = outcome.done
    assert numbers(piece) == [7, 9]
    assert [part.tolist() for part in made["sparse"]] == [runtime.weights(SPARSES[place]).tolist() for place in (0, 2)]


@pytest.mark.parametrize(
    ("spoil", "wanted"),
    [
        (lambda states: states[:-1], "an array for each of 3 rows"),
        (np.concatenate, "an array for each of 3 rows"),
        (lambda _: None, "an array for each of 3 rows"),
        (lambda states: [states[1], states[0], states[2]], r"float32 of shape \(2, features\)"),
        (lambda states: [*states[:2], states[2][:, :5]], r"float32 of shape \(3, 8\)"),
        (lambda states: [state.astype(np.float64) for state in states], r"float32 of shape \(2, features\)"),
        (lambda states: [*states[:2], None], r"float32 of shape \(3, 8\)"),
    ],
)
def test_states_of_the_wrong_kind_fail_the_batch(spoil: Callable[[Any], object], wanted: str) -> None:
    outcome = Execution(FakeRuntime(spoil=spoil)).run(entries_of(*TOKENS))
    assert failed(outcome) == [7, 8, 9]
    assert re.search(f"must answer tokens with {wanted}", outcome.failures[0].message)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: rows[:-1],
        lambda _: np.zeros((3, 8), np.float32),
        lambda rows: [*rows[:2], None],
        lambda rows: [*rows[:2], np.zeros(8, np.float32)],
        lambda rows: [*rows[:2], rows[2][None]],
    ],
)
def test_sparse_rows_of_the_wrong_kind_fail_the_batch(spoil: Callable[[Any], object]) -> None:
    outcome = Execution(FakeRuntime(spoil=spoil)).run(entries_of(*SPARSES))
    assert failed(outcome) == [7, 8, 9]
    assert "must answer sparse with 3 sparse rows" in outcome.failures[0].message


def test_an_output_that_nobody_wants_is_not_looked_at() -> None:
    class Generous(FakeRuntime):
        def forward(self, rows: Sequence[Row]) -> Answers:
            return {**super().forward(rows), "tokens": []}

    runtime = Generous(spoil=lambda vectors: np.where(np.arange(3)[:, None] == 1, np.float32(np.nan), vectors))
    outcome = Execution(runtime).run(entries(7, 8, 9))
    assert failed(outcome) == [8]
    assert sorted(done(outcome)) == [7, 9]
