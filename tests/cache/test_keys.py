"""Whatever tells two rows apart tells their keys apart."""

from __future__ import annotations

from itertools import combinations

import pytest

from textmill.arch.heads import Output
from textmill.cache.keys import KEY_BYTES, Keys
from textmill.runtimes.runtime import Row
from textmill.testing.runtime import row_of

ROWS = {
    "plain": row_of(1, 2, 3),
    "other ids": row_of(1, 2, 4),
    "other order": row_of(2, 1, 3),
    "fewer": row_of(1, 2),
    "with zero types": row_of(1, 2, 3, types=[0, 0, 0]),
    "with types": row_of(1, 2, 3, types=[0, 1, 1]),
    "ids as long as ids and types": row_of(1, 2, 3, 0, 1, 1),
    "prompt left out": row_of(1, 2, 3, prompt_tokens=1),
    "attended": row_of(1, 2, 3, attended=2),
    "attended nothing": row_of(1, 2, 3, attended=0),
    "adapter": row_of(1, 2, 3, adapter=1),
}
MODELS = {
    "model": Keys("f00d", "openvino"),
    "other fingerprint": Keys("f00e", "openvino"),
    "other runtime": Keys("f00d", "torch"),
    "the same letters": Keys("f00", "dopenvino"),
    "fewer parts": Keys("f00dopenvino"),
}


@pytest.mark.parametrize(("one", "other"), list(combinations(ROWS, 2)))
def test_rows_that_differ_have_different_keys(one: str, other: str) -> None:
    keys = MODELS["model"]
    assert keys.of(ROWS[one], "dense") != keys.of(ROWS[other], "dense")


@pytest.mark.parametrize(("one", "other"), list(combinations(MODELS, 2)))
def test_models_that_differ_have_different_keys(one: str, other: str) -> None:
    row = ROWS["plain"]
    assert MODELS[one].of(row, "dense") != MODELS[other].of(row, "dense")


def test_outputs_have_different_keys() -> None:
    outputs: tuple[Output, ...] = ("dense", "sparse", "logits")
    assert len({MODELS["model"].of(ROWS["plain"], output) for output in outputs}) == len(outputs)


def test_equal_rows_have_equal_keys_whoever_made_them() -> None:
    made = [Keys("f00d", "openvino").of(row, "dense") for row in (row_of(1, 2, 3), Row(row_of(0, 1, 2, 3).ids[1:]))]
    assert made[0] == made[1]
    assert len(made[0]) == KEY_BYTES
