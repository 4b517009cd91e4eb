"""What templates compute with: values that behave as Go's do.

A string is ``str``, int and float64 are ``int`` and ``float``, a slice is ``list``, a map with keys of texts ``dict``, nil
``None``. Structs are `Record`; three kinds of Go's values have no counterpart in Python and are classes here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from textmill.prompting.limits import MOST_NESTING
from textmill.prompting.trouble import Trouble


class Missing:
    """What a key that a map does not have gives; unlike nil it has fields, which are missing as well."""


MISSING: Final = Missing()


class NilList(list["Value"]):
    """A slice that is nil: empty, and ``null`` in JSON."""


class NilMap(dict[str, "Value"]):
    """A map that is nil: empty, and ``null`` in JSON."""


class Texts(dict[str, "Value"]):
    """A map whose values are texts: where a key is missing, ``index`` gives an empty text instead of nil."""


@dataclass(frozen=True, slots=True)
class Record:
    """A struct: its type's name, its fields in order, and what they are called in JSON where that is another name.

    A JSON name with a ``?`` behind it says that the field is left out where it is empty.
    """

    type: str
    fields: Mapping[str, Value]
    json_names: Mapping[str, str] = field(default_factory=dict)


Value = str | bool | int | float | None | Missing | Record | list["Value"] | dict[str, "Value"]


def from_json(data: object, depth: int = 0) -> Value:
    """Parsed JSON as Go has it: every number is a float64. It is a copy, which templates may change.

    Raises:
        Trouble: It is nested too deep, or is no JSON.

    """
    if depth > MOST_NESTING:
        msg = f"the data is nested more than {MOST_NESTING} deep"
        raise Trouble(msg)
    if data is None or isinstance(data, str | bool):
        return data
    if isinstance(data, int | float):
        return _float(data)
    if isinstance(data, Mapping):
        return {str(key): from_json(value, depth + 1) for key, value in data.items()}
    if isinstance(data, Sequence):
        return [from_json(value, depth + 1) for value in data]
    msg = f"the data has a {type(data).__name__}, which JSON has not"
    raise Trouble(msg)


def _float(number: float) -> float:
    try:
        value = float(number)
    except OverflowError:
        value = math.inf
    if math.isfinite(value):
        return value
    msg = "the data has a number that is too large, or is none"
    raise Trouble(msg)


def truth(value: Value) -> bool:
    """Whether ``if`` takes a value for true: what is not empty, zero, false or nil. A struct always is."""
    return value is not None and value is not MISSING and (isinstance(value, Record) or bool(value))


def kind(value: Value) -> str:
    """What Go calls the kind of a value."""
    if value is None or value is MISSING:
        return "invalid"
    # bool before int: Python's truth values are numbers, too.
    kinds = ((bool, "bool"), (str, "string"), (int, "int"), (float, "float64"), (list, "slice"), (dict, "map"))
    return next((name for cls, name in kinds if isinstance(value, cls)), "struct")


def called(value: Value) -> str:
    """How messages call a value."""
    names = {"invalid": "nil", "bool": "a truth value", "string": "a text", "int": "a whole number", "slice": "a list"}
    return {**names, "float64": "a number with a point", "map": "a map", "struct": "a struct"}[kind(value)]
