"""What a YAML file holds before anybody says what types it should have: scalars, lists and tables, each with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_INT = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0o[0-7]+|0[bB][01]+|[0-9]+)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BOOLS = {
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
}
_NULLS = ("", "~", "null", "Null", "NULL")
_DIGITS = 40
"""No number that a model file needs is longer; turning very long ones into integers takes quadratic time."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text as it stands in the file; ``plain`` where it has no quotes, so that it may mean another type."""

    text: str
    plain: bool
    line: int
    size: int = 1

    @property
    def is_null(self) -> bool:
        """Whether nothing is said."""
        return self.plain and self.text in _NULLS

    def as_bool(self) -> bool | None:
        """The truth value that it means where one is wanted, yes and on included (YAML 1.1); None for another text."""
        return _BOOLS.get(self.text) if self.plain else None

    def as_int(self) -> int | None:
        """The whole number that it means; None for another text."""
        if not self.plain or len(self.text) > _DIGITS:
            return None
        text = self.text.replace("_", "")
        if _INT.fullmatch(text):
            sign, digits = (-1 if text.startswith("-") else 1), text.lstrip("+-").lower()
            return sign * int(digits, {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2], 10))
        number = self.as_float()
        return int(number) if number is not None and abs(number) < 2**63 and number == int(number) else None

    def as_float(self) -> float | None:
        """The number that it means; None for another text, and for infinity."""
        if not self.plain or len(self.text) > _DIGITS:
            return None
        text = self.text.replace("_", "")
        number = float(text) if _FLOAT.fullmatch(text) else None
        return None if number is None or number in (float("inf"), float("-inf")) else number

    def as_any(self) -> object:
        """What it means where no type is wanted, by the core schema of YAML 1.2: yes and on are texts."""
        if self.is_null:
            return None
        if self.plain and self.text.lower() in ("true", "false"):
            return self.text.lower() == "true"
        for value in (self._whole(), self.as_float()):
            if value is not None:
                return value
        return self.text

    def _whole(self) -> int | None:
        return self.as_int() if _INT.fullmatch(self.text.replace("_", "")) else None


@dataclass(frozen=True, slots=True)
class Items:
    """A list. ``size`` counts what is in it, with what aliases stand for."""

    items: tuple[Node, ...]
    line: int
    size: int = 1


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping: for each key its line and its value. ``repeated`` are keys that stand in it again, with the lines where."""

    pairs: Mapping[str, tuple[int, Node]]
    line: int
    size: int = 1
    repeated: tuple[tuple[str, int], ...] = field(default=())


Node = Scalar | Items | Table


def plain_value(node: Node) -> object:
    """A node as None, booleans, numbers, texts, lists and dictionaries."""
    if isinstance(node, Scalar):
        return node.as_any()
    if isinstance(node, Items):
        return [plain_value(item) for item in node.items]
    return {key: plain_value(value) for key, (_, value) in node.pairs.items()}


def repeated(node: Node) -> Iterator[tuple[str, int]]:
    """The keys that stand again in one of the tables of a node, with their lines."""
    if isinstance(node, Items):
        for item in node.items:
            yield from repeated(item)
    elif isinstance(node, Table):
        yield from node.repeated
        for _, value in node.pairs.values():
            yield from repeated(value)


def kind_of(node: Node) -> str:
    """What a node is, for a person; never its value, which could be a secret."""
    if isinstance(node, Items):
        return "a list"
    if isinstance(node, Table):
        return "a mapping"
    if node.is_null:
        return "nothing"
    if not node.plain:
        return "a text in quotes"
    kinds = {bool: "true or false", int: "a whole number", float: "a number"}
    return kinds.get(type(node.as_any()), "a text")
