"""How other software spells our options: the rows of its table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Said:
    """A value as it was written, where, and ``others``: what other rows of the table were given, by their names."""

    text: str
    where: str
    others: Mapping[str, str] = field(default_factory=lambda: _NOTHING)


class Unset(Enum):
    """What says that an option is to have no value, whatever comes behind it says."""

    UNSET = auto()


Read = Callable[[Said], object]
"""Makes our value of what was said; None leaves the option alone, `Unset` gives it none. Raises ConfigInvalid for what cannot be."""


def as_it_is(said: Said) -> object:
    """The text itself."""
    return said.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """Another name of an option: a flag without its dashes, or a variable in upper case where there is no flag.

    ``option`` is ours, None where it has no effect here. A value that ``read`` leaves alone is ``ignored`` for that reason, or
    without a word where that is empty. ``variables`` are its names in the environment, of which the first that is set counts.
    ``blank`` says whether a variable may be set but blank, ``shared`` whether the last variable may be there for other software: then
    an impossible value is not taken. ``adds`` joins the values of several rows. ``instead`` is what to use in place of a name that is
    deprecated. ``help`` is that of a flag that is not spelt as ours; a flag that is ``idle`` or deprecated is not shown.
    """

    name: str
    option: str | None
    variables: tuple[str, ...]
    read: Read = as_it_is
    ignored: str = ""
    blank: bool = True
    shared: bool = False
    adds: bool = False
    switch: bool = False
    instead: str = ""
    refusal: str = ""
    hidden: bool = False
    prefix: str = ""
    help: str = ""

    @property
    def variable(self) -> str:
        """Its first name in the environment."""
        return self.variables[0]

    @property
    def flag(self) -> str:
        """Its name on the command line; empty where it has none."""
        return "" if self.name.isupper() else f"--{self.name}"

    @property
    def parameter(self) -> str:
        """The name under which a command gets the flag's value; it is no option's unless the flag is spelt as ours."""
        return self.prefix + self.name.replace("-", "_")

    @property
    def own(self) -> bool:
        """Whether it is a flag that is not spelt as ours."""
        return bool(self.flag) and self.name.replace("-", "_") != self.option


@dataclass(frozen=True, slots=True)
class Table:
    """The spellings of one ``software``, in order. Of two for one option, the first one is taken from the environment."""

    software: str
    spellings: tuple[Spelling, ...]

    @property
    def heading(self) -> str:
        """What stands above its flags in the help."""
        return f"As {self.software} spells it"
