"""A folder for one socket that nobody else can enter, and what killed servers have left of theirs."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

_PREFIX = "textmill-llama-"
_LOCK = "in-use"
_LONGEST = 100
"""Bytes of a Unix socket's path (unix(7): 108, a zero included)."""
_SHORT = Path("/tmp")  # noqa: S108 - mkdtemp makes the folder, for this user alone


class Room:
    """A new folder of mode 0700 in the system's place for temporary files; locked, so that it is known to be in use."""

    def __init__(self, place: Path | None = None) -> None:
        place = place or Path(tempfile.gettempdir())
        if len(str(place)) + len(_PREFIX) + 16 > _LONGEST:
            place = _SHORT
        _sweep(place)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        self._lock = FileLock(self.path / _LOCK)
        self._lock.acquire()

    @property
    def socket(self) -> Path:
        """Where the process is to listen; llama.cpp knows a socket by this ending."""
        return self.path / "m.sock"

    def close(self) -> None:
        """Remove it; again is allowed."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()


def _sweep(place: Path) -> None:
    """Remove the rooms that nobody holds: those of servers that were killed. Another user's cannot be entered."""
    for left in place.glob(f"{_PREFIX}*"):
        with suppress(Timeout, OSError):
            lock = left / _LOCK
            if lock.exists():  # one without is being made just now
                with FileLock(lock, timeout=0):
                    shutil.rmtree(left, ignore_errors=True)
