"""JSON schemas that callers send: what would stop a model's engine is refused before it gets there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NoReturn

from textmill.errors import InvalidInput

_DEEPEST = 64
_MOST_NODES = 20_000
_MOST_REPEATS = 10_000
_REPEATS = ("minLength", "maxLength", "minItems", "maxItems")
_LONGEST_PATTERN = 1_000
_HUNDRED = 100
_INDEX = re.compile("[0-9]{1,6}")
_LARGEST = 2**63


def check_schema(schema: Mapping[str, Any], param: str) -> None:
    """Raise InvalidInput, naming the place, for a schema that no grammar can be made of.

    That are references (https://json-schema.org/draft/2020-12/json-schema-core, section 8.2.3) to nowhere or to other documents, which
    engines follow for ever, numbers of repetitions and patterns that unroll to more than there is memory, and depths beyond 64.
    """
    seen = 0
    waiting: list[tuple[Any, str, int]] = [(schema, param, 0)]
    while waiting:
        node, path, depth = waiting.pop()
        seen += 1
        if depth > _DEEPEST or seen > _MOST_NODES:
            _refuse(
                param,
                f"{path} is nested too deeply, or the schema is too large: {_DEEPEST} levels and {_MOST_NODES} parts go",
            )
        _check_number(node, path, param)
        if isinstance(node, Mapping):
            _check_node(node, path, schema, param)
            waiting += [(value, f"{path}.{key}"[-_HUNDRED:], depth + 1) for key, value in node.items()]
        elif isinstance(node, list):
            waiting += [(value, f"{path}[{index}]"[-_HUNDRED:], depth + 1) for index, value in enumerate(node)]


def check_plain(value: Any, path: str, param: str) -> None:
    """Raise InvalidInput, naming the path, for JSON that is nested beyond 64 levels, or has whole numbers beyond 64 bits, which engines do not read."""
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > _DEEPEST:
            _refuse(param, f"{path} is nested too deeply: {_DEEPEST} levels go")
        _check_number(node, path, param)
        if isinstance(node, Mapping):
            waiting += [(each, depth + 1) for each in node.values()]
        elif isinstance(node, list):
            waiting += [(each, depth + 1) for each in node]


def _check_number(node: object, path: str, param: str) -> None:
    if isinstance(node, int) and not -_LARGEST <= node < _LARGEST:
        _refuse(param, f"{path} has a number of more than 64 bits")


def _check_node(node: Mapping[str, Any], path: str, schema: Mapping[str, Any], param: str) -> None:
    reference = node.get("$ref")
    if isinstance(reference, str):
        _check_reference(reference, path, schema, param)
    for key in _REPEATS:
        count = node.get(key)
        if isinstance(count, int) and count > _MOST_REPEATS:
            _refuse(param, f"{path}.{key} is {count}; at most {_MOST_REPEATS} repetitions go")
    pattern = node.get("pattern")
    if isinstance(pattern, str) and len(pattern) > _LONGEST_PATTERN:
        _refuse(param, f"{path}.pattern has {len(pattern)} characters; at most {_LONGEST_PATTERN} go")


def _check_reference(reference: str, path: str, schema: Mapping[str, Any], param: str) -> None:
    """References point into the same document, and what they point at is not a reference that leads back to itself."""
    followed = {reference}
    while True:
        target = _at(schema, reference)
        if target is None:
            _refuse(
                param,
                f"{path}.$ref is {reference!r}; only parts of the same schema go, written as '#/$defs/Name', that are there",
            )
        further = target.get("$ref") if isinstance(target, Mapping) else None
        if not isinstance(further, str):
            return
        if further in followed:
            _refuse(param, f"{path}.$ref is {reference!r}, which leads back to itself")
        if len(followed) >= _DEEPEST:
            _refuse(param, f"{path}.$ref is {reference!r}, which leads on more than {_DEEPEST} times")
        followed.add(further)
        reference = further


def _at(schema: Any, reference: str) -> Any:
    """What a JSON pointer in a fragment (RFC 6901, section 6) points at; None for nothing. The whole is none: engines do not take it."""
    if not reference.startswith("#/"):
        return None
    node = schema
    for step in reference[2:].split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list) and _INDEX.fullmatch(key) and int(key) < len(node):
            node = node[int(key)]
        elif isinstance(node, Mapping):
            node = node.get(key)
        else:
            return None
    return node


def _refuse(param: str, message: str) -> NoReturn:
    raise InvalidInput(message, param=param)
