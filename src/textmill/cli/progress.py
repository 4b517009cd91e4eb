"""How far a long command is: a bar on a terminal, now and then a line in the log elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

Advance = Callable[[int, int], None]
"""Told of finished work: how many texts, and how much of the total."""

_log = logging.getLogger(__name__)

_LOG_EVERY_S = 10.0


@contextmanager
def progress(what: str, total: int | None, *, bar: bool) -> Iterator[Advance]:
    """Show work towards a total (None where it is not known) on standard error, with a ``bar`` only if that is a terminal."""
    if not (bar and sys.stderr.isatty()):
        yield Lines(what, time.monotonic).advance
        return
    from rich.console import Console  # noqa: PLC0415 - only where there is a terminal
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[texts]:,} texts"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    done = 0
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=total, texts=0)

        def advance(texts: int, amount: int) -> None:
            nonlocal done
            done += texts
            shown.update(task, advance=amount, texts=done)

        yield advance


@contextmanager
def waiting(what: str, *, every_s: float = _LOG_EVERY_S) -> Iterator[None]:
    """Show on standard error that something which cannot tell how far it is goes on, and for how long: a line that moves, or one now and then."""
    if sys.stderr.isatty():
        from rich.console import Console  # noqa: PLC0415 - only where there is a terminal
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
            shown.add_task(what, total=None)
            yield
        return
    start, over = time.monotonic(), threading.Event()

    def tell() -> None:
        while not over.wait(every_s):
            click.echo(f"textmill: {what}, {time.monotonic() - start:.0f} s", err=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


class Lines:
    """Logs how many texts are done, at most once in a while."""

    def __init__(self, what: str, clock: Callable[[], float]) -> None:
        self._what = what
        self._clock = clock
        self._start = self._logged = clock()
        self._texts = 0

    def advance(self, texts: int, amount: int) -> None:
        """Count finished texts."""
        del amount  # only a bar can show a share
        self._texts += texts
        now = self._clock()
        if now - self._logged >= _LOG_EVERY_S:
            self._logged = now
            _log.info("%s: %d texts, %.0f texts/s", self._what, self._texts, self._texts / (now - self._start))
