from __future__ import annotations

import pytest

from textmill.prompting.json_text import Writer, parsed
from textmill.prompting.limits import Budget
from textmill.prompting.trouble import Trouble
from textmill.prompting.values import MISSING, NilList, NilMap, Record, Value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # https://pkg.go.dev/encoding/json#Marshal: "<", ">", "&", U+2028 and U+2029 are escaped; keys of maps are sorted
        ("<a&b>\u2028\u2029", r'"\u003ca\u0026b\u003e\u2028\u2029"'),
        ('"\\/\b\f\n\r\t\x1f\x7fé😀', '"\\"\\\\/\\b\\f\\n\\r\\t\\u001f\x7fé😀"'),
        ("\ud800", '"\\ufffd"'),
        ({"b": 1, "a": {"d": [], "c": None}}, '{"a":{"c":null,"d":[]},"b":1}'),
        ([NilList(), NilMap(), [], {}, MISSING], "[null,null,[],{},null]"),
        (
            [1.0, -0.0, 1e20, 1e21, 1e-6, 1e-7, 123456789.5, 5e-324],
            "[1,-0,100000000000000000000,1e+21,0.000001,1e-7,123456789.5,5e-324]",
        ),
        (Record("T", {"A": "", "B": 1, "C": ""}, {"A": "a", "C": "c?"}), '{"a":"","B":1}'),
        (True, "true"),
    ],
)
def test_json_is_that_of_go(value: Value, expected: str) -> None:
    assert Writer(Budget()).text(value) == expected


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_what_is_no_number_in_json_is_refused(number: float) -> None:
    with pytest.raises(Trouble, match="JSON has no number"):
        Writer(Budget()).text(number)


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 100_000, "[" * 70 + "]" * 70, "1 2", "NaN", "[Infinity]", "-Infinity", "1e999"]
)
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(Trouble):
        parsed(text)
