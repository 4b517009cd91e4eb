"""The OpenAPI 3.1 document, from the operations and their structs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

import msgspec
import orjson

from textmill.http.address import names_in, shown
from textmill.http.answer import JSON
from textmill.http.operation import Operation
from textmill.http.schema import with_exact

_MODEL = "A name of `/v1/models`, where the body names none."
_NAMED = {
    "deployment": "A name of `/v1/models`, whatever the body names.",
    "id": "A name of `/v1/models`, whatever the body names.",
    "repository": "A name of `/v1/models`, whatever the body names.",
    "pipeline": "A pipeline, such as `feature-extraction`.",
}
_SIGNS = re.compile(r"\W+")
_TEMPLATE = "#/components/schemas/{name}"


def openapi(operations: Sequence[Operation[Any]], version: str, default: str) -> bytes:
    """The document as JSON: routes, fields, examples, failures. ``default`` names the default model."""
    types = [kind for operation in operations for kind in _types(operation)]
    refs, components = msgspec.json.schema_components(types, ref_template=_TEMPLATE)
    components = {name: with_exact(schema) for name, schema in components.items()}
    schemas = {str(kind): ref for kind, ref in zip(types, refs, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        for path in operation.paths:
            paths.setdefault(shown(path), {})[operation.method.lower()] = _operation(operation, path, schemas)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "textmill",
            "version": version,
            "summary": "Embeddings, reranking, classification and text generation, in the dialects that clients already speak.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [
            {"url": "/", "description": "The default model, or that which `model` in a body names."},
            {"url": "/m/{model}", "description": "One of the models.", "variables": {"model": {"default": default}}},
        ],
        "tags": [{"name": name} for name in dict.fromkeys(operation.dialect.name for operation in operations)],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }
    return orjson.dumps(document)


def _types(operation: Operation[Any]) -> list[Any]:
    kinds = [operation.dialect.failure_schema]
    if operation.bodied:
        kinds.append(operation.documented or operation.takes)
    if operation.gives is not None and not isinstance(operation.gives, str):
        kinds.append(operation.gives)
    return kinds


def _operation(operation: Operation[Any], path: str, schemas: Mapping[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "tags": [operation.dialect.name],
        "operationId": f"{operation.handle.__name__}_{_id_of(shown(path))}",
        "summary": operation.summary,
        "security": [] if operation.public else [{}, {"key": []}],
        "responses": {str(operation.succeeds): _success(operation, schemas)} | _failures(operation, schemas),
    }
    if operation.description:
        described["description"] = operation.description
    if path != operation.paths[0]:
        described["description"] = f"The same as `{shown(operation.paths[0])}`."
        described["x-alias-of"] = shown(operation.paths[0])
    if parameters := _parameters(operation, path):
        described["parameters"] = parameters
    if operation.bodied:
        body = {"schema": schemas[str(operation.documented or operation.takes)], "example": operation.example}
        described["requestBody"] = {"required": True, "content": {JSON: body}}
    return described


def _id_of(path: str) -> str:
    """A path as part of a name, its last slash told where another path lacks it."""
    name = _SIGNS.sub("_", path).strip("_")
    return f"{name}_slash" if name and path.endswith("/") else name or "root"


def _parameters(operation: Operation[Any], path: str) -> list[dict[str, Any]]:
    """What the path and the query say."""
    in_path = names_in(path)
    if operation.bodied:
        names = [
            _named(each, "path", {"type": "string"}, required=True, description=_NAMED.get(each, _MODEL))
            for each in in_path
        ]
        fields = {field.name for field in msgspec.structs.fields(operation.documented or operation.takes)}
        return names or (
            [_named("model", "query", {"type": "string"}, description=_MODEL)] if "model" in fields else []
        )
    schema = _flat(operation.takes)
    return [
        _named(
            name,
            "path" if name in in_path else "query",
            {key: value for key, value in each.items() if key != "description"},
            required=name in in_path,
            description=each.get("description", ""),
        )
        for name, each in schema.items()
    ]


def _named(
    name: str, place: str, schema: Mapping[str, Any], *, required: bool = False, description: str = ""
) -> dict[str, Any]:
    return {"name": name, "in": place, "required": required, "description": description, "schema": schema}


def _flat(struct: Any) -> Mapping[str, Any]:
    """The schemas of a struct's fields by their names; none of NoneType."""
    if struct is NoneType:
        return {}
    found: Mapping[str, Any] = msgspec.json.schema(struct)["$defs"][struct.__name__]["properties"]
    return found


def _success(operation: Operation[Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    if operation.gives is None:
        return {"description": "Yes; the body is empty."}
    if isinstance(operation.gives, str):
        return {"description": operation.summary, "content": {operation.gives: {}}}
    content = {"schema": schemas[str(operation.gives)]}
    if operation.answers_with is not None:
        content["example"] = operation.answers_with
    bodies: dict[str, Any] = {JSON: content}
    if (framing := operation.streams) is not None:
        kind = framing.content_type.partition(";")[0]
        bodies[kind] = {"schema": {"type": "string", "description": framing.described}}
    return {"description": operation.summary, "content": bodies}


def _failures(operation: Operation[Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    schema = schemas[str(operation.dialect.failure_schema)]
    return {
        str(status): {"description": text, **_content(operation.dialect.forms(status), schema)}
        for status, text in sorted(operation.statuses.items())
    }


def _content(forms: Sequence[str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """What a failure's body is in each of its content types; nothing where it has none."""
    return (
        {"content": {form: {"schema": schema if form == JSON else {"type": "string"}} for form in forms}}
        if forms
        else {}
    )
