"""Rules from distances to entries, beyond the lengths of the stored cases."""

from __future__ import annotations

import numpy as np
import pytest

from textmill.arch.buckets import EachDistance, HalfLogarithmic, MiddleOut
from textmill.arch.jina_bert import head_slopes


def test_a_rule_compares_by_its_values_so_that_layers_share_what_is_computed_from_it() -> None:
    assert EachDistance(8) == EachDistance(8)
    assert len({MiddleOut(4, 16), MiddleOut(4, 16), MiddleOut(4), HalfLogarithmic(32, 128)}) == 3


def test_each_distance_has_its_entry_and_padding_one_at_the_ends() -> None:
    assert EachDistance(3)(np.array([-9, -2, -1, 0, 1, 2, 9])).tolist() == [0, 0, 1, 2, 3, 4, 4]


def test_keys_after_the_query_have_the_upper_half_of_t5_s_buckets() -> None:
    rule = HalfLogarithmic(32, 128)
    away = np.array([0, 1, 7, 8, 11, 12, 16, 64, 127, 128, 9999])
    before = [0, 1, 7, 8, 8, 9, 10, 14, 15, 15, 15]
    assert rule(away).tolist() == before
    assert rule(-away[1:]).tolist() == [16 + bucket for bucket in before[1:]]


@pytest.mark.parametrize("far", [511, 512, 100_000])
def test_what_is_too_far_shares_the_last_of_deberta_s_entries(far: int) -> None:
    rule = MiddleOut(256, 512)
    assert rule(np.array([-128, -1, 0, 1, 128])).tolist() == [128, 255, 256, 257, 384]
    assert rule(np.array([-far, far])).tolist() == [1 if far == 511 else 0, 511]


def test_without_buckets_each_distance_has_an_entry_up_to_the_span() -> None:
    assert MiddleOut(4)(np.array([-5, -4, 0, 3, 4])).tolist() == [0, 0, 4, 7, 7]


def test_slopes_of_twelve_heads_are_those_of_eight_and_every_second_of_sixteen() -> None:
    expected = [2.0**-power for power in (1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5)]
    np.testing.assert_allclose(head_slopes(12), expected, rtol=1e-6)
    np.testing.assert_allclose(head_slopes(8), expected[:8], rtol=1e-6)
