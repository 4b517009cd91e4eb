from __future__ import annotations

import asyncio

import pytest

from textmill.providers.pieces import AtOnce, pieces


def test_pieces_have_no_more_inputs_and_bytes_than_they_may() -> None:
    texts: list[str | list[int]] = ["aa", "bb", "cccc", "é", [1, 2], [3], "d"]
    assert list(pieces(texts, 2)) == [["aa", "bb"], ["cccc", "é"], [[1, 2], [3]], ["d"]]
    assert list(pieces(texts, 10, 4)) == [["aa", "bb"], ["cccc"], ["é"], [[1, 2], [3]], ["d"]]
    assert list(pieces(["a lone surrogate \ud800"], 1, 1)) == [["a lone surrogate \ud800"]]


def test_places_are_those_of_the_running_loop() -> None:
    at_once = AtOnce(1)

    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    for _ in range(3):
        assert asyncio.run(at_once.each(range(4), double)) == [0, 2, 4, 6]


async def test_the_first_error_is_raised_and_nothing_begins_behind_it() -> None:
    begun: list[int] = []

    async def one(number: int) -> int:
        begun.append(number)
        await asyncio.sleep(0)
        if number == 2:
            msg = "two"
            raise ValueError(msg)
        return number

    with pytest.raises(ValueError, match="two"):
        await AtOnce(1).each(range(9), one)
    assert begun == [0, 1, 2]
