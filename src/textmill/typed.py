"""Dataclasses whose fields hold what they say: a value of another kind is the caller's mistake, told by the field's name."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from textmill.errors import InvalidInput

_NAMES: Mapping[type, str] = {int: "a whole number", str: "a text", bool: "True or False", type(None): "None"}


class Typed:
    """A frozen dataclass that raises InvalidInput, naming the field, where it is made with a value of the wrong kind.

    Kinds are texts, whole numbers, booleans, literals, other dataclasses, and unions of them; a field of another kind is not
    checked. What only counts as one, such as numpy's numbers and the texts of an enum, becomes plain.
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        """Check every field, and make it plain."""
        own: type = type(self)
        for name, kind in _kinds(own).items():
            value = getattr(self, name)
            if kind.holds(value):
                continue
            plain = _plain(value)
            if not kind.holds(plain):
                shown = " ".join(reprlib.repr(value).split())
                msg = f"{name} is {shown}; it must be {kind}"
                raise InvalidInput(msg, param=name)
            object.__setattr__(self, name, plain)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a field may hold: values of exactly these classes, or one of these texts."""

    classes: frozenset[type]
    choices: tuple[str, ...]

    def holds(self, value: object) -> bool:
        return type(value) in self.classes or (type(value) is str and value in self.choices)

    def __str__(self) -> str:
        names = [name for known, name in _NAMES.items() if known in self.classes and known is not type(None)]
        names += [f"one of {', '.join(self.choices)}"] * bool(self.choices)
        names += sorted(f"a {known.__name__}" for known in self.classes if known not in _NAMES)
        return " or ".join(names + ["None"] * (type(None) in self.classes))


@cache
def _kinds(cls: type) -> Mapping[str, _Kind]:
    """The kinds of a dataclass's fields, without those that are not checked."""
    found = {name: _kind(hint) for name, hint in get_type_hints(cls).items()}
    return {name: kind for name, kind in found.items() if kind is not None}


def _kind(hint: Any) -> _Kind | None:
    members = (hint,) if get_origin(hint) in (None, Literal) else get_args(hint)
    choices = tuple(choice for member in members if get_origin(member) is Literal for choice in get_args(member))
    classes = [member for member in members if get_origin(member) is not Literal]
    if not all(member in _NAMES or is_dataclass(member) for member in classes):
        return None
    return _Kind(frozenset(classes), choices)


def _plain(value: Any) -> object:
    if isinstance(value, str):
        return str.__str__(value)
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):  # numpy's numbers and booleans
        return value.item()
    if isinstance(value, int) and not isinstance(value, bool):  # an enum's
        return int(value)
    return value
