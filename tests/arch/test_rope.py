"""config.json's rotary settings, in both spellings; tests/golden/architectures holds what they come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from textmill.arch.rope import rotation
from textmill.errors import ModelBroken


@dataclass(frozen=True)
class Keys:
    max_position_embeddings: int = 64
    rope_theta: float | None = None
    rope_scaling: Mapping[str, Any] | None = None
    rope_parameters: Mapping[str, Any] | None = None


YARN = {"factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 8}


def test_both_spellings_mean_the_same() -> None:
    old = rotation(Keys(rope_theta=500, rope_scaling={"type": "yarn", **YARN}), 16)
    new = rotation(Keys(rope_parameters={"rope_type": "yarn", "rope_theta": 500, **YARN}), 16)
    np.testing.assert_array_equal(old.frequencies, new.frequencies)
    assert old.scale == new.scale > 1


def test_nothing_said_means_the_architectures_base() -> None:
    np.testing.assert_allclose(rotation(Keys(), 4, theta=100).frequencies, [1, 0.1])


def test_each_layer_type_has_its_own_base() -> None:
    keys = Keys(rope_parameters={"full_attention": {"rope_theta": 100}, "sliding_attention": {"rope_theta": 400}})
    np.testing.assert_allclose(rotation(keys, 4).frequencies, [1, 0.1])
    np.testing.assert_allclose(rotation(keys, 4, layer_type="sliding_attention").frequencies, [1, 0.05])


def test_a_share_of_the_features_rotates() -> None:
    keys = Keys(rope_parameters={"partial_rotary_factor": 0.5})
    assert len(rotation(keys, 16).frequencies) == 4


def test_dynamic_scaling_follows_the_rows_length_and_leaves_short_rows_alone() -> None:
    turn = rotation(Keys(rope_scaling={"type": "dynamic", "factor": 2.0}), 16)
    assert turn.by_length is not None
    np.testing.assert_array_equal(turn.by_length(64), rotation(Keys(), 16).frequencies)
    slower = turn.by_length(100)
    assert slower[0] == 1
    assert np.all(slower[1:] < turn.frequencies[1:])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (Keys(rope_scaling={"type": "longrope"}), "rope_scaling.rope_type 'longrope'"),
        (Keys(rope_parameters={"rope_type": "linear"}), "rope_parameters.factor None"),
        (Keys(rope_parameters={"rope_theta": 0}), "rope_theta 0"),
        (Keys(rope_parameters={"partial_rotary_factor": 0.2}), "makes 3 of a head's 16 features rotate"),
        (Keys(rope_parameters={"sliding_attention": {"rope_theta": 1}}), "not for 'full_attention'"),
        (
            Keys(rope_scaling={"rope_type": "llama3", "factor": 2, "low_freq_factor": 4, "high_freq_factor": 4}),
            "high_f",
        ),
    ],
)
def test_what_is_not_run_is_refused_by_its_key(keys: Keys, message: str) -> None:
    with pytest.raises(ModelBroken, match=message):
        rotation(keys, 16)
