"""The few shapes that batches are rounded up to, so that a device generates code for each only once.

A batch has three sizes: T tokens in all, B rows, and L tokens in the longest row. What costs is the code that a device makes
when it meets a new T (linear layers, norms) or a new pair of B and L (attention); the rest adapts for nothing. So T is
rounded by itself, B and L as a pair, and the sum of both lists is warmed instead of their product. A batch only ever gets a
shape that is warm, the tightest there is: before warm-up ends it is padded a little more, and never waits for code.
Rows longer than a whole budget go alone, rounded up; beside what they take to compute, making code for them is little.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from itertools import pairwise

from textmill.runtimes.flat import Shape
from textmill.runtimes.runtime import BATCH_ROWS

_SHORTEST = 16
_WARMED = 2048
"""Tokens beyond which no shape is warmed: computing takes so much longer than making code, and warming would compute."""
_COLD = 64
"""To what sizes without a warm shape are rounded up, so that at least some of them repeat."""


class Shapes:
    """The shapes that are warm, and the plan of those to come. Pure: it runs nothing itself."""

    def __init__(self, batch_tokens: int, max_tokens: int, batch_rows: int = BATCH_ROWS) -> None:
        self._batch_tokens = batch_tokens
        self._batch_rows = batch_rows
        self._max_tokens = max_tokens
        self._tokens: list[int] = []
        self._grids: set[tuple[int, int]] = set()
        self._fits: dict[tuple[int, int], tuple[int, int]] = {}

    def plan(self) -> tuple[list[Shape], list[Shape]]:
        """What to warm: first a coarse list in which every batch within the budget fits, then the finer ones."""
        budget = min(self._batch_tokens, _WARMED)
        longest = _round_up(min(self._max_tokens, budget), _SHORTEST)
        tokens = [size for size in _doubling(_SHORTEST, budget) if size < budget] + [budget]
        grids = _grids(budget, _doubling(1, self._batch_rows), _doubling(_SHORTEST, longest))
        fine_tokens = [size for size in _fine(budget) if size not in tokens]
        fine_grids = _grids(budget, _with_halfway(1, self._batch_rows), _with_halfway(_SHORTEST, longest))
        return _paired(tokens, grids), _paired(fine_tokens, [grid for grid in fine_grids if grid not in grids])

    def add(self, shape: Shape) -> None:
        """Count a shape as warm."""
        if shape.tokens not in self._tokens:
            insort(self._tokens, shape.tokens)
        if (shape.rows, shape.length) not in self._grids:
            self._grids.add((shape.rows, shape.length))
            self._fits.clear()

    def fit(self, tokens: int, rows: int, longest: int) -> Shape:
        """The tightest warm shape that holds such a batch; where none does, the sizes rounded up, whose code is made anew."""
        place = bisect_left(self._tokens, tokens)
        flat = self._tokens[place] if place < len(self._tokens) else _round_up(tokens, _COLD)
        grid = self._fits.get((rows, longest))
        if grid is None:
            warm = [(b * n, b, n) for b, n in self._grids if b >= rows and n >= longest]
            grid = min(warm)[1:] if warm else (rows, _round_up(longest, _COLD))
            self._fits[rows, longest] = grid
        return Shape(flat, *grid)


def _grids(batch_tokens: int, rows: list[int], lengths: list[int]) -> list[tuple[int, int]]:
    """The pairs of rows and longest row to which some batch within the budget is rounded."""
    grids = []
    shorter = 0
    for length in lengths:
        most = max(1, batch_tokens // (shorter + 1))
        fewer = 0
        for count in rows:
            if fewer < most:
                grids.append((count, length))
            fewer = count
        shorter = length
    return grids


def _doubling(first: int, last: int) -> list[int]:
    """Sizes from the first to the last, each twice the one before; the last as it is."""
    sizes = [first]
    while sizes[-1] * 2 < last:
        sizes.append(sizes[-1] * 2)
    return sizes if sizes[-1] >= last else [*sizes, last]


def _with_halfway(first: int, last: int) -> list[int]:
    """Doubling sizes, and those halfway between them."""
    sizes = _doubling(first, last)
    halfway = {(small + large) // 2 for small, large in pairwise(sizes) if first == 1 or large - small >= 2 * first}
    return sorted({*sizes, *halfway})


def _fine(batch_tokens: int) -> list[int]:
    """Numbers of tokens below the budget: every 16 at first, later in steps of a thirty-second to a sixteenth."""
    sizes = []
    size = _SHORTEST
    while size < batch_tokens:
        sizes.append(size)
        size += max(_SHORTEST, 2 ** (size.bit_length() - 1) // 32)
    return sizes


def _paired(tokens: list[int], grids: list[tuple[int, int]]) -> list[Shape]:
    """Each token count and each grid at least once, side by side, so that the list is as long as the longer of the two."""
    if not tokens or not grids:
        return [Shape(t, 1, _SHORTEST) for t in tokens] + [Shape(_SHORTEST, b, n) for b, n in grids]
    count = max(len(tokens), len(grids))
    return [
        Shape(tokens[i] if i < len(tokens) else tokens[0], *(grids[i] if i < len(grids) else grids[0]))
        for i in range(count)
    ]


def _round_up(n: int, step: int) -> int:
    return -(-n // step) * step
