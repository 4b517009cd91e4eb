"""Rows to the arrays of a flat batch."""

from typing import Any

import numpy as np
import pytest

from textmill.arch.positions import Rotation
from textmill.runtimes import flat
from textmill.runtimes.flat import Feed, Packer, Shape
from textmill.runtimes.runtime import Row

SHAPE = Shape(8, 3, 4)


def rows(*lengths: int, prompt_tokens: int = 0) -> list[Row]:
    return [Row(np.arange(10, 10 + n, dtype=np.int32), prompt_tokens=prompt_tokens) for n in lengths]


def packed(feed: Feed, *lengths: int, prompt_tokens: int = 0) -> list[Any]:
    (array,) = Packer([feed]).pack(rows(*lengths, prompt_tokens=prompt_tokens), SHAPE)
    return list(array.squeeze().tolist())


def test_tokens_lie_end_to_end_and_zeros_fill_the_rest() -> None:
    assert packed(flat.ids, 2, 4) == [10, 11, 10, 11, 12, 13, 0, 0]
    assert packed(flat.positions, 2, 4) == [0, 1, 0, 1, 2, 3, 0, 0]


def test_segments_are_zero_unless_a_row_has_its_own() -> None:
    row = Row(np.array([5, 6], np.int32), types=np.array([0, 1], np.int32))
    (array,) = Packer([flat.types]).pack([*rows(2), row], Shape(6, 2, 4))
    assert array.tolist() == [0, 0, 0, 1, 0, 0]


def test_gathering_and_scattering_give_every_token_back() -> None:
    shape = Shape(8, 4, 5)
    batch = rows(3, 1, 4)
    ids, gather, scatter = Packer([flat.ids, flat.gather, flat.scatter]).pack(batch, shape)
    assert ids[gather].reshape(-1)[scatter][:8].tolist() == ids.tolist()


def test_heads_are_scattered_from_where_their_token_s_row_has_them() -> None:
    shape = Shape(8, 4, 5)
    by_head = flat.by_head(flat.scatter, 3, lambda batch: batch.shape.length)
    gather, scatter, heads = Packer([flat.gather, flat.scatter, by_head]).pack(rows(3, 1, 4), shape)
    tokens = np.arange(8 * 3 * 2).reshape(8, 3, 2)
    padded = tokens[gather]
    expected = padded.reshape(-1, 3, 2)[scatter]
    assert padded.transpose(0, 2, 1, 3).reshape(-1, 2)[heads].tolist() == expected.tolist()


@pytest.mark.parametrize("feed", [flat.mask, flat.pooling_mask])
def test_padding_is_masked(feed: Feed) -> None:
    (array,) = Packer([feed]).pack(rows(2, 4), Shape(8, 3, 4))
    assert (array.squeeze() == 0).tolist() == [[True, True, False, False], [True] * 4, [False] * 4]


def test_weights_of_means_count_tokens_and_not_padding() -> None:
    assert packed(flat.mean_weights, 2, 4)[:2] == [[0.5, 0.5, 0, 0], [0.25] * 4]
    assert packed(flat.mean_sqrt_weights, 1, 4)[:2] == [[1, 0, 0, 0], [0.5] * 4]
    assert np.allclose(packed(flat.position_weights, 3, 1)[0], [1 / 6, 2 / 6, 3 / 6, 0])


def test_an_empty_row_weighs_nothing() -> None:
    for feed in (flat.mean_weights, flat.mean_sqrt_weights, flat.position_weights):
        assert packed(feed, 2, 4)[2] == [0] * 4


def test_first_and_last_tokens_are_found_in_the_flat_batch() -> None:
    assert packed(flat.first_token, 2, 4)[:2] == [0, 2]
    assert packed(flat.last_token, 2, 4)[:2] == [1, 5]


def test_prompt_tokens_are_left_out_of_pooling_but_not_out_of_attention() -> None:
    assert packed(flat.mean_weights, 2, 4, prompt_tokens=1)[:2] == [
        [0, 1, 0, 0],
        pytest.approx([0, 1 / 3, 1 / 3, 1 / 3]),
    ]
    assert packed(flat.first_token, 2, 4, prompt_tokens=1)[:2] == [1, 3]
    assert packed(flat.mask, 2, 4, prompt_tokens=1) == packed(flat.mask, 2, 4)


def test_rotation_repeats_the_angles_for_both_halves() -> None:
    turn = Rotation(np.array([1.0, 0.5], np.float32))
    (cosine,) = Packer([flat.rotation(turn, np.cos)]).pack(rows(3), Shape(4, 1, 4))
    assert cosine.shape == (4, 1, 4)
    assert np.allclose(cosine[2, 0], np.cos([2, 1, 2, 1]))
