from __future__ import annotations

import json
from typing import Any

import pytest

from textmill.errors import InvalidInput
from textmill.tasks.schemas import check_schema


def nested(levels: int) -> dict[str, Any]:
    made: dict[str, Any] = json.loads('{"items":' * levels + "{}" + "}" * levels)
    return made


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "string"}}},
        {
            "$ref": "#/$defs/node",
            "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
        },
        {"$ref": "#/$defs/a~1b~0c", "$defs": {"a/b~c": {"type": "null"}}},
        {"anyOf": [{"type": "string"}, {"$ref": "#/anyOf/0"}]},
        {"type": "string", "minLength": 1, "maxLength": 10_000, "pattern": "^a+$"},
        {"properties": {"minLength": {"type": "integer"}}},
        nested(60),
    ],
)
def test_schemas_that_grammars_are_made_of_pass(schema: dict[str, Any]) -> None:
    check_schema(schema, "schema")


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"$ref": "#/x/y"}, r"schema\.\$ref is '#/x/y'"),
        ({"$ref": "#"}, "only parts of the same schema"),
        ({"properties": {"a": {"$ref": "https://example.com/a"}}}, r"schema\.properties\.a\.\$ref"),
        ({"anyOf": [{"$ref": "#/anyOf/7"}]}, r"schema\.anyOf\[0\]"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, "back to itself"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "back to itself"),
        ({"$ref": "#/x/²", "x": [1, 2, 3]}, "only parts of the same schema"),
        ({"$ref": "#/x/" + "1" * 5000, "x": [1]}, "only parts of the same schema"),
        (
            {"$ref": "#/$defs/0", "$defs": {str(n): {"$ref": f"#/$defs/{n + 1}"} for n in range(100)} | {"100": {}}},
            "leads on",
        ),
        ({"maximum": 10**30}, "more than 64 bits"),
        ({"type": "string", "minLength": 10**9}, "minLength is 1000000000"),
        ({"type": "array", "maxItems": 10_001}, "maxItems is 10001"),
        ({"type": "string", "pattern": "a" * 1001}, "pattern has 1001 characters"),
        (nested(70), "nested too deeply"),
        (nested(5000 // 8), "nested too deeply"),
        ({"enum": list(range(30_000))}, "too large"),
    ],
)
def test_schemas_that_would_stop_an_engine_are_refused(schema: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as told:
        check_schema(schema, "schema")
    assert told.value.param == "schema"
