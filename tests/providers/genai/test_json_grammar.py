from __future__ import annotations

from typing import Any

import pytest

from textmill.providers.genai.json_grammar import json_grammar


def rules(schema: dict[str, Any]) -> dict[str, str]:
    grammar = json_grammar(schema)
    assert grammar is not None
    return dict(line.split(" ::= ", 1) for line in grammar.splitlines())


@pytest.mark.parametrize(
    ("schema", "root"),
    [
        ({}, "value"),
        ({"title": "any"}, "value"),
        ({"type": "string", "description": "a text"}, "string"),
        ({"type": "object"}, "object"),
        ({"type": "number"}, "number"),
        ({"const": 'a"b'}, '"\\"a\\\\\\"b\\""'),
    ],
)
def test_plain_schemas_are_plain_rules(schema: dict[str, Any], root: str) -> None:
    assert rules(schema)["root"] == root


def test_lengths_are_counted() -> None:
    made = rules({"type": "array", "items": {"type": "null"}, "minItems": 2, "maxItems": 3})
    assert made[made["root"]] == '"[" ws null ws ("," ws null ws){1,2} "]"'
    made = rules({"type": "array", "items": {"type": "string", "maxLength": 4}})
    assert made["r0"] == '"\\"" char{0,4} "\\""'
    assert made[made["root"]] == '"[" ws (r0 ws ("," ws r0 ws){0,})? "]"'


def test_a_schema_within_itself_is_one_rule() -> None:
    made = rules({"type": "array", "items": {"$ref": "#"}})

    assert made["r0"] == made["root"] or made["r0"] in made.values()


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "a+"},
        {"type": "string", "format": "date"},
        {"type": "integer", "minimum": 1},
        {"type": "object", "properties": {"a": {}}, "additionalProperties": True},
        {"type": "object", "properties": {"a": {}}, "required": ["b"]},
        {"type": "object", "patternProperties": {"a": {}}},
        {"type": "array", "uniqueItems": True},
        {"type": "array", "minItems": 3, "maxItems": 2},
        {"type": "array", "minItems": True},
        {"allOf": [{}, {}]},
        {"anyOf": []},
        {"enum": []},
        {"enum": [1], "minimum": 2},
        {"$ref": "https://example.org/schema"},
        {"$ref": "#/$defs/none"},
        {"type": 5},
        {"type": "text"},
        {"not": {}},
        {"items": False},
    ],
)
def test_what_is_not_known_is_left_to_xgrammar(schema: dict[str, Any]) -> None:
    assert json_grammar(schema) is None


def test_a_schema_that_is_too_deep_is_left_to_xgrammar() -> None:
    schema: dict[str, Any] = {}
    for _ in range(200):
        schema = {"type": "array", "items": schema}

    assert json_grammar(schema) is None
