"""Values as Go's encoding/json writes them (https://pkg.go.dev/encoding/json#Marshal)."""

from __future__ import annotations

import json
import math
import re

from textmill.prompting import numerals
from textmill.prompting.limits import MOST_NESTING, Budget
from textmill.prompting.trouble import Trouble
from textmill.prompting.values import MISSING, NilList, NilMap, Record, Value, from_json, truth

_SPECIAL = re.compile('["\\\\\x00-\x1f\u2028\u2029\ud800-\udfff]')
_OF_HTML = re.compile("[&<>]")
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


class Writer:
    """Writes JSON: in HTML's spelling, where ``<`` is an escape, unless ``raw``; on lines of their own with ``indent``."""

    def __init__(self, budget: Budget, *, raw: bool = False, indent: str = "") -> None:
        self._budget = budget
        self._raw = raw
        self._indent = indent

    def text(self, value: Value, depth: int = 0) -> str:
        """The JSON of a value. Keys of maps are in order, fields of structs in theirs.

        Raises:
            Trouble: It is nested too deep, a number is infinite or none, or the budget is spent.

        """
        self._budget.step()
        if depth > MOST_NESTING:
            msg = f"a value is nested more than {MOST_NESTING} deep, or in itself"
            raise Trouble(msg)
        if isinstance(value, NilList | NilMap) or value is None or value is MISSING:
            return "null"
        if isinstance(value, list):
            return self._around("[", [self.text(each, depth + 1) for each in value], "]", depth)
        if isinstance(value, Record):
            return self._members(_named(value), depth)
        if isinstance(value, dict):
            return self._members([(key, value[key]) for key in sorted(value)], depth)
        text = self._plain(value)
        self._budget.write(len(text))
        return text

    def _members(self, members: list[tuple[str, Value]], depth: int) -> str:
        colon = ": " if self._indent else ":"
        parts = [f"{self._string(key)}{colon}{self.text(value, depth + 1)}" for key, value in members]
        return self._around("{", parts, "}", depth)

    def _around(self, opening: str, parts: list[str], closing: str, depth: int) -> str:
        if not self._indent or not parts:
            return f"{opening}{','.join(parts)}{closing}"
        inner, outer = f"\n{self._indent * (depth + 1)}", f"\n{self._indent * depth}"
        self._budget.write(len(inner) * len(parts))
        return f"{opening}{inner}{f',{inner}'.join(parts)}{outer}{closing}"

    def _plain(self, value: Value) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, float) and not math.isfinite(value):
            msg = f"JSON has no number {numerals.general(value)}"
            raise Trouble(msg)
        return (
            numerals.in_json(value)
            if isinstance(value, float)
            else self._string(value)
            if isinstance(value, str)
            else str(value)
        )

    def _string(self, text: str) -> str:
        escaped = _SPECIAL.sub(_escaped, text)
        return f'"{escaped if self._raw else _OF_HTML.sub(_escaped, escaped)}"'


def parsed(text: str) -> Value:
    """What JSON says.

    Raises:
        Trouble: It is no JSON, or is nested too deep.

    """
    try:
        return from_json(json.loads(text))
    except (ValueError, RecursionError) as error:
        msg = f"this is no JSON: {error}"
        raise Trouble(msg) from None


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    if "\ud800" <= character <= "\udfff":
        return "\\ufffd"
    return _SHORT.get(character) or f"\\u{ord(character):04x}"


def _named(record: Record) -> list[tuple[str, Value]]:
    names = [(record.json_names.get(name, name), value) for name, value in record.fields.items()]
    return [(name.removesuffix("?"), value) for name, value in names if not name.endswith("?") or truth(value)]
