"""Where a model's words go as they come: a terminal, with reasoning dimmed, or a pipe, as they are."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from textmill.cli.vectors import Sink

if TYPE_CHECKING:
    from rich.console import Console

_CONTROLS = dict.fromkeys((*range(9), *range(11, 32), *range(0x7F, 0xA0)), "\ufffd") | {ord("\r"): ""}
"""Signs by which a text could move the cursor or change the terminal; a tab and the end of a line may stay."""


class Voice(Protocol):
    """Takes an answer piece by piece."""

    def text(self, text: str) -> None:
        """More of the answer."""
        ...

    def reasoning(self, text: str) -> None:
        """More of what comes before it."""
        ...

    def end(self) -> None:
        """The answer is over, whole or not: what comes next begins a line."""
        ...


class PipeVoice:
    """Writes answers to standard output at once, each with an end of line, without their reasoning."""

    def __init__(self) -> None:
        self._sink = Sink(sys.stdout.buffer, "standard output")
        self._last = "\n"

    def text(self, text: str) -> None:
        """More of the answer."""
        if text:
            self._sink.write(text.encode(errors="replace"))
            self._sink.flush()
            self._last = text[-1]

    def reasoning(self, text: str) -> None:
        """Left out."""

    def end(self) -> None:
        """End the line."""
        if self._last != "\n":
            self.text("\n")


class TerminalVoice:
    """Writes to a terminal; signs that would control it are shown as \ufffd."""

    def __init__(self) -> None:
        self._console: Console | None = None
        self._thinks = False
        self._last = "\n"

    def text(self, text: str) -> None:
        """More of the answer."""
        if self._thinks:
            text = text.lstrip("\n")
            if not text:
                return
            self.end()
        self._write(text)

    def reasoning(self, text: str) -> None:
        """More of what comes before it, dimmed."""
        self._thinks = True
        self._write(text, "dim")

    def end(self) -> None:
        """End the line."""
        self._thinks = False
        if self._last != "\n":
            self._write("\n")

    def note(self, text: str) -> None:
        """A line about the answer, dimmed."""
        self._write(f"{text}\n", "dim")

    def _write(self, text: str, style: str | None = None) -> None:
        if self._console is None:
            from rich.console import Console  # noqa: PLC0415 - only where there is a terminal

            self._console = Console()
        if text:
            self._last = text[-1]
            self._console.out(text.translate(_CONTROLS), style=style, highlight=False, end="")


def speaks_to_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def voice() -> Voice:
    """What fits standard output."""
    return TerminalVoice() if speaks_to_terminal() else PipeVoice()
