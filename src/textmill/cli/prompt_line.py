"""The line of a terminal that messages are typed into: with a history, over several lines where that is wanted."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import ModuleType

import click

FENCE = '"""'
"""A line of this begins a message of several lines, and another ends it."""
_PROMPT, _MORE = "> ", ". "
_MOST_LINES = 1000


class PromptLine:
    """Reads messages. Lines that were typed are kept in the file ``history``, for their user alone; None keeps none."""

    def __init__(self, history: Path | None) -> None:
        self._history = history
        self._readline = _readline()
        if self._readline is not None:
            self._readline.clear_history()
            if history is not None:
                with suppress(OSError):
                    self._readline.read_history_file(str(history))

    def read(self) -> str:
        """The next message: a line, several that end in a backslash but for the last, or those between two fences.

        Raises EOFError at the end, which Ctrl-D is, and Ctrl-C where nothing was typed yet; else that drops what was typed.
        """
        while True:
            typed: list[str] = []
            try:
                return self._message(typed)
            except KeyboardInterrupt:
                click.echo()
                if not (typed or self._is_typed()):
                    raise EOFError from None

    def save(self) -> None:
        """Keep the history."""
        if self._readline is None or self._history is None:
            return
        with suppress(OSError):
            self._history.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._history.touch(mode=0o600)
            self._readline.set_history_length(_MOST_LINES)
            self._readline.write_history_file(str(self._history))

    def _message(self, typed: list[str]) -> str:
        line = input(_PROMPT)
        if line.strip() == FENCE:
            typed.append(line)
            while (line := input(_MORE)).strip() != FENCE:
                typed.append(line)
            return "\n".join(typed[1:])
        while line.endswith("\\"):
            typed.append(line[:-1])
            line = input(_MORE)
        return "\n".join([*typed, line])

    def _is_typed(self) -> bool:
        """Whether there was something in the line that Ctrl-C has ended."""
        return self._readline is not None and bool(self._readline.get_line_buffer())


def _readline() -> ModuleType | None:
    """What edits lines; None where Python has none, as on Windows."""
    try:
        import readline  # noqa: PLC0415 - changes how the terminal is read
    except ImportError:
        return None
    return readline
