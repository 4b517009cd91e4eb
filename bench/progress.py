"""Progress: one bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar


class Progress:
    """``with Progress() as progress``: ``expect`` steps, then ``step`` each. It draws only when told, never by a timer.

    On standard error, so that the report alone goes to standard output.
    """

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        self.bar = Bar(*columns, console=self.console, auto_refresh=False, disable=not self.console.is_terminal)
        self.task = self.bar.add_task("starting", total=None)
        self.begin = time.monotonic()
        self.spoken = ""

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def expect(self, steps: int) -> None:
        """Set how many steps there will be, those done included."""
        self.bar.update(self.task, total=steps)

    def step(self, text: str) -> None:
        """Begin a step. Without a terminal, the steps of several contenders on one thing make one line."""
        self.bar.update(self.task, description=text, advance=1)
        self.bar.refresh()
        head = text.split(":", 1)[0]
        if not self.console.is_terminal and head != self.spoken:
            self.spoken = head
            print(f"[{time.monotonic() - self.begin:5.0f} s] {head}", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)
