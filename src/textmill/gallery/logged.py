"""Progress as lines of a log: each new phase of a large file, and now and then how far it is."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from textmill.gallery.progress import Progress

EVERY_S = 10.0
_LARGE = 10_000_000
_TOLD = {"waiting": "waits for another process that is at it", "verifying": "is being verified"}


class Logged:
    """A `Report` that writes to a log: that a file is there, and how far a large one is."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._last = ("", "")
        self._told = float("-inf")

    def __call__(self, progress: Progress) -> None:
        """Tell of a phase that is new, and of a download every ten seconds; of small files only that they are there."""
        now, at = self._clock(), (progress.file, progress.phase)
        if at == self._last and (progress.phase != "downloading" or now - self._told < EVERY_S):
            return
        small = progress.phase in ("downloading", "verifying") and max(progress.done, progress.total or 0) < _LARGE
        if small and at[0] != self._last[0]:
            self._told = now
        self._last = at
        if small and now - self._told < EVERY_S:
            return
        self._told = now
        self._log.info("%s", sentence(progress))


def sentence(progress: Progress) -> str:
    """How far a file is, for a person."""
    done = human(progress.done)
    if progress.phase == "done":
        return f"{progress.file} is there ({done})"
    if progress.phase != "downloading":
        return f"{progress.file} {_TOLD.get(progress.phase, progress.phase)}"
    if not progress.total:
        return f"{progress.file}: {done}, {human(progress.rate)}/s"
    return f"{progress.file}: {done} of {human(progress.total)} ({progress.done / progress.total:.0%}), {human(progress.rate)}/s"


def human(size: float) -> str:
    """A size in bytes for people, such as 1.2 GB."""
    units = ["B", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:  # noqa: PLR2004 - of the decimal units
        size /= 1000
        units.pop(0)
    return f"{size:.1f} {units[0]}" if units[0] != "B" else f"{size:.0f} B"
