"""The fields of what a server answers, each of the kind that it must be: servers elsewhere may send anything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

_NONE: Mapping[str, Any] = {}
_MOST = 2**53
_KINDS = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}


class Unfit(Exception):
    """An answer is not what it must be; the message is a clause that follows the server's name."""


class Odd(Unfit):
    """A field is of another kind than it must be."""

    def __init__(self, name: str, wanted: str, value: Any) -> None:
        found = _KINDS.get(type(value), "null")
        near = found.split()[-1] in wanted.partition(" of ")[0].split()  # a number that is none of those that may be
        other = "" if near else f", and not {found}"
        super().__init__(f"gave an answer that cannot be read: its {name} must be {wanted}{other}")


def table(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object; empty where there is none, as for null. Raises Odd, as all of these."""
    value = told.get(name)
    if not value:
        return _NONE
    if not isinstance(value, dict):
        raise Odd(name, "an object", value)
    return value


def object_of(told: Any) -> Mapping[str, Any]:
    """An answer that is an object. Raises Unfit for another."""
    if not isinstance(told, dict):
        msg = "gave an answer that is no JSON object"
        raise Unfit(msg)
    return told


def objects_of(told: Any) -> Sequence[Mapping[str, Any]]:
    """An answer that is a list of objects. Raises Unfit for another."""
    if not isinstance(told, list) or not all(isinstance(each, dict) for each in told):
        msg = "gave an answer that is no JSON list of objects"
        raise Unfit(msg)
    return told


def tables(told: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    """A list of objects; empty where there is none."""
    found = items(told, name)
    for each in found:
        if not isinstance(each, dict):
            raise Odd(name, wanted="a list of objects", value=found)
    return found


def items(told: Mapping[str, Any], name: str) -> Sequence[Any]:
    """A list of anything; empty where there is none."""
    value = told.get(name)
    if not value:
        return ()
    if not isinstance(value, list):
        raise Odd(name, "a list", value)
    return value


def text(told: Mapping[str, Any], name: str) -> str:
    """A text; empty where there is none."""
    value = told.get(name)
    if not value and value != 0:
        return ""
    if not isinstance(value, str):
        raise Odd(name, "a text", value)
    return value


def count(told: Mapping[str, Any], name: str) -> int:
    """A whole number that is not negative, also spelt as 5.0; 0 where there is none."""
    value = told.get(name)
    if value is None:
        return 0
    whole = (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MOST and value == int(value)
    )
    if not whole:
        raise Odd(name, wanted="a whole number that is not negative", value=value)
    return int(value)


def number(told: Mapping[str, Any], name: str) -> float:
    """A finite number; 0 where there is none."""
    value = told.get(name)
    return 0.0 if value is None else finite(value, name)


def finite(value: Any, name: str) -> float:
    """That value as a number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -math.inf < value < math.inf:
        raise Odd(name, wanted="a finite number", value=value)
    try:
        return float(value)
    except OverflowError:
        raise Odd(name, wanted="a finite number", value=value) from None
