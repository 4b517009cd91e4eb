"""Go's comparisons: only values of one kind can be compared; a whole number and one with a point cannot."""

from __future__ import annotations

from textmill.prompting.trouble import Trouble
from textmill.prompting.values import MISSING, NilList, NilMap, Value, called, kind

_BASIC = ("bool", "string", "int", "float64")
_ORDERED = ("string", "int", "float64")


def equal(first: Value, *others: Value) -> bool:
    """Whether the first is equal to any of the others.

    Raises:
        Trouble: There are no others, or one is of another kind or of one that cannot be compared.

    """
    if not others:
        msg = "there is nothing to compare with; eq takes two values or more"
        raise Trouble(msg)
    return any(_same(first, other) for other in others)


def _same(first: Value, other: Value) -> bool:
    one, two = kind(first), kind(other)
    if one in _BASIC and one == two:
        return first == other
    if "invalid" in (one, two) and (one in _BASIC or two in _BASIC):
        return False
    if one in _BASIC or two in _BASIC:
        raise _differ(first, other)
    if one != two and "invalid" not in (one, two):
        raise _differ(first, other)
    if _nil(first) or _nil(other):
        return _nil(first) and _nil(other)
    msg = f"{called(first)} cannot be compared; compare one of its parts"
    raise Trouble(msg)


def _nil(value: Value) -> bool:
    return value is None or value is MISSING or isinstance(value, NilList | NilMap)


def less(first: Value, second: Value) -> bool:
    """Whether the first is less than the second.

    Raises:
        Trouble: They are of different kinds, or of one that has no order.

    """
    one, two = kind(first), kind(second)
    for name, value in ((one, first), (two, second)):
        if name not in _ORDERED and (name not in _BASIC or one == two):
            msg = f"{called(value)} is neither less nor more than anything; compare numbers or texts"
            raise Trouble(msg)
    if one != two:
        raise _differ(first, second)
    return first < second  # type: ignore[operator] # both are of one kind that has an order


def _differ(first: Value, second: Value) -> Trouble:
    return Trouble(
        f"{called(first)} and {called(second)} cannot be compared; numbers in JSON are ones with a point, such as 1.0"
    )
