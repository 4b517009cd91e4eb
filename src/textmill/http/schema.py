"""JSON schemas that say more than the types they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_EXACTLY = "x-exactly"


def exactly(schema: Mapping[str, object]) -> dict[str, object]:
    """Extra JSON schema for msgspec's Meta that stands in place of what the type says, which can only be vaguer."""
    return {_EXACTLY: schema}


def with_exact(node: Any) -> Any:
    """A schema with all that `exactly` gave in its place."""
    if isinstance(node, list):
        return [with_exact(item) for item in node]
    if not isinstance(node, dict):
        return node
    if _EXACTLY in node:
        node = {key: node[key] for key in ("description", "default") if key in node} | node[_EXACTLY]
    return {key: with_exact(value) for key, value in node.items()}
