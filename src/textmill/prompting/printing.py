"""Values as Go's fmt prints them without being told how (https://pkg.go.dev/fmt, the verb ``%v``)."""

from __future__ import annotations

from collections.abc import Sequence

from textmill.prompting import numerals
from textmill.prompting.limits import MOST_NESTING, Budget
from textmill.prompting.trouble import Trouble
from textmill.prompting.values import MISSING, Record, Value

NO_VALUE = "<no value>"
NIL = "<nil>"


def shown(value: Value, budget: Budget) -> str:
    """What an action prints: nil and what is missing are ``<no value>``."""
    return NO_VALUE if value is None or value is MISSING else text_of(value, budget)


def text_of(value: Value, budget: Budget, *, names: bool = False, depth: int = 0) -> str:
    """A value as ``%v`` prints it, or ``%+v`` with the names of a struct's fields. Keys of maps are in order.

    Raises:
        Trouble: It is nested too deep, or the budget is spent.

    """
    budget.step()
    if depth > MOST_NESTING:
        msg = f"a value is nested more than {MOST_NESTING} deep, or in itself"
        raise Trouble(msg)
    if isinstance(value, list):
        return f"[{' '.join(text_of(each, budget, names=names, depth=depth + 1) for each in value)}]"
    if isinstance(value, dict):
        pairs = (f"{key}:{text_of(value[key], budget, names=names, depth=depth + 1)}" for key in sorted(value))
        return f"map[{' '.join(pairs)}]"
    if isinstance(value, Record):
        fields = ((f"{key}:" if names else "", each) for key, each in value.fields.items())
        inner = (name + text_of(each, budget, names=names, depth=depth + 1) for name, each in fields)
        return f"{{{' '.join(inner)}}}"
    text = _plain(value)
    budget.write(len(text))
    return text


def _plain(value: Value) -> str:
    if value is None or value is MISSING:
        return NIL
    if isinstance(value, bool):
        return "true" if value else "false"
    return numerals.general(value) if isinstance(value, float) else str(value)


def joined(values: Sequence[Value], budget: Budget) -> str:
    """Several values as ``print`` has them: a space between two neither of which is a text."""
    parts: list[str] = []
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            parts.append(" ")
        parts.append(text_of(value, budget))
    return "".join(parts)


def escapable(values: Sequence[Value], budget: Budget) -> str:
    """Several values as the functions that escape have them: as ``print``, but what is nil or missing is ``<no value>``."""
    return joined([NO_VALUE if value is None else value for value in values], budget)


def line(values: Sequence[Value], budget: Budget) -> str:
    """Several values as ``println`` has them: spaces between all, and a line break."""
    return " ".join(text_of(value, budget) for value in values) + "\n"
