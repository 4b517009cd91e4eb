from __future__ import annotations

import numpy as np
import pytest

from textmill.contract import Chunking, EmbedDefaults, EmbedOptions
from textmill.errors import InvalidInput
from textmill.tasks.states import StatePooling, state_pooling

STATES = np.array([[1.0, 0.0], [0.0, 2.0], [4.0, 4.0]], np.float32)
USUAL = EmbedDefaults()


def test_states_become_one_vector() -> None:
    np.testing.assert_allclose(StatePooling("mean", 1).pool(STATES), [5 / 3, 2])
    np.testing.assert_allclose(StatePooling("last", 1).pool(STATES), [4, 4])
    # A half-life of one token: weights of 1/4, 1/2 and 1.
    np.testing.assert_allclose(StatePooling("decayed_mean", 1).pool(STATES), [4.25 / 1.75, 5 / 1.75], rtol=1e-6)
    np.testing.assert_allclose(StatePooling("decayed_mean", 10**9).pool(STATES), [5 / 3, 2], rtol=1e-6)


def test_weights_of_long_texts_vanish_without_harm() -> None:
    states = np.ones((100_000, 2), np.float32)
    np.testing.assert_allclose(StatePooling("decayed_mean", 1).pool(states), [1, 1])


@pytest.mark.parametrize(
    ("options", "defaults", "pooling"),
    [
        (EmbedOptions(), USUAL, None),
        (EmbedOptions(pooling="own"), EmbedDefaults(pooling="decayed_mean"), None),
        (EmbedOptions(), EmbedDefaults(pooling="decayed_mean", half_life=8), StatePooling("decayed_mean", 8)),
        (EmbedOptions(half_life=4), EmbedDefaults(pooling="decayed_mean"), StatePooling("decayed_mean", 4)),
        (EmbedOptions(pooling="decayed_mean"), USUAL, StatePooling("decayed_mean", 256)),
        (EmbedOptions(pooling="mean"), USUAL, StatePooling("mean", 256)),
    ],
)
def test_a_call_comes_before_the_models_file(
    options: EmbedOptions, defaults: EmbedDefaults, pooling: StatePooling | None
) -> None:
    assert state_pooling(options, defaults) == pooling


@pytest.mark.parametrize(
    ("options", "param"),
    [
        (EmbedOptions(half_life=4), "half_life"),
        (EmbedOptions(pooling="mean", half_life=4), "half_life"),
        (EmbedOptions(pooling="decayed_mean", half_life=0), "half_life"),
        (EmbedOptions(pooling="last", chunking=Chunking()), "pooling"),
    ],
)
def test_what_does_not_go_together_is_refused(options: EmbedOptions, param: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        state_pooling(options, USUAL)
    assert caught.value.param == param
