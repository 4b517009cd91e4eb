"""What there is to say of each field of a model file, from the structs: for the docs, and for those who look at a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from textmill.folder.decode import hints
from textmill.folder.fields import Fields
from textmill.folder.state import ACTS

_NAMES: Mapping[Any, str] = {bool: "true or false", int: "whole number", float: "number", str: "text", Any: "anything"}


@dataclass(frozen=True, slots=True)
class Described:
    """A field: its dotted ``key``, the ``kind`` of its values for a person, its state, and what it means."""

    key: str
    kind: str
    state: str
    means: str


@cache
def described(kind: type[msgspec.Struct] = Fields, prefix: str = "") -> tuple[Described, ...]:
    """The fields of a struct, each section's own behind it."""
    return tuple(_described(kind, prefix))


def without_effect(fields: msgspec.Struct, prefix: str = "") -> list[Described]:
    """The fields that a file states and that do not act; a section without those that act stands for all that is in it."""
    own = {each.key: each for each in described(type(fields), prefix)}
    found: list[Described] = []
    for name in hints(type(fields)):
        value = getattr(fields, name)
        if value is None:
            continue
        if own[prefix + name].state != ACTS:
            found.append(own[prefix + name])
        elif isinstance(value, msgspec.Struct):
            found += without_effect(value, f"{prefix}{name}.")
    return found


def _described(kind: type[msgspec.Struct], prefix: str) -> Iterator[Described]:
    for name, annotation in hints(kind).items():
        bare, *metas = get_args(annotation)
        meta = next(meta for meta in metas if meta.description)
        section = _section(bare)
        yield Described(prefix + name, _kind(bare), str((meta.extra or {})["state"]), meta.description)
        if section is not None:
            yield from _described(section, f"{prefix}{name}{'[]' if _is_list(bare) else ''}.")


def _kind(annotation: Any) -> str:
    """The type of a field in words."""
    origin, parts = get_origin(annotation), [part for part in get_args(annotation) if part is not type(None)]
    if origin is Annotated:
        return _kind(parts[0])
    if origin in (Union, UnionType):
        return " or ".join(_kind(part) for part in parts)
    if origin is tuple:
        return f"list of {_several(parts[0])}"
    if origin is Mapping:
        return "mapping" if parts[1] is Any else f"mapping to {_several(parts[1])}"
    if origin is Literal:
        return ", ".join(str(part) for part in parts if part)
    return _NAMES.get(annotation, "section")


def _several(annotation: Any) -> str:
    kind = _kind(annotation)
    return kind if annotation is bool else f"{kind}s"


def _section(annotation: Any) -> type[msgspec.Struct] | None:
    """The struct in an annotation, or in the list that it is."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation
    found = (_section(part) for part in get_args(annotation) if get_origin(annotation) is not Mapping)
    return next((section for section in found if section is not None), None)


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(_is_list(part) for part in get_args(annotation))
