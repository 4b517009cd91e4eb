"""The shapes that batches are rounded to."""

import random

import pytest

from textmill.runtimes.flat import Shape
from textmill.runtimes.runtime import BATCH_ROWS
from textmill.runtimes.shapes import Shapes


def batches(budget: int, max_tokens: int) -> list[list[int]]:
    """Lengths of rows of batches that a scheduler could form: longest times rows within the budget, or one row alone."""
    rng = random.Random(1)  # noqa: S311 - repeatable test data
    found = [[n] for n in range(1, min(budget, max_tokens) + 1, 7)] + [[min(budget, max_tokens)]]
    for _ in range(2000):
        longest = rng.randint(1, min(budget, max_tokens))
        rows = rng.randint(1, min(BATCH_ROWS, budget // longest))
        found.append([longest] + [rng.randint(1, longest) for _ in range(rows - 1)])
    return found


def fit(shapes: Shapes, lengths: list[int]) -> Shape:
    return shapes.fit(sum(lengths), len(lengths), max(lengths))


def holds(shape: Shape, lengths: list[int]) -> bool:
    return shape.tokens >= sum(lengths) and shape.rows >= len(lengths) and shape.length >= max(lengths)


@pytest.mark.parametrize(("budget", "max_tokens"), [(512, 256), (512, 512), (1024, 128), (100, 77), (16, 8), (8, 3)])
def test_every_batch_within_the_budget_fits_a_shape_that_is_warm_after_the_first_step(
    budget: int, max_tokens: int
) -> None:
    shapes = Shapes(budget, max_tokens)
    coarse, _ = shapes.plan()
    for shape in coarse:
        shapes.add(shape)
    tokens = {shape.tokens for shape in coarse}
    grids = {(shape.rows, shape.length) for shape in coarse}
    for lengths in batches(budget, max_tokens):
        shape = fit(shapes, lengths)
        assert holds(shape, lengths)
        assert shape.tokens in tokens
        assert (shape.rows, shape.length) in grids


@pytest.mark.parametrize(("budget", "max_tokens"), [(512, 256), (768, 256), (8192, 8192)])
def test_after_the_last_step_little_is_padded(budget: int, max_tokens: int) -> None:
    shapes = Shapes(budget, max_tokens)
    for shape in [*shapes.plan()[0], *shapes.plan()[1]]:
        shapes.add(shape)
    for lengths in batches(budget, max_tokens):
        shape = fit(shapes, lengths)
        assert shape.tokens - sum(lengths) < max(16, sum(lengths) / 16)
        assert shape.rows * shape.length <= 3 * len(lengths) * max(16, *lengths)


def test_rows_longer_than_the_budget_are_rounded_up_and_not_warmed() -> None:
    shapes = Shapes(256, 32_768)
    plan = [*shapes.plan()[0], *shapes.plan()[1]]
    assert max(shape.tokens for shape in plan) == 256
    for shape in plan:
        shapes.add(shape)
    for length in range(257, 8193, 61):
        shape = fit(shapes, [length])
        assert holds(shape, [length])
        assert shape.tokens - length < 64
        assert shape.rows * shape.length - length < 64


def test_a_batch_that_no_warm_shape_holds_is_rounded_up() -> None:
    assert Shapes(512, 256).fit(33, 3, 17) == Shape(64, 3, 64)


def test_a_tighter_shape_is_used_as_soon_as_it_is_warm() -> None:
    shapes = Shapes(512, 256)
    shapes.add(Shape(512, 8, 64))
    assert shapes.fit(40, 2, 20) == Shape(512, 8, 64)
    shapes.add(Shape(48, 2, 32))
    assert shapes.fit(40, 2, 20) == Shape(48, 2, 32)


def test_the_plan_is_a_sum_and_not_a_product() -> None:
    coarse, fine = Shapes(512, 256).plan()
    assert len(coarse) < 30
    assert len(coarse) + len(fine) < 90


def test_a_large_budget_warms_no_more_than_a_moderate_one() -> None:
    shapes = Shapes(32_768, 32_768)
    coarse, fine = shapes.plan()
    assert max(max(shape.tokens, shape.rows * shape.length) for shape in [*coarse, *fine]) <= 4096
    for shape in coarse:
        shapes.add(shape)
    assert fit(shapes, [30_000]) == Shape(30_016, 1, 30_016)
    assert fit(shapes, [3000, 2000]) == Shape(5056, 2, 3008)


def test_no_shape_has_more_rows_than_come_together() -> None:
    coarse, fine = Shapes(512, 256, 6).plan()

    assert max(shape.rows for shape in coarse + fine) == 6
