"""What a function takes, and how its arguments are checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textmill.prompting.limits import Budget
from textmill.prompting.trouble import Trouble
from textmill.prompting.values import MISSING, NilMap, Value, called

_WANTED = {
    "s": (str, "a text"),
    "i": (int, "a whole number"),
    "b": (bool, "true or false"),
    "m": (dict, "a map"),
}


@dataclass(frozen=True, slots=True)
class Signature:
    """A function and its parameters, a letter each: ``s`` a text, ``i`` a whole number, ``b`` true or false, ``m`` a map, ``a`` anything.

    A ``*`` at the end lets the last one stand any number of times, also none. ``run`` is given the budget first where ``spends``.
    """

    parameters: str
    run: Callable[..., Value]
    spends: bool = False

    def call(self, name: str, arguments: Sequence[Value], budget: Budget) -> Value:
        """The function's result.

        Raises:
            Trouble: It is given too few arguments, too many, or some that it cannot take.

        """
        letters = self._letters(name, len(arguments))
        checked = [
            _checked(name, index, *pair) for index, pair in enumerate(zip(letters, arguments, strict=True), start=1)
        ]
        result = self.run(budget, *checked) if self.spends else self.run(*checked)
        if isinstance(result, str):
            budget.write(len(result))
        elif isinstance(result, list | dict):
            budget.step(len(result))
        return result

    def _letters(self, name: str, count: int) -> str:
        fixed = self.parameters.removesuffix("*")
        if fixed == self.parameters:
            if count != len(fixed):
                msg = f"{name} takes {_counted(len(fixed))}, not {count}"
                raise Trouble(msg)
            return fixed
        if count < len(fixed) - 1:
            msg = f"{name} takes {_counted(len(fixed) - 1)} or more, not {count}"
            raise Trouble(msg)
        return fixed[:-1] + fixed[-1] * (count - len(fixed) + 1)


def _counted(count: int) -> str:
    return f"{count or 'no'} argument{'' if count == 1 else 's'}"


def _checked(name: str, index: int, letter: str, value: Value) -> Value:
    if letter == "a":
        return None if value is MISSING else value
    if letter == "m" and value is MISSING:
        return NilMap()
    cls, wanted = _WANTED[letter]
    if not isinstance(value, cls) or (letter == "i" and isinstance(value, bool)):
        msg = f"argument {index} of {name} must be {wanted}, not {called(value)}"
        raise Trouble(msg)
    return value
