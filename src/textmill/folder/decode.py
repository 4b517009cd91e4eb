"""Nodes to the typed fields of a struct; every key that does not fit becomes a problem with its line, and none stops another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from textmill.config.option import nearest
from textmill.folder.nodes import Items, Node, Scalar, Table, kind_of, plain_value, repeated
from textmill.folder.problem import Problems

S = TypeVar("S", bound=msgspec.Struct)

_NAMES: Mapping[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


class _Unfit(Exception):
    """A value that is not what its field takes: what it takes, what else would help, and where below the field it stands."""

    def __init__(self, node: Node, wanted: str, hint: str = "", below: str = "") -> None:
        super().__init__(wanted)
        self.node = node
        self.wanted = wanted
        self.hint = hint
        self.below = below

    def __str__(self) -> str:
        found = kind_of(self.node)
        if self.wanted.startswith("one of") and isinstance(self.node, Scalar):
            found = "another text"
        elif self.wanted.startswith(f"{found},"):
            found = "less"
        elif found == "a text in quotes":
            found += "; leave the quotes out"
        return f"it must be {self.wanted}, not {found}{self.hint}"


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the fields of one entry into structs."""

    problems: Problems
    top: type[msgspec.Struct]

    def struct(self, kind: type[S], table: Table, path: str) -> S:
        """The struct with every field that fits."""
        known = hints(kind)
        values: dict[str, object] = {}
        for key, line in table.repeated:
            self.problems.error(
                line, _shown(path + key), f"the key stands here again; it is in line {table.pairs[key][0]} already"
            )
        for key, (line, node) in table.pairs.items():
            if key not in known:
                self.problems.warn(line, _shown(path + key), self._unknown(kind, key))
            elif not (isinstance(node, Scalar) and node.is_null):
                try:
                    values[key] = self.value(known[key], node, path + key)
                except _Unfit as unfit:
                    self.problems.error(max(unfit.node.line, line), path + key + unfit.below, str(unfit))
        return kind(**values)

    def value(self, annotation: Any, node: Node, path: str) -> object:
        """The value of a field; raises _Unfit."""
        bare, least = _bare(annotation)
        origin = get_origin(bare)
        if bare is Any:
            for key, line in repeated(node):
                self.problems.error(line, f"{path}.{_shown(key)}", "the key stands here again")
            return plain_value(node)
        if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
            if not isinstance(node, Table):
                raise _Unfit(node, "a mapping")
            return self.struct(bare, node, f"{path}.")
        if origin is tuple:
            return self._items(get_args(bare)[0], node, path)
        if origin is Mapping:
            return self._mapping(get_args(bare)[1], node, path)
        if origin is Literal:
            return _choice(get_args(bare), node)
        return _scalar(bare, least, node)

    def _items(self, each: Any, node: Node, path: str) -> tuple[object, ...]:
        if not isinstance(node, Items):
            raise _Unfit(node, f"a list of {_plural(each)}")
        return tuple(self._inner(each, item, f"{path}[{index}]", f"[{index}]") for index, item in enumerate(node.items))

    def _mapping(self, each: Any, node: Node, path: str) -> Mapping[str, object]:
        if not isinstance(node, Table):
            raise _Unfit(node, "a mapping")
        for key, line in node.repeated:
            self.problems.error(line, f"{path}.{_shown(key)}", "the key stands here again")
        names = {key: f".{_shown(key)}" for key in node.pairs}
        return {key: self._inner(each, value, path + names[key], names[key]) for key, (_, value) in node.pairs.items()}

    def _inner(self, each: Any, node: Node, path: str, below: str) -> object:
        try:
            return self.value(each, node, path)
        except _Unfit as unfit:
            raise _Unfit(unfit.node, unfit.wanted, unfit.hint, below + unfit.below) from None

    def _unknown(self, kind: type[msgspec.Struct], key: str) -> str:
        """What to say of a key that no field has here: where it belongs, or which one is near."""
        section = self._section(key)
        if kind is self.top and section:
            return f"it belongs below {section}; here it is ignored"
        if kind is not self.top and key in hints(self.top):
            return "it belongs at the top level; here it is ignored"
        return f"there is no such field; it is ignored{nearest(key, hints(kind))}"

    def _section(self, key: str) -> str:
        """The section of the top level that has a field of that name."""
        for name, annotation in hints(self.top).items():
            bare, _ = _bare(annotation)
            if isinstance(bare, type) and issubclass(bare, msgspec.Struct) and key in hints(bare):
                return name
        return ""


def decode(kind: type[S], table: Table, problems: Problems) -> S:
    """The fields of a table; what does not fit is left out and is a problem."""
    return _Reader(problems, kind).struct(kind, table, "")


@cache
def hints(kind: type[msgspec.Struct]) -> Mapping[str, Any]:
    """The annotations of a struct's fields: first those of its own class, then those of the classes that it derives from."""
    found = get_type_hints(kind, include_extras=True)
    fields = {field.name for field in msgspec.structs.fields(kind)}
    names = [name for base in kind.__mro__ for name in vars(base).get("__annotations__", ()) if name in fields]
    return {name: found[name] for name in names}


def _bare(annotation: Any) -> tuple[Any, float | None]:
    """The type beneath Annotated and Optional, and the least value that it may have."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *metas = get_args(annotation)
        bare, least = _bare(inner)
        stated = next((meta.ge for meta in metas if getattr(meta, "ge", None) is not None), least)
        return bare, stated
    if origin in (Union, UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        return _bare(parts[0]) if len(parts) == 1 else (tuple(parts), None)
    return annotation, None


def _scalar(bare: Any, least: float | None, node: Node) -> object:
    kinds = bare if isinstance(bare, tuple) else (bare,)
    wanted = " or ".join(_NAMES[kind] for kind in kinds)
    if isinstance(node, Scalar):
        for kind in kinds:
            value = _CONVERSIONS[kind](node)
            if value is not None and (least is None or value >= least):
                return value
    raise _Unfit(node, wanted if least is None else f"{wanted}, {least} or more")


def _choice(choices: tuple[str, ...], node: Node) -> str:
    if isinstance(node, Scalar) and node.text in choices:
        return node.text
    wanted = f"one of {', '.join(choice for choice in choices if choice)}"
    raise _Unfit(node, wanted, nearest(node.text, choices) if isinstance(node, Scalar) else "")


_CONVERSIONS: Mapping[Any, Any] = {
    bool: Scalar.as_bool,
    int: Scalar.as_int,
    float: Scalar.as_float,
    str: lambda node: node.text,
}


def _plural(each: Any) -> str:
    bare, _ = _bare(each)
    return {str: "texts", float: "numbers", int: "whole numbers"}.get(bare, "mappings")


def _shown(key: str) -> str:
    """A key as messages have it: short, on one line."""
    text = key if key.isprintable() else repr(key)[1:-1]
    return text if len(text) <= 80 else f"{text[:77]}…"  # noqa: PLR2004 - of a terminal's line
