"""Errors of a part of a call, whose inputs are counted in it."""

from __future__ import annotations

import pytest

from textmill.errors import ContextExceeded, InvalidInput, Overloaded, TextmillError, WrongTask
from textmill.tasks.parted import counted_from


@pytest.mark.parametrize(
    ("first", "message", "said"),
    [
        (0, "input 3 is empty", "input 3 is empty"),
        (512, "input 3 is empty", "input 3 is empty (counted from input 512)"),
        (512, "400: inputs[3] is too long", "400: inputs[3] is too long (counted from input 512)"),
        (512, "dimensions is 800; this model gives 1 to 384", "dimensions is 800; this model gives 1 to 384"),
    ],
)
def test_an_input_that_is_numbered_is_found_in_the_whole_call(first: int, message: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught, counted_from(first):
        raise InvalidInput(message, param="input", index=3)
    assert (str(caught.value), caught.value.param) == (said, "input")
    assert caught.value.index == (3 if said == message else first + 3)


@pytest.mark.parametrize(
    "error", [ContextExceeded("text 1 is too long"), Overloaded("input 1 waits", retry_after=1.0), WrongTask("no")]
)
def test_the_kind_of_an_error_stays(error: TextmillError) -> None:
    with pytest.raises(type(error)) as caught, counted_from(2):
        raise error
    assert str(caught.value).endswith("(counted from input 2)") is isinstance(error, ContextExceeded)
