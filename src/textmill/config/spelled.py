"""What the flags and variables of other software state, by its table of spellings, as values of our options."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from typing import cast

from textmill.config.layers import Layer, Stated
from textmill.config.option import WORDS, options_of
from textmill.config.options import ServeOptions
from textmill.config.sources import refuse_blank
from textmill.config.spelling import Said, Spelling, Table, Unset
from textmill.errors import ConfigInvalid

Note = tuple[int, str]
"""Something to log once logging has begun: its level, and a sentence."""


def flags_spelled(
    table: Table, given: Mapping[str, object], notes: list[Note], others: Mapping[str, str] | None = None
) -> Layer:
    """What the table's own flags state; ``given`` has them by `Spelling.parameter`, None or () where they were not given.

    ``others`` is `said` of all sources. Raises ConfigInvalid for an impossible value, and for two flags that name one option
    differently.
    """
    reading = _Reading(notes, others or {})
    for spelling in table.spellings:
        value = given.get(spelling.parameter) if spelling.own else None
        if value is not None and value != ():
            reading.read(spelling, value, spelling.flag)
    reading.tell()
    return reading.layer


def variables_spelled(
    table: Table,
    environ: Mapping[str, str],
    known: Collection[str],
    notes: list[Note],
    others: Mapping[str, str] | None = None,
) -> Layer:
    """What the table's variables state of options that are not ``known`` already; a note says which were taken.

    Raises ConfigInvalid as `flags_spelled`, and for an API key that is blank. Otherwise blank is as good as not set.
    """
    reading = _Reading(notes, others or {})
    for spelling, variable in _set(table, environ):
        if spelling.option in known:
            continue
        text = environ[variable]
        if spelling.option is not None and _blank(spelling, text, variable):
            continue
        if not (spelling.option == "port" and "port" in reading.layer):
            reading.read(spelling, text, variable)
    reading.tell(taken=f"taken from the environment, as {table.software} names them: ")
    return reading.layer


def said(table: Table, given: Mapping[str, object], environ: Mapping[str, str]) -> Mapping[str, str]:
    """What the rows of a table were given, by their names: as flags, else as variables that are not blank."""
    words = {
        spelling.name: environ[variable] for spelling, variable in _set(table, environ) if environ[variable].strip()
    }
    for spelling in table.spellings:
        value = given.get(spelling.parameter) if spelling.own else None
        if value is not None and value != ():
            words[spelling.name] = _text(value)
    return words


def join(own: Layer, theirs: Layer) -> Layer:
    """Flags in both spellings; raises ConfigInvalid where they name one option differently."""
    for name in own.keys() & theirs.keys():
        _refuse_both(name, own[name], theirs[name])
    return {**theirs, **own}


class _Reading:
    """The values that were read from one source, and what is to be said of it."""

    def __init__(self, notes: list[Note], others: Mapping[str, str]) -> None:
        self.layer: dict[str, Stated] = {}
        self._idle: list[str] = []
        self._taken: list[str] = []
        self._notes = notes
        self._others = others
        self._options = {option.name: option for option in options_of(ServeOptions)}

    def read(self, spelling: Spelling, value: object, where: str) -> None:
        """Read a value; one that is to be ignored leaves a warning only."""
        if not (spelling.shared and where == spelling.variables[-1]):
            self._read(spelling, value, where)
            return
        try:
            self._read(spelling, value, where)
        except ConfigInvalid as error:
            sentence = (
                f"{error}; it is taken to be meant for other software: {spelling.variable} is read by textmill alone"
            )
            if (note := (logging.WARNING, sentence)) not in self._notes:  # of several rows for one variable
                self._notes.append(note)

    def _read(self, spelling: Spelling, value: object, where: str) -> None:
        if spelling.option is not None:
            self._take(spelling, spelling.option, value, where)
            return
        if spelling.refusal and WORDS.get(_text(value).strip().lower()):
            msg = f"{where}: {spelling.refusal}"
            raise ConfigInvalid(msg)
        if where not in self._idle:
            self._idle.append(where)

    def _take(self, spelling: Spelling, name: str, value: object, where: str) -> None:
        option = self._options[name]
        if not isinstance(value, tuple):
            text = _text(value)
            value = spelling.read(Said(text, where, self._others))
            if value is None:
                self._leave(spelling, text, where)
                return
        # A variable has one value; commas do not part it unless its row says so.
        stated = Stated(None if value is Unset.UNSET else option.convert(value, where), where)
        before = self.layer.get(name)
        if before is not None and spelling.adds:
            stated = _added(before, stated)
        elif before is not None:
            _refuse_both(name, before, stated)
        self.layer[name] = stated
        if where not in self._taken:
            self._taken.append(where)
        if spelling.instead:
            self._notes.append((logging.WARNING, f"{where} is deprecated; use {spelling.instead}"))

    def _leave(self, spelling: Spelling, text: str, where: str) -> None:
        """Note that a value changes nothing; TEI's users are told only where its row says why."""
        if spelling.ignored:
            self._notes.append((logging.WARNING, f"{where} is ignored: {text!r} {spelling.ignored}"))
        elif spelling.prefix and where not in self._idle:
            self._idle.append(where)

    def tell(self, taken: str = "") -> None:
        """Note what was taken, where ``taken`` begins the sentence, and what has no effect."""
        if taken and self._taken:
            self._notes.append((logging.INFO, taken + ", ".join(self._taken)))
        if self._idle:
            self._notes.append((logging.INFO, f"taken, but without effect in textmill: {', '.join(self._idle)}"))


def _set(table: Table, environ: Mapping[str, str]) -> Iterator[tuple[Spelling, str]]:
    """The rows whose variable is set, each with the first that is; one with a value comes before one that is blank."""
    for spelling in table.spellings:
        there = [variable for variable in spelling.variables if variable in environ]
        if there:
            yield spelling, next((variable for variable in there if environ[variable].strip()), there[0])


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _blank(spelling: Spelling, text: str, variable: str) -> bool:
    if not spelling.blank:
        refuse_blank(text, variable)
    return not text.strip()


def _added(one: Stated, other: Stated) -> Stated:
    values = (*cast("tuple[object, ...]", one.value), *cast("tuple[object, ...]", other.value))
    return Stated(tuple(dict.fromkeys(values)), f"{one.where} and {other.where}")


def _refuse_both(name: str, one: Stated, other: Stated) -> None:
    if one.value == other.value:
        return
    first, second = one.where, other.where
    if name == "models":  # a word behind a flag that takes none, such as --json-output true, is a model too
        first, second = (f"{side.where} {' '.join(cast('tuple[str, ...]', side.value))}" for side in (one, other))
    msg = f"{first} and {second} are one option and differ; give one of them"
    raise ConfigInvalid(msg)
