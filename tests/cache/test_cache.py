"""Rows are found again by the model that they were computed for, and by no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from textmill.arch.heads import Output
from textmill.cache.cache import Cache, Recall
from textmill.cache.disk import Disk
from textmill.cache.memory import Memory
from textmill.runtimes.runtime import Row
from textmill.testing.runtime import FakeRuntime, row_of

RUNTIME = FakeRuntime()
ROW_OUTPUTS: list[Output] = ["dense", "logits", "sparse"]


def rows_of(*numbers: int, outputs: tuple[Output, ...] = ("dense",)) -> list[Row]:
    return [row_of(number, 7, outputs=outputs) for number in numbers]


def compute(recall: Recall, rows: list[Row]) -> int:
    """Have the fake compute what is not known; how much that was."""
    found = recall.look(rows)
    if recall.deep(found):
        recall.look_deeper(found)
    missed = recall.missed(found)
    made = RUNTIME.forward(missed) if missed else {}
    recall.keep(found, made)
    whole = found.joined(made)
    expected = RUNTIME.forward(rows)
    for output in rows[0].outputs:
        assert len(whole[output]) == len(rows)
        for one, other in zip(whole[output], expected[output], strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
            assert one.flags.writeable
    return len(missed)


@pytest.fixture(params=["memory", "disk", "both"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cache]:
    made = Cache(
        Memory(10**6) if request.param != "disk" else None,
        Disk(tmp_path / "cache", 10**6) if request.param != "memory" else None,
    )
    yield made
    made.close()


@pytest.mark.parametrize("output", ROW_OUTPUTS)
def test_what_was_computed_is_found_bit_by_bit(cache: Cache, output: Output) -> None:
    recall = cache.of("model", "f00d")
    assert compute(recall, rows_of(1, 2, 3, outputs=(output,))) == 3
    assert compute(recall, rows_of(1, 2, 3, outputs=(output,))) == 0
    assert compute(recall, rows_of(4, 2, 5, 1, 6, outputs=(output,))) == 3
    report = cache.report()
    assert sum(report.hits.values()) == 5
    assert report.misses == {"model": 6}


def test_rows_with_several_outputs_are_found_where_all_of_them_are(cache: Cache) -> None:
    recall = cache.of("model", "f00d")
    assert compute(recall, rows_of(1, outputs=("dense",))) == 1
    assert compute(recall, rows_of(1, outputs=("dense", "sparse"))) == 1
    assert compute(recall, rows_of(1, outputs=("sparse", "dense"))) == 0


def test_outputs_for_each_token_are_not_kept(cache: Cache) -> None:
    recall = cache.of("model", "f00d")
    for _ in range(2):
        assert compute(recall, rows_of(1, 2, outputs=("tokens",))) == 2
    assert cache.report().misses == {"model": 0}


def test_another_model_of_the_same_name_finds_nothing(cache: Cache) -> None:
    assert compute(cache.of("model", "f00d"), rows_of(1)) == 1
    assert compute(cache.of("model", "cafe"), rows_of(1)) == 1
    assert compute(cache.of("another", "f00d"), rows_of(1)) == 0


def test_what_the_disk_had_is_in_memory_from_then_on(tmp_path: Path) -> None:
    for tier in ("memory", "disk"):
        cache = Cache(Memory(10**6), Disk(tmp_path / "cache", 10**6))
        recall = cache.of("model", "f00d")
        compute(recall, rows_of(1, 2))
        compute(recall, rows_of(1, 2))
        report = cache.report()
        assert report.hits["model", "memory"] == 2
        assert report.hits.get(("model", "disk"), 0) == (2 if tier == "disk" else 0)
        cache.close()
