"""One option as its struct declares it, and how a raw value becomes the option's type."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from textmill.errors import ConfigInvalid

PREFIX = "TEXTMILL_"

WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class Option:
    """A field of a struct of options. ``kind`` is the bare type: bool, int, float, str, tuple or Literal.

    ``group`` is the heading that it has in the help, ``short`` its flag of one letter or empty. A ``guard`` keeps strangers out, so
    that it must not be empty where it is stated.
    """

    name: str
    annotation: Any
    kind: Any
    choices: tuple[str, ...]
    default: object
    help: str
    secret: bool
    guard: bool
    group: str
    short: str

    @property
    def flag(self) -> str:
        """Its name on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return PREFIX + self.name.upper()

    def convert(self, value: object, where: str) -> object:
        """A value of the option's type from a flag, a variable, YAML or a keyword.

        Raises ConfigInvalid, which names ``where`` the value was given and never repeats a secret.
        """
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if self.kind is tuple and isinstance(value, str):
            value = (value,)
        if self.kind is bool and isinstance(value, str):
            value = WORDS.get(value.strip().lower(), value)
        if self.choices and value not in self.choices:
            msg = f"{where} is {value!r}; it can be {' or '.join(self.choices)}{nearest(str(value), self.choices)}"
            raise ConfigInvalid(msg)
        try:
            converted = msgspec.convert(value, self.annotation, strict=not isinstance(value, str))
        except msgspec.ValidationError as error:
            shown = "" if self.secret else f" {value!r}"
            msg = f"{where} has an impossible value{shown}: {str(error).replace('`', '')}"
            raise ConfigInvalid(msg) from None
        # Also where commas do not part what is given: a list of keys that has none came out as one of them.
        if (
            self.guard
            and isinstance(converted, tuple)
            and not (converted and all(each.replace(",", "").strip() for each in converted))
        ):
            msg = f"{where} is given but has no key in it, or an empty one; give it a key, or leave it out to let everyone in"
            raise ConfigInvalid(msg)
        return converted


@cache
def options_of(struct: type[msgspec.Struct]) -> tuple[Option, ...]:
    """The options that a struct declares, in order."""
    hints = get_type_hints(struct, include_extras=True)
    options: list[Option] = []
    for field in msgspec.structs.fields(struct):
        options.append(_option(field, hints[field.name], options[-1].group if options else "Options"))
    return tuple(options)


def nearest(word: str, known: Collection[str], prefix: str = "") -> str:
    """'; did you mean …?' for a misspelt word, or nothing where no known one is near. A ``prefix`` that all have makes none near."""
    near = difflib.get_close_matches(word.removeprefix(prefix), [each.removeprefix(prefix) for each in known], n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else ""


def hidden(value: object) -> object:
    """What is shown of a secret: whether there is one."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ("***",) * len(value)
    return "***" if value else value


def _option(field: msgspec.structs.FieldInfo, annotation: Any, group: str) -> Option:
    """The option of a field; ``group`` is that of the one before it."""
    bare, *metas = get_args(annotation)
    kind = _kind(bare)
    extra = {key: value for meta in metas for key, value in (meta.extra or {}).items()}
    return Option(
        name=field.name,
        annotation=annotation,
        kind=get_origin(kind) or kind,
        choices=get_args(kind) if get_origin(kind) is Literal else (),
        default=field.default,
        help=next(meta.description for meta in metas if meta.description),
        secret=extra.get("secret", False),
        guard=extra.get("guard", False),
        group=extra.get("group", group),
        short=extra.get("short", ""),
    )


def _kind(bare: Any) -> Any:
    """The type beneath Annotated and Optional."""
    if get_origin(bare) in (Union, UnionType):
        return _kind(next(part for part in get_args(bare) if part is not type(None)))
    return _kind(get_args(bare)[0]) if get_origin(bare) is Annotated else bare
