from __future__ import annotations

import random
from itertools import count
from typing import NamedTuple

import pytest

from textmill.engine.scheduler import Entry, Lane, Scheduler
from textmill.runtimes.runtime import Row
from textmill.testing.runtime import row_of

_serial = count()


def fresh(length: int) -> Row:
    """A row unlike any other: its first id is a serial number."""
    return row_of(next(_serial), *[7] * (length - 1))


def lengths(batch: list[Entry[str]]) -> list[int]:
    return [entry.length for entry in batch]


def scheduler(*, batch_tokens: int = 16, batch_rows: int = 8, bulk_age_s: float = 1.0) -> Scheduler[str]:
    return Scheduler(batch_tokens=batch_tokens, batch_rows=batch_rows, bulk_age_s=bulk_age_s)


def lined_up(*row_lengths: int, batch_tokens: int = 16, batch_rows: int = 8) -> Scheduler[str]:
    line = scheduler(batch_tokens=batch_tokens, batch_rows=batch_rows)
    for length in row_lengths:
        line.add([fresh(length)], "owner", Lane.INTERACTIVE, 0.0)
    return line


def drain(line: Scheduler[str], now: float = 0.0) -> list[list[int]]:
    batches = []
    while batch := line.next_batch(now):
        batches.append(lengths(batch))
    return batches


def test_rows_share_a_batch_up_to_the_budget_of_padded_tokens() -> None:
    assert drain(lined_up(4, 4, 4, 4, 4)) == [[4, 4, 4, 4], [4]]


def test_rows_share_a_batch_up_to_the_limit_of_rows() -> None:
    assert drain(lined_up(1, 1, 1, 1, 1, batch_rows=2)) == [[1, 1], [1, 1], [1]]


def test_the_nearest_lengths_join_the_leader_from_both_sides() -> None:
    assert drain(lined_up(5, 1, 9, 6, 4, 20, batch_tokens=18)) == [[5, 4, 6], [1, 9], [20]]


def test_rows_of_equal_length_run_in_the_order_of_arrival() -> None:
    line = scheduler(batch_tokens=4)
    rows = [fresh(2) for _ in range(5)]
    line.add(rows, "owner", Lane.INTERACTIVE, 0.0)
    taken = []
    while batch := line.next_batch(0.0):
        taken += [entry.row for entry in batch]
    assert [row.ids[0] for row in taken] == [row.ids[0] for row in rows]


def test_a_longer_row_that_would_break_the_budget_leaves_room_for_shorter_ones() -> None:
    assert drain(lined_up(6, 7, 3, batch_tokens=12)) == [[6, 3], [7]]


def test_the_oldest_row_leads_however_odd_its_length() -> None:
    line = lined_up(12)
    for _ in range(100):
        line.add([fresh(2)], "owner", Lane.INTERACTIVE, 0.0)
    assert lengths(line.next_batch(0.0))[0] == 12


def test_a_row_longer_than_the_budget_goes_alone() -> None:
    assert drain(lined_up(40, 1, 40, 1)) == [[40], [1, 1], [40]]


def test_interactive_rows_go_before_bulk_rows_and_do_not_share_a_batch() -> None:
    line = scheduler()
    line.add([fresh(2), fresh(2)], "bulk", Lane.BULK, 0.0)
    line.add([fresh(3)], "someone", Lane.INTERACTIVE, 0.5)
    assert drain(line, now=0.6) == [[3], [2, 2]]


def test_a_bulk_row_of_the_age_bound_leads_the_next_batch() -> None:
    line = scheduler(bulk_age_s=1.0)
    line.add([fresh(2)], "bulk", Lane.BULK, 0.0)
    line.add([fresh(3)], "someone", Lane.INTERACTIVE, 0.0)
    assert lengths(line.next_batch(1.0)) == [2]


def test_aged_bulk_batches_never_come_in_a_row_while_interactive_rows_wait() -> None:
    line = scheduler(batch_rows=1)
    line.add([fresh(2) for _ in range(3)], "bulk", Lane.BULK, 0.0)
    line.add([fresh(3) for _ in range(3)], "someone", Lane.INTERACTIVE, 9.0)
    assert drain(line, now=9.0) == [[2], [3], [2], [3], [2], [3]]


def test_an_interactive_row_goes_straight_after_a_running_bulk_batch() -> None:
    line = scheduler(batch_rows=1)
    line.add([fresh(2), fresh(2)], "bulk", Lane.BULK, 0.0)
    assert lengths(line.next_batch(9.0)) == [2]
    line.add([fresh(3)], "someone", Lane.INTERACTIVE, 9.0)
    assert lengths(line.next_batch(9.0)) == [3]


def test_single_rows_pass_a_call_of_ten_thousand_rows() -> None:
    line = scheduler(batch_tokens=64, batch_rows=16)
    line.add([fresh(1 + number % 50) for number in range(10_000)], "bulk", Lane.BULK, 0.0)
    for number in range(100):
        line.add([fresh(5)], f"single {number}", Lane.INTERACTIVE, float(number))
        owners = [{owner for owner, _ in entry.waiters} for _ in range(2) for entry in line.next_batch(float(number))]
        assert {f"single {number}"} in owners
        assert {"bulk"} in owners


def test_identical_rows_are_one_entry_with_several_waiters() -> None:
    line = scheduler()
    line.add([row_of(1, 2), row_of(3), row_of(1, 2)], "a", Lane.INTERACTIVE, 0.0)
    line.add([row_of(1, 2)], "b", Lane.INTERACTIVE, 0.0)
    assert (line.rows, line.tokens) == (2, 3)
    batch = line.next_batch(0.0)
    assert [entry.waiters for entry in batch] == [[("a", 0), ("a", 2), ("b", 0)], [("a", 1)]]


@pytest.mark.parametrize(
    "other",
    [
        row_of(1, 3),
        row_of(1, 2, types=[0, 1]),
        row_of(1, 2, prompt_tokens=1),
        row_of(1, 2, 0),
        row_of(1, 2, attended=1),
        row_of(1, 2, adapter=1),
        row_of(1, 2, outputs=("tokens",)),
        row_of(1, 2, outputs=("dense", "tokens")),
    ],
)
def test_rows_that_differ_in_anything_are_not_twins(other: Row) -> None:
    line = scheduler()
    line.add([row_of(1, 2), other], "a", Lane.INTERACTIVE, 0.0)
    assert line.rows == 2


def test_rows_that_differ_in_nothing_are_twins_whatever_they_want() -> None:
    line = scheduler()
    for _ in range(2):
        line.add([row_of(1, 2, attended=1, adapter=2, outputs=("tokens", "sparse"))], "a", Lane.INTERACTIVE, 0.0)
    assert line.rows == 1


def test_an_interactive_twin_takes_a_bulk_row_along() -> None:
    line = scheduler()
    line.add([row_of(1), row_of(2)], "bulk", Lane.BULK, 0.0)
    line.add([row_of(2)], "someone", Lane.INTERACTIVE, 0.0)
    batch = line.next_batch(0.0)
    assert [entry.waiters for entry in batch] == [[("bulk", 1), ("someone", 0)]]
    assert line.rows == 1


def test_a_bulk_twin_does_not_hold_an_interactive_row_back() -> None:
    line = scheduler()
    line.add([row_of(2)], "someone", Lane.INTERACTIVE, 0.0)
    line.add([row_of(1), row_of(2)], "bulk", Lane.BULK, 0.0)
    assert [entry.row.ids.tolist() for entry in line.next_batch(0.0)] == [[2]]


def test_withdrawn_rows_are_gone_from_batches_and_counts_at_once() -> None:
    line = scheduler()
    entries = line.add([fresh(3), fresh(4)], "gone", Lane.INTERACTIVE, 0.0)
    line.add([fresh(5)], "stays", Lane.INTERACTIVE, 0.0)
    line.withdraw(entries)
    assert (line.rows, line.tokens) == (1, 5)
    assert drain(line) == [[5]]


def test_a_withdrawn_twin_leaves_the_other_in_line() -> None:
    line = scheduler()
    gone = line.add([row_of(1), row_of(1)], "gone", Lane.INTERACTIVE, 0.0)
    line.add([row_of(1)], "stays", Lane.INTERACTIVE, 0.0)
    line.withdraw(gone)
    assert [entry.wanted for entry in line.next_batch(0.0)] == [1]


def test_withdrawing_rows_that_have_started_changes_nothing() -> None:
    line = scheduler(batch_rows=1)
    entries = line.add([row_of(1), row_of(2)], "owner", Lane.INTERACTIVE, 0.0)
    line.next_batch(0.0)
    line.withdraw(entries)
    assert (line.rows, line.tokens) == (0, 0)
    assert line.next_batch(0.0) == []


class Waiting(NamedTuple):
    """A row as the naive model sees it."""

    number: int
    length: int
    lane: Lane
    since: float


class NaiveScheduler:
    """The rules said again in the plainest way: lists, sorting and no twins."""

    def __init__(self, tokens: int, rows: int, age: float) -> None:
        self.tokens, self.rows, self.age = tokens, rows, age
        self.waiting: list[Waiting] = []
        self.previous = Lane.INTERACTIVE

    def next_batch(self, now: float) -> list[int]:
        lanes = {lane: [row for row in self.waiting if row.lane is lane] for lane in Lane}
        lane = Lane.INTERACTIVE if lanes[Lane.INTERACTIVE] else Lane.BULK
        if lanes[Lane.INTERACTIVE] and lanes[Lane.BULK] and self.previous is Lane.INTERACTIVE:
            lane = Lane.BULK if now - lanes[Lane.BULK][0].since >= self.age else Lane.INTERACTIVE
        if not lanes[lane]:
            return []
        self.previous = lane
        leader, *others = lanes[lane]
        batch = [leader]
        nearest = sorted(others, key=lambda row: (abs(row.length - leader.length), row.length))
        for row in nearest:
            longest = max(row.length, *(taken.length for taken in batch), 0)
            if longest * (len(batch) + 1) <= self.tokens and len(batch) < self.rows:
                batch.append(row)
        self.waiting = [row for row in self.waiting if row not in batch]
        return [row.number for row in batch]


@pytest.mark.parametrize("seed", range(20))
def test_it_decides_as_a_naive_model_does_whatever_happens(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - a repeatable test, not a secret
    tokens, rows = rng.choice([16, 64, 200]), rng.choice([3, 8, 1000])
    line = Scheduler[int](batch_tokens=tokens, batch_rows=rows, bulk_age_s=5.0)
    model = NaiveScheduler(tokens, rows, 5.0)
    entries: dict[int, list[Entry[int]]] = {}
    numbers = count()
    for step in range(300):
        now = float(step)
        event = rng.random()
        if event < 0.6:
            lane = rng.choice(list(Lane))
            for _ in range(rng.choice([1, 1, 5])):
                number, length = next(numbers), rng.randint(1, 40)
                entries[number] = line.add([row_of(number, *[0] * (length - 1))], number, lane, now)
                model.waiting.append(Waiting(number, length, lane, now))
        elif event < 0.7 and model.waiting:
            gone = rng.choice(model.waiting)
            line.withdraw(entries[gone.number])
            model.waiting.remove(gone)
        else:
            batch = [entry.waiters[0][0] for entry in line.next_batch(now)]
            assert batch == model.next_batch(now)
        assert line.rows == len(model.waiting)
        assert line.tokens == sum(row.length for row in model.waiting)


def test_rows_that_run_are_joined_until_their_batch_has_landed() -> None:
    line = scheduler()
    line.add([row_of(1)], "first", Lane.BULK, 0.0)
    batch = line.next_batch(0.0)
    (joined,) = line.add([row_of(1)], "second", Lane.INTERACTIVE, 0.0)
    assert joined is batch[0]
    assert (line.rows, joined.wanted, line.next_batch(0.0)) == (0, 2, [])
    line.withdraw([joined])  # of what runs nothing is taken back
    line.landed(batch)
    (anew,) = line.add([row_of(1)], "third", Lane.INTERACTIVE, 0.0)
    assert anew is not joined
    assert line.next_batch(0.0) == [anew]
