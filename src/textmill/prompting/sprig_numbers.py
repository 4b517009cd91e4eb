"""Sprig's functions about numbers (https://masterminds.github.io/sprig/math.html)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from textmill.prompting.limits import MOST_STEPS
from textmill.prompting.literals import number
from textmill.prompting.signature import Signature
from textmill.prompting.trouble import Trouble
from textmill.prompting.values import Value

_BITS = 64
_DIGITS = 19
_DECIMAL = re.compile(r"([-+]?([0-9]*))\.[0-9]*")


def wrapped(value: int) -> int:
    """A whole number as 64 bits hold it."""
    return (value + (1 << _BITS - 1)) % (1 << _BITS) - (1 << _BITS - 1)


def whole(value: Value) -> int:
    """Any value as a whole number: texts as they are written in Go, without what is behind the point; 0 for what is none."""
    if isinstance(value, str):
        decimal = _DECIMAL.fullmatch(value)
        try:
            value = number(decimal[1] + "0" * (not decimal[2]) if decimal else value)
        except Trouble:
            return 0
        return value if isinstance(value, int) else 0
    if isinstance(value, float):
        return wrapped(int(value)) if math.isfinite(value) else 0
    return int(value) if isinstance(value, bool | int) else 0


def floating(value: Value) -> float:
    """Any value as a number with a point; 0 for what is none."""
    if isinstance(value, str):
        try:
            return float(value) if value == value.strip() and "_" not in value else 0.0
        except ValueError:
            return 0.0
    return float(value) if isinstance(value, bool | int | float) else 0.0


def _atoi(text: str) -> int:
    sign = text[:1] if text[:1] in ("+", "-") else ""
    digits = text.removeprefix(sign)
    if not (digits.isascii() and digits.isdigit()) or len(digits.lstrip("0")) > _DIGITS:
        return 0
    value = int(sign + (digits.lstrip("0") or "0"))
    return value if wrapped(value) == value else 0


def _product(first: Value, *others: Value) -> int:
    result = whole(first)
    for other in others:
        result = wrapped(result * whole(other))
    return result


def _quotient(first: Value, second: Value) -> int:
    """Rounded towards zero."""
    one, two = whole(first), whole(second)
    if two == 0:
        msg = "nothing can be divided by zero"
        raise Trouble(msg)
    size = abs(one) // abs(two)
    return wrapped(size if (one < 0) == (two < 0) else -size)


def _remainder(first: Value, second: Value) -> int:
    return wrapped(whole(first) - whole(second) * _quotient(first, second))


def steps(start: int, stop: int, step: int) -> list[Value]:
    """Numbers from the first on, before the last; none where the step leads away from it.

    Raises:
        Trouble: There are more than a template may have.

    """
    if step == 0 or (stop < start) != (step < 0):
        return []
    if (stop - start) // step > MOST_STEPS:
        msg = f"the template asks for more than {MOST_STEPS:,} numbers"
        raise Trouble(msg)
    return list(range(start, stop, step))


NUMBER_FUNCTIONS: Mapping[str, Signature] = {
    "atoi": Signature("s", _atoi),
    "int": Signature("a", whole),
    "int64": Signature("a", whole),
    "float64": Signature("a", floating),
    "add": Signature("a*", lambda *values: wrapped(sum(map(whole, values)))),
    "add1": Signature("a", lambda value: wrapped(whole(value) + 1)),
    "sub": Signature("aa", lambda first, second: wrapped(whole(first) - whole(second))),
    "mul": Signature("aa*", _product),
    "div": Signature("aa", _quotient),
    "mod": Signature("aa", _remainder),
    "max": Signature("aa*", lambda *values: max(map(whole, values))),
    "min": Signature("aa*", lambda *values: min(map(whole, values))),
    "until": Signature("i", lambda count: steps(0, count, -1 if count < 0 else 1)),
    "untilStep": Signature("iii", steps),
}
