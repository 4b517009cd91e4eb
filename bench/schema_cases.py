"""JSON schemas that texts are bound to, one for each thing that a grammar has to keep to.

In none is going on likelier than ending. Where any value or any property may follow, a model of seeded weights opens brackets and
adds properties until it is cut off, and a text that is cut off is no JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

Schema = Mapping[str, Any]


def _object(properties: Mapping[str, Any], required: Sequence[str] = ()) -> Schema:
    named = list(required or properties)
    return {"type": "object", "properties": properties, "required": named, "additionalProperties": False}


_LEAF: Final = _object({"w": {"type": "boolean"}})
_NODE: Final = _object(
    {
        "v": {"type": "integer", "minimum": 0, "maximum": 9},
        "kids": {"type": "array", "items": {"$ref": "#/$defs/Leaf"}, "maxItems": 2},
        "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
    }
)

SCHEMAS: Final[Mapping[str, Schema]] = {
    "object": _object(
        {
            "a": {"type": "string", "maxLength": 20},
            "n": {"type": "integer", "minimum": -5, "maximum": 120},
            "ok": {"type": "boolean"},
        }
    ),
    "optional": _object({"a": {"type": "boolean"}, "b": {"type": "null"}, "c": {"enum": ["x", 3, None]}}, ["b"]),
    "array": {"type": "array", "items": {"enum": ["red", "green", "blue"]}, "minItems": 1, "maxItems": 4},
    "nested": _object({"p": _object({"q": {"type": "array", "items": _LEAF, "maxItems": 3}})}),
    "tree": {"$defs": {"Node": _NODE, "Leaf": _LEAF}, "$ref": "#/$defs/Node"},
    "any of": {
        "anyOf": [
            _object({"kind": {"const": "a"}, "x": {"type": "number"}}),
            _object({"kind": {"const": "b"}, "y": {"type": "string", "maxLength": 5}}),
        ]
    },
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"], "maxProperties": 2},
            {"type": "object", "properties": {"b": {"type": "integer", "minimum": 1, "maximum": 3}}, "required": ["b"]},
        ]
    },
    "pattern": _object(
        {
            "id": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3,5}$"},
            "mail": {"type": "string", "pattern": r"^[a-z]{1,8}@[a-z]{1,8}\.(com|org)$"},
        }
    ),
    "pattern without anchors": _object({"id": {"type": "string", "pattern": "[0-9]{3}", "maxLength": 12}}),
    "formats": _object(
        {name: {"type": "string", "format": name} for name in ("date", "time", "date-time", "uuid", "ipv4", "email")}
    ),
    "ranges": _object(
        {
            "a": {"type": "integer", "exclusiveMinimum": 10, "exclusiveMaximum": 13},
            "b": {"type": "number", "minimum": 0, "maximum": 1},
            "c": {"type": "integer", "multipleOf": 5, "minimum": 0, "maximum": 50},
        }
    ),
    "two types": {"type": ["integer", "null"], "minimum": 0, "maximum": 99},
    "map": {"type": "object", "additionalProperties": {"type": "boolean"}, "maxProperties": 3},
    "string": {"type": "string", "minLength": 2, "maxLength": 6},
    "tuple": {"type": "array", "prefixItems": [{"type": "boolean"}, {"enum": [1, 2]}], "items": False, "minItems": 2},
    "vector": {"type": "array", "items": {"type": "number", "minimum": -1, "maximum": 1}, "minItems": 3, "maxItems": 3},
    "beyond ASCII": _object({"größe": {"enum": ["klein", "groß", "日本"]}, 'q"uote': {"type": "boolean"}}),
}
