"""What the flags and variables of Text Embeddings Inference state, as values of our options."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import cast

from textmill.config.layers import Layer, Stated
from textmill.config.option import options_of
from textmill.config.options import ServeOptions
from textmill.config.sources import refuse_blank
from textmill.config.tei import DEPRECATED, SPELLINGS, Spelling
from textmill.errors import ConfigInvalid

Note = tuple[int, str]
"""Something to log once logging has begun: its level, and a sentence."""


def tei_flags(given: Mapping[str, object], notes: list[Note]) -> Layer:
    """What TEI's own flags state; ``given`` has them by `Spelling.parameter`, None or () where they were not given.

    Raises ConfigInvalid for an impossible value, and for two flags that name one option differently.
    """
    reading = _Reading(notes)
    for spelling in SPELLINGS:
        value = given.get(spelling.parameter) if spelling.own else None
        if value is None or value == ():
            continue
        if spelling.option is None:
            reading.idle.append(spelling.flag)
        else:
            reading.take(spelling, spelling.option, value, spelling.flag)
    reading.tell()
    return reading.layer


def tei_variables(environ: Mapping[str, str], known: Collection[str], notes: list[Note]) -> Layer:
    """What TEI's variables state of options that are not ``known`` already; a note says which were taken.

    Raises ConfigInvalid as `tei_flags`, and for an API key that is blank. Otherwise blank is as good as not set.
    """
    reading = _Reading(notes)
    for spelling in SPELLINGS:
        text = environ.get(spelling.variable)
        if text is None or spelling.option in known:
            continue
        if spelling.option is None:
            reading.idle.append(spelling.variable)
        elif not _blank(spelling, text) and not (spelling.option == "port" and "port" in reading.layer):
            reading.take(spelling, spelling.option, text, spelling.variable)
    reading.tell(taken="taken from the environment, as Text Embeddings Inference names them: ")
    return reading.layer


def join(own: Layer, theirs: Layer) -> Layer:
    """Flags in both spellings; raises ConfigInvalid where they name one option differently."""
    for name in own.keys() & theirs.keys():
        _refuse_both(name, own[name], theirs[name])
    return {**theirs, **own}


class _Reading:
    """The values that were read from one source, and what is to be said of it."""

    def __init__(self, notes: list[Note]) -> None:
        self.layer: dict[str, Stated] = {}
        self.idle: list[str] = []
        self._taken: list[str] = []
        self._notes = notes
        self._options = {option.name: option for option in options_of(ServeOptions)}

    def take(self, spelling: Spelling, name: str, value: object, where: str) -> None:
        """Read a value of the option of that name; one that is to be ignored leaves a warning only."""
        option = self._options[name]
        if not isinstance(value, tuple):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            value = spelling.read(text, where)
            if value is None:
                if spelling.ignored:
                    self._notes.append((logging.WARNING, f"{where} is ignored: {text!r} {spelling.ignored}"))
                return
        # TEI's variables have one value each; commas do not part them.
        stated = Stated(option.convert(value, where), where)
        if name in self.layer:
            _refuse_both(name, self.layer[name], stated)
        self.layer[name] = stated
        self._taken.append(where)
        if spelling.name in DEPRECATED:
            self._notes.append((logging.WARNING, f"{where} is deprecated; use {DEPRECATED[spelling.name]}"))

    def tell(self, taken: str = "") -> None:
        """Note what was taken, where ``taken`` begins the sentence, and what has no effect."""
        if taken and self._taken:
            self._notes.append((logging.INFO, taken + ", ".join(self._taken)))
        if self.idle:
            self._notes.append((logging.INFO, f"taken, but without effect in textmill: {', '.join(self.idle)}"))


def _blank(spelling: Spelling, text: str) -> bool:
    if not spelling.blank:
        refuse_blank(text, spelling.variable)
    return not text.strip()


def _refuse_both(name: str, one: Stated, other: Stated) -> None:
    if one.value == other.value:
        return
    first, second = one.where, other.where
    if name == "models":  # a word behind a flag that takes none, such as --json-output true, is a model too
        first, second = (f"{side.where} {' '.join(cast('tuple[str, ...]', side.value))}" for side in (one, other))
    msg = f"{first} and {second} are one option and differ; give one of them"
    raise ConfigInvalid(msg)
