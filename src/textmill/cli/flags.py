"""Flags of the command line, made from the structs of options and from the tables of other software's spellings."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

import click

from textmill.config import ModelOptions, ServeOptions
from textmill.config.option import WORDS, Option, options_of
from textmill.config.serving import TABLES
from textmill.config.spelling import Spelling, Table
from textmill.errors import ConfigInvalid

Command = TypeVar("Command", bound=Callable[..., Any])


_OTHERS = "Others"


class Flag(click.Option):
    """A flag with the heading that it has in the help of a `Grouped` command."""

    def __init__(self, *args: Any, group: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.group = group


class Grouped(click.Command):
    """A command whose help has its flags under headings, and whose switches may be followed by true or false."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take switches with a value as those without."""
        return super().parse_args(ctx, list(_without_values(args)))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the flags, heading by heading, in the order in which the headings come first."""
        headings: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                headings.setdefault(getattr(param, "group", _OTHERS), []).append(record)
        headings[_OTHERS] = headings.pop(_OTHERS)  # --help at least
        for heading, records in headings.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def flags(
    struct: type[ModelOptions],
    *,
    only: Collection[str] | None = None,
    without: Collection[str] = (),
    defaults: Mapping[str, object] | None = None,
) -> Callable[[Command], Command]:
    """A decorator that gives a command a flag for every option of a struct, or ``only`` for some, by the option's name.

    The flags have no defaults and check nothing: `textmill.config` does both, for every source alike. The help shows the
    options' own ``defaults``, or those that are given.
    """

    def decorate(command: Command) -> Command:
        # A struct's own options first: they are what its command is about. Decorators stack, so the last comes first.
        own = [option for option in options_of(struct) if option.name in struct.__annotations__]
        inherited = [option for option in options_of(struct) if option not in own]
        for option in reversed([*own, *inherited]):
            if option.name not in without and (only is None or option.name in only):
                command = _flag(option, (defaults or {}).get(option.name, option.default))(command)
        return command

    return decorate


def spellings(*tables: Table) -> Callable[[Command], Command]:
    """A decorator that gives a command the flags of these tables, where they are not spelt as ours, by `Spelling.parameter`."""
    repeated = {option.name for option in options_of(ServeOptions) if option.kind is tuple}

    def decorate(command: Command) -> Command:
        for table in reversed(tables):
            own = {spelling.parameter: spelling for spelling in table.spellings if spelling.own}
            for spelling in reversed(own.values()):
                several = spelling.option in repeated and not spelling.prefix
                command = _spelling(spelling, table.heading, repeated=several)(command)
        return command

    return decorate


def _flag(option: Option, default: object) -> Callable[[Command], Command]:
    names = [*filter(None, [option.short]), option.name]
    if option.kind is bool:
        switch = f"{option.flag}/--no-{option.flag[2:]}"
        return click.option(switch, *names, cls=Flag, group=option.group, default=None, help=option.help)
    return click.option(
        option.flag,
        *names,
        cls=Flag,
        group=option.group,
        multiple=option.kind is tuple,
        metavar="|".join(option.choices) or _METAVARS.get(option.kind, "TEXT"),
        help=option.help + _default(default),
    )


def _spelling(spelling: Spelling, heading: str, *, repeated: bool) -> Callable[[Command], Command]:
    names = spelling.flag
    attributes: dict[str, Any] = {"metavar": "TEXT", "multiple": repeated}
    if spelling.switch:
        attributes = {"is_flag": True, "default": None}
        if spelling.prefix:
            names = f"{spelling.flag}/--no-{spelling.name}"
    return click.option(
        names,
        spelling.parameter,
        cls=Flag,
        group=heading,
        hidden=spelling.hidden,
        help=spelling.help,
        **attributes,
    )


_METAVARS = {int: "N", float: "X"}


def _default(value: object) -> str:
    shown = ", ".join(map(str, value)) if isinstance(value, tuple) else value
    return "" if value in (None, ()) else f" [default: {shown}]"


def _without_values(args: list[str]) -> Iterator[str]:
    """The arguments, with ``--switch true`` and ``--switch=true`` as ``--switch``, and with false as ``--no-switch``.

    Raises ConfigInvalid for another value behind an equals sign.
    """
    switches = {option.flag for option in options_of(ServeOptions) if option.kind is bool} | {
        spelling.flag
        for table in TABLES
        for spelling in table.spellings
        if spelling.switch and spelling.prefix and spelling.own
    }
    left = deque(args)
    while left and left[0] != "--":
        name, equals, word = left.popleft().partition("=")
        if name not in switches:
            yield name + equals + word
            continue
        if not equals and left and left[0] in ("true", "false"):
            equals, word = "=", left.popleft()
        on = _is_on(word, name) if equals else True
        yield name if on else f"--no-{name[2:]}"
    yield from left


def _is_on(word: str, name: str) -> bool:
    try:
        return WORDS[word.strip().lower()]
    except KeyError:
        msg = f"{name} has an impossible value {word!r}; it can be true or false"
        raise ConfigInvalid(msg) from None
