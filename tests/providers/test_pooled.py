"""What a backend gave becomes one vector, or an error."""

from __future__ import annotations

import numpy as np
import pytest

from textmill.errors import ForwardFailed, InvalidInput
from textmill.providers.messages import FINAL, PER_TOKEN, Vectors
from textmill.providers.pooled import Wanted, vector_of
from textmill.tasks.states import StatePooling


def given(*values: float, tokens: int = 0, dim: int = 0, layout: int = 0) -> Vectors:
    return Vectors(np.array(values, np.float32), tokens, dim, 0, layout)


@pytest.mark.parametrize("layout", [0, FINAL])
def test_a_single_vector_stays_as_it_is(layout: int) -> None:
    assert vector_of(given(3, 4, layout=layout), Wanted(), 2, "mine").tolist() == [3, 4]
    assert vector_of(given(3, 4, layout=layout), Wanted(norm=2), 2, "mine") == pytest.approx([0.6, 0.8])


def test_vectors_of_tokens_become_their_mean_of_length_one() -> None:
    made = given(2, 0, 4, 8, tokens=2, dim=2, layout=PER_TOKEN)
    assert vector_of(made, Wanted(), 2, "mine") == pytest.approx([0.6, 0.8])
    assert vector_of(made, Wanted(norm=-1), 2, "mine").tolist() == [3, 4]
    assert vector_of(made, Wanted(StatePooling("last", 1), norm=-1), 2, "mine").tolist() == [4, 8]


def test_a_vector_that_is_cut_has_length_one() -> None:
    assert vector_of(given(3, 4, 12), Wanted(dimensions=2), 3, "mine") == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (given(), "no vector"),
        (given(1, float("nan")), "no numbers"),
        (given(1, float("inf")), "no numbers"),
        (given(1, 2, 3), "3 values"),
        (given(1, 2, dim=3), "a vector has 3"),
        (given(1, 2, 3, tokens=2, dim=2, layout=PER_TOKEN), "2 vectors of 2"),
        (given(1, 2, layout=PER_TOKEN), "0 vectors of 0"),
        (given(1, 2, tokens=-1, dim=-2, layout=PER_TOKEN), "-1 vectors of -2"),
    ],
)
def test_what_is_no_vector_is_an_error(made: Vectors, why: str) -> None:
    with pytest.raises(ForwardFailed, match=why):
        vector_of(made, Wanted(), 2, "mine")


def test_tokens_cannot_be_pooled_where_there_are_none() -> None:
    with pytest.raises(InvalidInput, match="pooling:none"):
        vector_of(given(3, 4, layout=FINAL), Wanted(StatePooling("mean", 1)), 2, "mine")
