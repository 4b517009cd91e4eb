"""A JSON schema as a grammar whose blanks are few.

xgrammar's own reading of schemas allows any number of blanks wherever JSON does, and a small model, or a warm one, may go on with them
until it is at its limit. Here a blank is what llama.cpp allows: nothing, one space, or a line break and its indentation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

# Letters in the ranges of UTF-8's lengths: of wider ones xgrammar makes bytes that are no UTF-8, or none to go on with.
_BASE = r"""ws ::= "" | " " | "\n" [ \t]{0,20}
char ::= [ !#-\[\]-~] | other | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})
other ::= [\u0080-\u07ff] | [\u0800-\ucfff] | [\ud000-\ud7ff] | [\ue000-\uffff] | [\U00010000-\U0010ffff]
string ::= "\"" char* "\""
integer ::= "-"? ("0" | [1-9] [0-9]{0,15})
number ::= integer ("." [0-9]{1,16})? ([eE] [+-]? [0-9]{1,3})?
boolean ::= "true" | "false"
null ::= "null"
value ::= object | array | string | number | boolean | null
object ::= "{" ws (string ws ":" ws value ws ("," ws string ws ":" ws value ws)*)? "}"
array ::= "[" ws (value ws ("," ws value ws)*)? "]"
"""
_SILENT = frozenset(
    (
        *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
        *("$schema", "$id", "$comment", "$defs", "definitions"),
    )
)
"""Keywords that say nothing of values."""
_OF_TYPES: Mapping[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "string": frozenset({"minLength", "maxLength"}),
    **dict.fromkeys(("integer", "number", "boolean", "null"), frozenset()),
}
_DEEPEST, _MOST = 64, 4096


class _Unknown(Exception):
    """The schema has something that this does not know."""


def json_grammar(schema: Mapping[str, Any]) -> str | None:
    """The grammar of JSON that fits the schema, None for a schema with keywords that are not known here.

    Objects have their properties in the schema's order, and no others where it does not speak of them.
    """
    made = _Grammar(schema)
    try:
        root = made.expression(schema, 0)
    except (_Unknown, TypeError, ValueError, AttributeError):
        return None
    return f"root ::= {root}\n{_BASE}" + "".join(f"{name} ::= {text}\n" for name, text in made.rules.items())


class _Grammar:
    """The rules of one schema, by their names."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.rules: dict[str, str] = {}
        self._schema = schema
        self._references: dict[str, str] = {}

    def expression(self, schema: Any, depth: int) -> str:
        """What stands for a value of a schema."""
        if schema is True:
            return "value"
        if not isinstance(schema, Mapping) or depth > _DEEPEST or len(self.rules) > _MOST:
            raise _Unknown
        said = {key: value for key, value in schema.items() if key not in _SILENT}
        for key, read in (("$ref", self._reference), ("const", self._constant), ("enum", self._enumeration)):
            if key in said:
                self._only(said, key, "type")
                return read(said[key], depth)
        for key in ("anyOf", "oneOf", "allOf"):
            if key in said:
                self._only(said, key)
                return self._either(said[key], depth, one=key == "allOf")
        return self._typed(said, depth)

    def _typed(self, said: Mapping[str, Any], depth: int) -> str:
        if not said:
            return "value"
        kinds = said.get("type", "object" if "properties" in said else "array" if "items" in said else None)
        if isinstance(kinds, list):
            parts = [self._typed(_for(said, kind), depth) for kind in kinds]
            return self._named(" | ".join(parts))
        if kinds not in _OF_TYPES:
            raise _Unknown
        self._only(said, "type", *_OF_TYPES[kinds])
        if kinds == "object":
            return self._object(said, depth)
        if kinds == "array":
            return self._array(said, depth)
        return self._string(said) if kinds == "string" else str(kinds)

    def _object(self, said: Mapping[str, Any], depth: int) -> str:
        known, more = said.get("properties") or {}, said.get("additionalProperties", True)
        required = set(said.get("required") or ())
        if not known:
            return self._open(more, depth) if not required else self._missing()
        if ("additionalProperties" in said and more is not False) or required - set(known):
            raise _Unknown
        pairs = [
            f'"{_quoted(json.dumps(name, ensure_ascii=False))}" ws ":" ws {self.expression(each, depth + 1)} ws'
            for name, each in known.items()
        ]
        # From behind: what follows where something stands before it, and where nothing does.
        then, first = "", ""
        for name, pair in zip(reversed(list(known)), reversed(pairs), strict=True):
            must = name in required
            first = self._named(f"{pair} {then}" if must else f"{pair} {then} | {first or _NOTHING}")
            then = self._named(f'"," ws {pair} {then}' if must else f'("," ws {pair})? {then}')
        return self._named(f'"{{" ws {first} "}}"')

    def _open(self, more: Any, depth: int) -> str:
        """An object of any names."""
        if more is False:
            return self._named('"{" ws "}"')
        if more is True:
            return "object"
        pair = f'string ws ":" ws {self.expression(more, depth + 1)} ws'
        return self._named(f'"{{" ws ({pair} ("," ws {pair})*)? "}}"')

    def _array(self, said: Mapping[str, Any], depth: int) -> str:
        item = f"{self.expression(said.get('items', True), depth + 1)} ws"
        least, most = _count(said, "minItems", 0), _count(said, "maxItems", None)
        if most == 0:
            return self._named('"[" ws "]"')
        if most is not None and most < (least or 0):
            raise _Unknown
        others = f"{{{max(0, (least or 0) - 1)},{'' if most is None else most - 1}}}"
        items = f'{item} ("," ws {item}){others}'
        return self._named(f'"[" ws {items} "]"' if least else f'"[" ws ({items})? "]"')

    def _string(self, said: Mapping[str, Any]) -> str:
        least, most = _count(said, "minLength", 0), _count(said, "maxLength", None)
        if not least and most is None:
            return "string"
        if most is not None and most < (least or 0):
            raise _Unknown
        return self._named(f'"\\"" char{{{least},{"" if most is None else most}}} "\\""')

    def _either(self, schemas: Sequence[Any], depth: int, *, one: bool) -> str:
        if not schemas or (one and len(schemas) > 1):
            raise _Unknown
        return self._named(" | ".join(self.expression(each, depth + 1) for each in schemas))

    def _reference(self, path: str, depth: int) -> str:
        """The rule of a part of the schema, which may be within itself."""
        if path not in self._references:
            name = self._references[path] = f"r{len(self.rules)}"
            self.rules[name] = ""
            self.rules[name] = self.expression(self._found(path), depth + 1)
        return self._references[path]

    def _found(self, path: str) -> Any:
        if not path.startswith("#"):
            raise _Unknown
        found: Any = self._schema
        for part in path[1:].split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, Mapping) or key not in found:
                raise _Unknown
            found = found[key]
        return found

    def _enumeration(self, values: Sequence[Any], depth: int) -> str:
        if not values:
            raise _Unknown
        return self._named(" | ".join(self._constant(each, depth) for each in values))

    def _constant(self, value: Any, depth: int) -> str:
        del depth
        return f'"{_quoted(json.dumps(value, ensure_ascii=False))}"'

    def _named(self, text: str) -> str:
        name = f"r{len(self.rules)}"
        self.rules[name] = text
        return name

    def _missing(self) -> str:
        raise _Unknown

    def _only(self, said: Mapping[str, Any], *keys: str) -> None:
        """Nothing but these may be there."""
        if set(said) - set(keys):
            raise _Unknown


_NOTHING = '""'


def _for(said: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """What a schema of several types says of one."""
    every = frozenset[str]().union(*_OF_TYPES.values())
    return {key: value for key, value in said.items() if key not in every - _OF_TYPES[kind]} | {"type": kind}


def _count(said: Mapping[str, Any], key: str, usual: int | None) -> int | None:
    value = said.get(key, usual)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST):
        raise _Unknown
    return value


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
