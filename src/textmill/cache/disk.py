"""Values on disk: read at once, written in batches by a thread, and never a reason for a request to fail."""

from __future__ import annotations

import atexit
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from errno import EDQUOT, ENOSPC
from pathlib import Path
from threading import Condition, Lock, Thread

from textmill.cache.file import PATIENCE_S, ValueFile
from textmill.contract import TierReport
from textmill.errors import ConfigInvalid

_log = logging.getLogger("textmill")

_EVERY_S = 0.3
"""How long values wait for others that are written with them; a process that is killed loses no more."""
_BATCH = 1000
_MOST_WAITING = 32 << 20
"""Bytes that wait to be written at most; what comes while the disk is slower than that is not kept."""
_BESIDE = 250
"""Bytes that one of them takes beside its value."""
_REST_S = 60.0
_COUNT_S = 60.0
_LEAVING_S = 5.0
_HEAD = 4096
_PRIVATE = 0o600
"""Who can read vectors can tell much of the texts."""
_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")
"""Another process has the file for longer than one waits: nothing is wrong with it."""


class Disk:
    """Values by keys in a file that other processes may share, at most ``limit`` bytes. Thread-safe.

    A file that is damaged is moved aside and made anew; where the disk is full or fails, nothing is kept or found for a minute.
    """

    def __init__(
        self, path: Path, limit: int, *, patience_s: float = PATIENCE_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Open the file, or make it, readable for nobody else; writes wait so long for another process's. Raises ConfigInvalid where that place cannot be one's cache."""
        self._path = path
        self._limit = limit
        self._patience_s = patience_s
        self._clock = clock
        self._reading = Lock()
        self._reader: ValueFile | None = None
        self._writer: ValueFile | None = None
        self._wake = Condition()  # guards all below
        self._waiting: dict[bytes, bytes] = {}
        self._leaving: dict[bytes, bytes] = {}  # being written just now
        self._size = 0
        self._used: dict[bytes, int] = {}
        self._middle = 0
        self._rest_until = 0.0
        self._damaged = self._closing = False
        self._tally = TierReport(entries=0, size=0, evictions=0)
        self._counted = -_COUNT_S
        self._process = os.getpid()
        self._open_first()
        self._thread = Thread(target=self._live, name="textmill-cache", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def find(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """The values of those keys that are there; reads the disk."""
        with self._wake:
            both = (self._leaving, self._waiting)
            waiting = {key: values[key] for values in both if values for key in keys if key in values}
            if self._clock() < self._rest_until:
                return waiting
        asked = [key for key in keys if key not in waiting]
        try:
            with self._reading:
                found = self._reader.find(asked) if self._reader is not None and asked else {}
        except sqlite3.Error as error:
            self._trouble(error)
            return waiting
        with self._wake:
            if len(self._used) < _BATCH:  # moving more at once would hold others up
                self._used.update((key, len(value)) for key, (age, value) in found.items() if age < self._middle)
        return {**waiting, **{key: value for key, (_, value) in found.items()}}

    def keep(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Have values written soon; returns at once."""
        with self._wake:
            if self._closing or self._clock() < self._rest_until:
                return
            for key, value in pairs:
                if self._size > _MOST_WAITING:
                    break
                if key not in self._waiting:
                    self._waiting[key] = value
                    self._size += len(value) + _BESIDE
            self._wake.notify()

    def report(self) -> TierReport:
        """How much there was a short time ago; others' values are counted once a minute."""
        with self._wake:
            return self._tally

    def close(self) -> None:
        """Write what waits, and let go of the file. Does nothing in a forked child, which has the locks without the threads that hold them."""
        if os.getpid() != self._process:
            return
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(_LEAVING_S)
        atexit.unregister(self.close)

    def _open_first(self) -> None:
        try:
            if not self._path.exists():
                self._path.touch(_PRIVATE)
            self._refuse_text()
            self._open()
        except OSError as error:
            if error.errno in (ENOSPC, EDQUOT):
                self._trouble(error)
                return
            msg = f"the cache {self._path} cannot be opened: {error.strerror}; name another file with --cache-path"
            raise ConfigInvalid(msg) from None
        except sqlite3.Error as error:
            if _code(error) in ("SQLITE_CANTOPEN", "SQLITE_READONLY"):
                msg = f"the cache {self._path} cannot be opened: {error}; name another file with --cache-path"
                raise ConfigInvalid(msg) from None
            self._trouble(error)

    def _refuse_text(self) -> None:
        """Raise ConfigInvalid for somebody's notes, which must not be moved aside: a damaged file has zeros somewhere in its beginning."""
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            head = file.read(_HEAD)
        if head and b"\0" not in head:
            msg = f"{self._path} is a text, and no cache; name another file with --cache-path"
            raise ConfigInvalid(msg)

    def _open(self) -> None:
        """Open both connections, and make a damaged file anew."""
        try:
            self._writer = ValueFile(self._path, self._limit, self._patience_s)
        except sqlite3.DatabaseError as error:
            if _code(error) not in _DAMAGE:
                raise
            self._move_aside(error)
            self._writer = ValueFile(self._path, self._limit, self._patience_s)
        reader = ValueFile(self._path, self._limit)
        reader.hurry()
        with self._reading:  # only now: who looks for values must not wait for another process that has the file
            self._reader = reader

    def _move_aside(self, error: sqlite3.Error) -> None:
        aside = self._path.with_name(f"{self._path.name}.damaged")
        why = " ".join(str(error).split())
        _log.warning("the cache %s is damaged (%s); it is begun anew, and the old file is %s", self._path, why, aside)
        for end in ("-wal", "-shm"):
            self._path.with_name(self._path.name + end).unlink(missing_ok=True)
        with suppress(FileNotFoundError):  # another process was faster
            self._path.replace(aside)
        self._path.touch(_PRIVATE)

    def _trouble(self, error: sqlite3.Error | OSError) -> None:
        """Note what is wrong with the file or the disk; the thread makes it good, or everybody leaves it alone for a while.

        Where another process has the file, what was to be written is not kept, and that is all.
        """
        if _code(error) in _BUSY and self._reader is not None:
            with self._wake:
                self._leaving = {}
            _log.info("another process has the cache %s; some values are not kept", self._path)
            return
        with self._wake:
            resting = self._clock() < self._rest_until
            self._rest_until = self._clock() + _REST_S
            self._damaged = self._damaged or _code(error) in _DAMAGE
            self._waiting, self._leaving, self._size, self._used = {}, {}, 0, {}
            damaged = self._damaged
            self._wake.notify()
        if not resting and not damaged:
            _log.warning("the cache %s is not used for %.0f s: %s", self._path, _REST_S, error)

    def _live(self) -> None:
        try:
            self._measure()
        except sqlite3.Error as error:
            self._trouble(error)
        while self._next():
            try:
                self._work()
            except (sqlite3.Error, OSError, ConfigInvalid) as error:
                self._trouble(error if not isinstance(error, ConfigInvalid) else OSError(str(error)))
        self._shut()

    def _next(self) -> bool:
        """Wait for something to do; false once there is nothing more."""
        with self._wake:
            self._wake.wait_for(lambda: self._waiting or self._closing or self._damaged)
            self._wake.wait_for(lambda: len(self._waiting) >= _BATCH or self._closing or self._damaged, _EVERY_S)
            return bool(self._waiting) or not self._closing

    def _work(self) -> None:
        with self._wake:
            damaged, self._damaged = self._damaged, False
        if damaged:
            self._renew()
        if self._writer is None:
            self._open()
        self._write()

    def _renew(self) -> None:
        """Begin the file anew that was found damaged, unless another process has."""
        self._shut()
        try:
            ValueFile(self._path, self._limit).check()
        except sqlite3.DatabaseError as error:
            self._move_aside(error)
        self._open()
        with self._wake:
            self._rest_until = 0.0

    def _write(self) -> None:
        with self._wake:
            values, self._waiting, self._size = self._waiting, {}, 0
            self._leaving = values
            used, self._used = self._used, {}
        if self._writer is None or not values:
            return
        gone = self._writer.keep(values, used)
        self._measure(len(values) - gone, gone)

    def _measure(self, more: int = 0, gone: int = 0) -> None:
        """Have the report say how much there is now, of which so many values are new to it, and so many left."""
        if self._writer is None:
            return
        entries = self._tally.entries + more
        if self._clock() - self._counted >= _COUNT_S:
            entries, self._counted = self._writer.count(), self._clock()
        tally = TierReport(entries=entries, size=self._writer.size(), evictions=self._tally.evictions + gone)
        middle = self._writer.middle()
        with self._wake:
            self._middle, self._leaving, self._tally = middle, {}, tally

    def _shut(self) -> None:
        with self._reading:
            if self._reader is not None:
                self._reader.close()
            self._reader = None
        if self._writer is not None:
            self._writer.close()
        self._writer = None


def _code(error: Exception) -> str:
    """SQLite's name of what went wrong, without what follows in extended ones."""
    name = getattr(error, "sqlite_errorname", None) or ""
    return "_".join(name.split("_")[:2])
