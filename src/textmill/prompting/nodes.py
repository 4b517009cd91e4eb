"""The parts of a template after parsing; ``pos`` is the index of a part's first character in the template's text."""

from __future__ import annotations

from dataclasses import dataclass

Literal = str | bool | int | float


@dataclass(frozen=True, slots=True)
class Constant:
    """A text, number, character or truth value that stands in the template."""

    pos: int
    value: Literal


@dataclass(frozen=True, slots=True)
class Dot:
    """``.``, the data at hand."""

    pos: int


@dataclass(frozen=True, slots=True)
class Nil:
    """``nil``."""

    pos: int


@dataclass(frozen=True, slots=True)
class Field:
    """``.A.B``, fields of the data at hand."""

    pos: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """``$name`` and the fields behind it."""

    pos: int
    name: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Function:
    """The name of a function."""

    pos: int
    name: str


@dataclass(frozen=True, slots=True)
class Chain:
    """Fields of a pipeline in parentheses or of a function without arguments."""

    pos: int
    of: Operand
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A function and its arguments, or one value."""

    pos: int
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each given the result of the one before as its last argument; the last result goes to the variables.

    ``assigns`` says that the variables exist already (``=``) instead of being made (``:=``).
    """

    pos: int
    commands: tuple[Command, ...]
    variables: tuple[str, ...] = ()
    assigns: bool = False


Operand = Constant | Dot | Nil | Field | Variable | Function | Chain | Pipeline


@dataclass(frozen=True, slots=True)
class Text:
    """What goes to the output as it is."""

    pos: int
    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """A pipeline whose result is printed, unless it goes to a variable."""

    pos: int
    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Branch:
    """A condition and what is done where it holds."""

    pipeline: Pipeline
    body: Body


@dataclass(frozen=True, slots=True)
class If:
    """``if``, all its ``else if``, and ``else``."""

    pos: int
    branches: tuple[Branch, ...]
    otherwise: Body


@dataclass(frozen=True, slots=True)
class With:
    """``with``, all its ``else with``, and ``else``."""

    pos: int
    branches: tuple[Branch, ...]
    otherwise: Body


@dataclass(frozen=True, slots=True)
class Range:
    """``range`` and its ``else``."""

    pos: int
    pipeline: Pipeline
    body: Body
    otherwise: Body


@dataclass(frozen=True, slots=True)
class Call:
    """``template "name" pipeline``, also where a ``block`` stood."""

    pos: int
    name: str
    pipeline: Pipeline | None


@dataclass(frozen=True, slots=True)
class Break:
    """``break``."""

    pos: int


@dataclass(frozen=True, slots=True)
class Continue:
    """``continue``."""

    pos: int


Node = Text | Action | If | With | Range | Call | Break | Continue
Body = tuple[Node, ...]
