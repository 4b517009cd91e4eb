"""Whether a process that should write hangs: it says nothing, and computes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

LOOK_S = 5.0
"""Seconds between two looks at a process."""
STILL_S = 60.0
"""How long a process with requests may be silent while it uses no processor."""
SILENT_S = 1800.0
"""How long it may be silent in all: a step of a large model on a slow machine takes its time."""
_USED = 0.01
"""Less than this share of one processor is no computing."""


class Watch:
    """Looks at one process. ``spent`` gives the seconds of processors that it has used so far, None where nobody knows."""

    def __init__(self, spent: Callable[[], float | None], still_s: float = STILL_S, silent_s: float = SILENT_S) -> None:
        self._spent = spent
        self._still_s = still_s
        self._silent_s = silent_s
        self._busy = False
        self._answers = 0
        self._before: float | None = None
        self._still = 0.0
        self._silent = 0.0

    def look(self, passed_s: float, *, busy: bool, answers: int) -> str:
        """What is wrong, empty where nothing is: ``passed_s`` since the look before, with requests or without, after so many answers."""
        spent, before = self._spent(), self._before
        silent = busy and self._busy and answers == self._answers
        computes = spent is None or before is None or spent - before > _USED * passed_s
        self._silent = self._silent + passed_s if silent else 0.0
        self._still = self._still + passed_s if silent and not computes else 0.0
        self._busy, self._answers, self._before = busy, answers, spent
        if self._still >= self._still_s:
            return f"said and computed nothing for {self._still:.0f} s"
        if self._silent >= self._silent_s:
            return f"said nothing for {self._silent:.0f} s"
        return ""


def processor_seconds(pid: int) -> float | None:
    """What a process has used of all processors, in seconds; None where the system does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        # The name, in brackets, may have blanks; behind it are the state and the fields from 4 on.
        user, system = stat.rpartition(b")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return None
