from __future__ import annotations

from enum import Enum

import numpy as np
import pytest

from textmill.errors import InvalidInput
from textmill.tasks.inputs import as_inputs


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ("a", ["a"]),
        ("", [""]),
        (np.str_("a"), ["a"]),
        ([], []),
        (["a", ""], ["a", ""]),
        (("a", [1, 2]), ["a", [1, 2]]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array(["a", "b"], object), ["a", "b"]),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        ([np.array([1, 2], np.int64), (3,), range(2)], [[1, 2], (3,), range(2)]),
        ((text for text in "ab"), ["a", "b"]),
        ([[]], [[]]),
    ],
)
def test_texts_and_ids_become_a_list(texts: object, expected: list[object]) -> None:
    found = as_inputs(texts)
    assert found == expected
    assert all(type(item) is type(wanted) for item, wanted in zip(found, expected, strict=True))


@pytest.mark.parametrize("texts", [None, b"a", bytearray(b"a"), 3, 1.5, {"a": "b"}, {"a"}, np.array("a")])
def test_what_is_no_texts_is_refused_with_its_type(texts: object) -> None:
    with pytest.raises(InvalidInput, match="give a text, or texts or lists of token ids") as caught:
        as_inputs(texts)
    assert (type(texts).__name__ if texts is not None else "None") in str(caught.value)
    assert caught.value.index is None


@pytest.mark.parametrize(
    ("item", "found"),
    [
        (None, "None"),
        (b"a", "bytes"),
        (1.5, "float"),
        (True, "bool"),
        ({"text": "a"}, "dict"),
        ({1, 2}, "set"),
        (["a"], "list with texts in it"),
        (np.array(["a"]), "ndarray"),
        (iter([1]), "list_iterator"),
    ],
)
def test_what_is_no_input_is_refused_with_its_index_and_type(item: object, found: str) -> None:
    with pytest.raises(InvalidInput, match="input 1 is") as caught:
        as_inputs(["a", item])
    assert found in str(caught.value)
    assert caught.value.index == 1


@pytest.mark.parametrize("texts", [[1, 2, 3], np.array([1, 2, 3]), range(3)])
def test_a_flat_list_of_ids_is_refused_because_it_is_ambiguous(texts: object) -> None:
    with pytest.raises(InvalidInput, match=r"write \[\[1, 2, 3\]\] for one input of three ids") as caught:
        as_inputs(texts)
    assert caught.value.index == 0


def test_a_text_that_prints_otherwise_is_taken_as_what_it_is() -> None:
    class Place(str, Enum):  # noqa: UP042 - a StrEnum prints its value
        RIVER = "water"

    assert as_inputs([Place.RIVER]) == ["water"]
    assert as_inputs(Place.RIVER) == ["water"]


def test_a_table_is_not_embedded_by_its_columns_names() -> None:
    class Table(list[str]):
        columns = ("text",)

    with pytest.raises(InvalidInput, match="Table"):
        as_inputs(Table(["text"]))
