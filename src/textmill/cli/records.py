"""Commands whose answers are JSON objects, one for each line of text."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click
import orjson

from textmill.cli.flags import flags
from textmill.cli.stream import loaded, stream
from textmill.cli.vectors import Sink, output
from textmill.config import ModelOptions

if TYPE_CHECKING:
    from textmill.store.model import Model

A = TypeVar("A")
Command = TypeVar("Command", bound=Callable[..., Any])
Record = Mapping[str, object]


def text_options(*, truncates: bool = True) -> Callable[[Command], Command]:
    """A decorator for commands over files of texts: MODEL, FILEs, where to write, lengths if it cuts, the model's options."""

    def decorate(command: Command) -> Command:
        for add in (flags(ModelOptions), *[_TRUNCATE] * truncates, _OUTPUT, *_ARGUMENTS):
            command = add(command)
        return command

    return decorate


_TRUNCATE = click.option(
    "--truncate/--no-truncate", default=True, help="Cut texts that are too long (the default), or refuse."
)
_OUTPUT = click.option(
    "--output", "-o", "target", default="-", metavar="FILE", help="Where to write; by default standard output."
)
_ARGUMENTS = (click.argument("files", nargs=-1, metavar="[FILE|-]..."), click.argument("model"))


class Records:
    """Writes records with their index among all, an object a line."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._index = 0

    def write(self, records: Sequence[Record]) -> None:
        """Write a line for each record."""
        for record in records:
            line = {"index": self._index, **record}
            self._sink.write(orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))
            self._index += 1


def run(
    what: str,
    compute: Callable[[Model, Sequence[str]], Sequence[Record]],
    model: str,
    files: Sequence[str],
    target: str,
    given: dict[str, Any],
) -> None:
    """Load the model, and write a record for each line of the files, in order."""
    # A bar between lines of output on the same terminal would help nobody.
    bar = target != "-" or not sys.stdout.isatty()
    with output(target) as sink, loaded(model, given) as opened:  # the output first, since loading takes longer
        stream(what, lambda texts: compute(opened, texts), files or ("-",), Records(sink).write, bar=bar)
        sink.flush()
