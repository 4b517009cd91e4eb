"""How far a transfer is."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_EVERY = 0.1
_WINDOW = 5.0


@dataclass(frozen=True, slots=True)
class Progress:
    """``phase`` of a ``file``, with ``done`` and ``total`` (None where unknown) in bytes and ``rate`` in bytes a second.

    Phases are queued, waiting, downloading, verifying and done. It is file ``number`` of ``count``.
    """

    file: str
    phase: str
    done: int = 0
    total: int | None = None
    rate: float = 0.0
    number: int = 1
    count: int = 1

    @property
    def percent(self) -> float:
        """How much of all files is there, from 0 to 100; each file counts alike, as sizes are not known beforehand."""
        part = min(1.0, self.done / self.total) if self.total else float(self.phase == "done")
        return 100.0 * (self.number - 1 + part) / self.count


Report = Callable[[Progress], None]
"""Is told from the thread that works; must be quick and must not raise."""


def silent(_: Progress) -> None:
    """A report that nobody reads."""


class Meter:
    """Reports at most ten times a second, with the rate over the last five seconds."""

    def __init__(self, file: str, report: Report, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._report = report
        self._clock = clock
        self._told = float("-inf")
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, done: int, total: int | None) -> None:
        """Note how many bytes are there; told on when it is time."""
        now = self._clock()
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()
        if not self._seen or now - self._seen[-1][0] >= _EVERY / 2:
            self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[0][0] < now - _WINDOW:  # noqa: PLR2004 - a rate needs two points
            self._seen.popleft()
        if now - self._told >= _EVERY:
            self._told = now
            self._report(Progress(self._file, "downloading", done, total, self._rate()))

    def phase(self, name: str, done: int, total: int | None) -> None:
        """Tell of a new phase at once."""
        self._report(Progress(self._file, name, done, total, self._rate()))

    def _rate(self) -> float:
        if len(self._seen) < 2:  # noqa: PLR2004 - as above
            return 0.0
        (start, before), (end, after) = self._seen[0], self._seen[-1]
        return (after - before) / (end - start) if end > start else 0.0
