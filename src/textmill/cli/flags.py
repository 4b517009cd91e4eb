"""Flags of the command line, made from the structs of options."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

import click

from textmill.config import ModelOptions
from textmill.config.option import Option, options_of

Command = TypeVar("Command", bound=Callable[..., Any])


def flags(struct: type[ModelOptions], *, without: Collection[str] = ()) -> Callable[[Command], Command]:
    """A decorator that gives a command a flag for every option of a struct, by the option's name.

    The flags have no defaults and check nothing: `textmill.config.command_options` does both, for every source alike.
    """

    def decorate(command: Command) -> Command:
        # A struct's own options first: they are what its command is about. Decorators stack, so the last comes first.
        own = [option for option in options_of(struct) if option.name in struct.__annotations__]
        inherited = [option for option in options_of(struct) if option not in own]
        for option in reversed([*own, *inherited]):
            if option.name not in without:
                command = _flag(option)(command)
        return command

    return decorate


def _flag(option: Option) -> Callable[[Command], Command]:
    if option.kind is bool:
        return click.option(f"{option.flag}/--no-{option.flag[2:]}", default=None, help=option.help)
    return click.option(
        option.flag,
        option.name,
        multiple=option.kind is tuple,
        metavar="|".join(option.choices) or _METAVARS.get(option.kind, "TEXT"),
        help=option.help + _default(option),
    )


_METAVARS = {int: "N", float: "X"}


def _default(option: Option) -> str:
    return "" if option.default in (None, ()) else f" [default: {option.default}]"
