"""How windowed attention of long rows is cut into blocks."""

import numpy as np
import pytest

from textmill.runtimes import flat
from textmill.runtimes.blocks import EVERYTHING, Window
from textmill.runtimes.flat import Packer, Shape
from textmill.runtimes.runtime import Row


def rows(*lengths: int, attended: int | None = None) -> list[Row]:
    return [Row(np.arange(n, dtype=np.int32), attended=attended) for n in lengths]


@pytest.mark.parametrize("length", [16, 128, 511])
def test_short_rows_are_one_block_laid_out_as_everywhere_else(length: int) -> None:
    window, shape = Window(64, causal=False), Shape(3 * length, 3, length)
    feeds = [window.queries(), window.keys(), flat.gather, window.scatter(), flat.scatter, window.mask()]
    queries, keys, gather, scatter, plain, mask = Packer(feeds).pack(rows(length, 1, length // 2), shape)
    assert np.array_equal(queries, gather)
    assert np.array_equal(keys, gather)
    assert np.array_equal(scatter, plain)
    (band,) = Packer([flat.band(64, causal=False)]).pack(rows(length, 1, length // 2), shape)
    assert np.array_equal(mask, band)


@pytest.mark.parametrize("window", [Window(64, causal=False), Window(64, causal=True), Window(300, causal=False)])
@pytest.mark.parametrize("length", [2048, 2049, 2047, 2176])
def test_each_query_of_a_long_row_sees_the_keys_of_its_window_once(window: Window, length: int) -> None:
    lengths = (length, 700, 1)
    shape = Shape(sum(lengths) + 5, 4, length + 3)
    feeds = [window.queries(), window.keys(), window.mask(), window.scatter()]
    queries, keys, mask, scatter = Packer(feeds).pack(rows(*lengths), shape)
    assert queries.size < 2 * 4 * length
    assert np.array_equal(queries.reshape(-1)[scatter][: sum(lengths)], np.arange(sum(lengths)))
    for row, start in enumerate(np.cumsum(lengths) - lengths):
        for at in {0, 63, 64, 127, 128, 129, lengths[row] - 1} & set(range(lengths[row])):
            block, slot = divmod(int(scatter[start + at]), queries.shape[1])
            seen = keys[block][mask[block, 0, slot] == 0] - start
            assert window.reach is not None
            last = at if window.causal else at + window.reach
            assert seen.tolist() == list(range(max(0, at - window.reach), min(last + 1, lengths[row])))


def test_scores_of_a_window_grow_with_a_row_and_not_with_its_square() -> None:
    blocks, queries, keys = Window(64, causal=False).cut(8192)
    assert blocks * queries * keys <= 8192 * 256


def test_a_window_that_is_hardly_shorter_than_the_row_is_not_worth_blocks() -> None:
    assert Window(4096, causal=True).cut(4200) == (1, 4200, 4200)
    assert EVERYTHING.cut(8192) == (1, 8192, 8192)


def test_tokens_that_are_not_attended_to_are_hidden_in_every_block() -> None:
    window = Window(64, causal=False)
    keys, mask = Packer([window.keys(), window.mask()]).pack(rows(1024, attended=1000), Shape(1024, 1, 1024))
    seen = np.broadcast_to(keys[:, None, None, :], mask.shape)[mask == 0]
    assert seen.max() == 999
