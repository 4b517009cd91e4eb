"""The OpenAPI 3.1 document, from the operations and their structs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson

from textmill.http.operation import JSON, Operation
from textmill.http.schema import with_exact

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
            paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, path, schemas)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "textmill",
            "version": version,
            "summary": "Text embeddings, in the dialects that clients already speak.",
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
    if operation.method == "POST":
        kinds.append(operation.documented or operation.takes)
    if operation.gives is not None and not isinstance(operation.gives, str):
        kinds.append(operation.gives)
    return kinds


def _operation(operation: Operation[Any], path: str, schemas: Mapping[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "tags": [operation.dialect.name],
        "operationId": operation.handle.__name__ + "_" + (path.strip("/").replace("/", "_") or "root"),
        "summary": operation.summary,
        "security": [] if operation.public else [{}, {"key": []}],
        "responses": {"200": _success(operation, schemas)} | _failures(operation, schemas),
    }
    if operation.description:
        described["description"] = operation.description
    if path != operation.paths[0]:
        described["description"] = f"The same as `{operation.paths[0]}`."
        described["x-alias-of"] = operation.paths[0]
    if operation.method == "POST":
        body = {"schema": schemas[str(operation.documented or operation.takes)], "example": operation.example}
        described["requestBody"] = {"required": True, "content": {JSON: body}}
    return described


def _success(operation: Operation[Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    if operation.gives is None:
        return {"description": "Yes; the body is empty."}
    if isinstance(operation.gives, str):
        return {"description": operation.summary, "content": {operation.gives: {}}}
    content = {"schema": schemas[str(operation.gives)]}
    if operation.answers_with is not None:
        content["example"] = operation.answers_with
    return {"description": operation.summary, "content": {JSON: content}}


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
