"""A folder for one socket that nobody else can enter, and what killed servers have left of theirs."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

_PREFIX, _NEW = "textmill-llama-", "textmill-new-"
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
        made = Path(tempfile.mkdtemp(prefix=_NEW, dir=place))
        self._lock = os.open(made / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        # Only now does it get a name that others look at.
        self.path = made.rename(made.with_name(_PREFIX + made.name.removeprefix(_NEW)))
        self._open = True

    @property
    def socket(self) -> Path:
        """Where the process is to listen; llama.cpp knows a socket by this ending."""
        return self.path / "m.sock"

    def close(self) -> None:
        """Remove it; again is allowed."""
        if self._open:
            self._open = False
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)


def _sweep(place: Path) -> None:
    """Remove the rooms that nobody holds: those of servers that were killed. Another user's cannot be entered."""
    for left in place.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            lock = os.open(left / _LOCK, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(lock)
