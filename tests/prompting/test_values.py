from __future__ import annotations

import pytest

from textmill.prompting.trouble import Trouble
from textmill.prompting.values import MISSING, NilList, NilMap, Record, Value, from_json, kind, truth


def test_numbers_of_json_are_floats_as_in_go() -> None:
    value = from_json({"a": [1, 2.5, True, None, "x"]})

    assert isinstance(value, dict)
    assert repr(value) == "{'a': [1.0, 2.5, True, None, 'x']}"


def test_what_is_given_is_copied() -> None:
    given: dict[str, list[str]] = {"a": ["x"]}
    value = from_json(given)

    assert isinstance(value, dict)
    value["a"] = None
    assert given == {"a": ["x"]}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"a": {1, 2}}, "the data has a set, which JSON has not"),
        ([10**400], "the data has a number that is too large, or is none"),
    ],
)
def test_what_is_not_json_is_refused(given: object, sentence: str) -> None:
    with pytest.raises(Trouble) as caught:
        from_json(given)

    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("value", "true", "name"),
    [
        # https://pkg.go.dev/text/template#hdr-Actions: "The empty values are false, 0, any nil pointer or interface value, and
        # any array, slice, map, or string of length zero."
        ("", False, "string"),
        ("0", True, "string"),
        (0, False, "int"),
        (-0.0, False, "float64"),
        (0.1, True, "float64"),
        (False, False, "bool"),
        (True, True, "bool"),
        ([], False, "slice"),
        ([None], True, "slice"),
        (NilList(), False, "slice"),
        ({}, False, "map"),
        (NilMap(), False, "map"),
        ({"a": None}, True, "map"),
        (None, False, "invalid"),
        (MISSING, False, "invalid"),
        (Record("T", {}), True, "struct"),
    ],
)
def test_truth_and_kind_are_those_of_go(value: Value, true: bool, name: str) -> None:  # noqa: FBT001 - a column of the table
    assert (truth(value), kind(value)) == (true, name)
