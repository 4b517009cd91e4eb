from __future__ import annotations

import numpy as np
import pytest
import torch  # noqa: TID253
from tests.runtimes.memory import NoRoom
from torch import Tensor  # noqa: TID253

from textmill.runtimes.causal_cache import Slab

HEADS, WIDTH = 2, 3


def states(marks: list[int]) -> Tensor:
    """Keys of one row: every number of a place is its mark."""
    return torch.tensor(marks, dtype=torch.float32)[None, None, :, None].expand(1, HEADS, len(marks), WIDTH).clone()


def written(slab: Slab, marks: list[list[int]]) -> None:
    """Write the marks behind the rows, one list a row."""
    slab.reserve(len(marks), len(marks[0]))
    if not slab.lengths:
        slab.lengths = [0] * len(marks)
    keys = torch.cat([states(row) for row in marks])
    for layer in slab.layers:
        layer.update(keys, -keys)
    slab.advance(len(marks[0]))


def row(marks: list[int]) -> Slab:
    slab = Slab(2)
    written(slab, [marks])
    return slab


def read(slab: Slab) -> list[list[int]]:
    """The marks of each row, the same in all layers, keys and values."""
    found: list[list[int]] = []
    for index, length in enumerate(slab.lengths):
        spans = [(layer, slice(layer.end - length, layer.end)) for layer in slab.layers]
        both = [(layer.keys[index, :, span], -layer.values[index, :, span]) for layer, span in spans]
        first = both[0][0][0, :, 0]
        for keys, values in both:
            assert torch.equal(keys, values)
            assert torch.equal(keys, first[None, :, None].expand_as(keys))
        found.append([int(mark) for mark in first])
    return found


def test_rows_of_any_lengths_lie_together() -> None:
    slab = Slab(2)
    rows = [[1, 2, 3], [4], list(range(100, 300)), [5, 6]]
    for each in rows:
        slab.add(row(each))

    assert read(slab) == rows
    written(slab, [[7], [8], [9], [10]])
    assert read(slab) == [[*each, mark] for each, mark in zip(rows, (7, 8, 9, 10), strict=True)]
    assert slab.width == 201


def test_the_last_row_takes_the_place_of_one_that_leaves() -> None:
    slab = Slab(1)
    for each in ([1, 2, 3, 4], [5], [6, 7]):
        slab.add(one_layer(each))

    slab.drop(0)
    assert read(slab) == [[6, 7], [5]]
    assert slab.width == 2
    slab.drop(1)
    assert read(slab) == [[6, 7]]
    slab.drop(0)
    assert (slab.rows, slab.cells) == (0, 0)


def one_layer(marks: list[int]) -> Slab:
    slab = Slab(1)
    written(slab, [marks])
    return slab


def test_memory_is_given_back_once_long_rows_have_left() -> None:
    slab = Slab(1)
    slab.add(one_layer([1, 2]))
    slab.add(one_layer(list(range(3000))))
    large = slab.cells
    slab.drop(1)
    written(slab, [[3]])

    assert slab.cells < large / 10
    assert read(slab) == [[1, 2, 3]]


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("name", ["keys", "values"])
@pytest.mark.parametrize("length", [2, 500])
def test_rows_stay_as_they_were_where_there_is_no_room_for_another(layer: int, name: str, length: int) -> None:
    slab = Slab(2)
    rows = [[1, 2, 3], [4, 5], [6]]
    for each in rows:
        slab.add(row(each))
    slab.drop(2)
    rows.pop()
    slab.reserve(2, 1)
    setattr(slab.layers[layer], name, NoRoom(getattr(slab.layers[layer], name)))
    while slab.rows < 4 and length == 2:  # as many as there is room for
        slab.add(row([7]))
        rows.append([7])

    for _ in range(2):
        with pytest.raises(RuntimeError, match="out of memory"):
            slab.add(row(list(range(length))))
        written(slab, [[8]] * len(rows))
        rows = [[*each, 8] for each in rows]
    setattr(slab.layers[layer], name, getattr(slab.layers[layer], name).held)
    assert read(slab) == rows

    slab.add(row(list(range(length))))
    written(slab, [[9]] * (len(rows) + 1))
    assert read(slab) == [[*each, 9] for each in (*rows, range(length))]


def test_a_row_that_cannot_be_copied_whole_is_not_there() -> None:
    slab, bad = Slab(2), row([1, 2, 3])
    bad.layers[1].values = bad.layers[1].values[:, :, :2]

    with pytest.raises(RuntimeError):
        slab.add(bad)
    assert (slab.rows, slab.cells) == (0, 0)
    slab.add(row([3]))
    with pytest.raises(RuntimeError):
        slab.add(bad)
    slab.add(row([4, 5, 6]))
    assert read(slab) == [[3], [4, 5, 6]]


def test_a_copy_of_a_rows_beginning_stands_by_itself() -> None:
    slab = Slab(2)
    slab.add(row([1, 2, 3]))
    slab.add(row([4, 5, 6, 7]))

    made = slab.copied(0, 2)
    written(slab, [[9], [9]])

    assert read(made) == [[1, 2]]
    written(made, [[8, 8]])
    assert read(made) == [[1, 2, 8, 8]]


def test_the_mask_leaves_out_what_stands_before_a_row() -> None:
    slab = Slab(1)
    slab.add(one_layer([1, 2, 3]))
    assert slab.mask(1, torch.device("cpu")) is None
    slab.add(one_layer([4]))

    mask = slab.mask(1, torch.device("cpu"))
    assert mask is not None
    assert mask.tolist() == [[True, True, True, True], [False, False, True, True]]


@pytest.mark.parametrize("seed", range(5))
def test_any_coming_and_going_keeps_every_row(seed: int) -> None:
    rng = np.random.default_rng(seed)
    slab, mark = Slab(2), 0
    rows: list[list[int]] = []
    for _ in range(120):
        choice = rng.random()
        if choice < 0.3 and len(rows) < 9:
            rows.append(list(range(mark, mark + int(rng.integers(1, 90)))))
            slab.add(row(rows[-1]))
        elif choice < 0.5 and rows:
            place = int(rng.integers(len(rows)))
            slab.drop(place)
            rows[place] = rows[-1]
            rows.pop()
        elif rows:
            written(slab, [[mark + index] for index in range(len(rows))])
            rows = [[*each, mark + index] for index, each in enumerate(rows)]
        mark += 100
        assert read(slab) == rows
