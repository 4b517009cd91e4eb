"""A SQLite file of values by keys, oldest first out; several processes may have it open."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

from textmill.errors import ConfigInvalid

_APPLICATION = 0x74784D6C
"""Says in the file's head that it is one of ours."""
_VERSION = 1
_PAGE = 8192
"""Five vectors of 384 values fit; with pages of 4,096 bytes, half of the last one would often be empty."""
PATIENCE_S = 5.0
"""How long one process waits for another one's write."""
_HURRY_MS = 50
"""How long one that only reads waits, which is for no other's write: computing is the better way soon."""
_ASKED = 500
_LEAVE = 256
"""Values that are removed at once."""
_ROOM = 1.5
"""Pages that values take, the index and half-empty pages included, for each page of bytes."""
_CRC = 4
_BESIDE = 100
"""Bytes that a value takes beside its own: its key twice, the checksum and the heads of both."""
_PART = 4 << 20
"""Bytes that are written together at most: what the log grows by, and the file, before room is made anew."""
_LOG = 8 << 20
"""Bytes of the log that are enough; it grows beyond them where readers leave no moment for SQLite's own clearing."""
_LONGEST_LOG = 32 << 20
"""At this nothing is kept until it can be cleared."""
_PARTS = 8
"""How many of them the file has room for at least."""

Value = tuple[int, bytes]
"""Its age, which grows with each value of the file, and the value."""


class ValueFile:
    """One connection to a file; not thread-safe. Everything raises sqlite3.Error where the file or the disk is at fault.

    The file has at most ``limit`` bytes; its write-ahead log beside it some ten megabytes, 40 where others read or write without a pause.
    """

    def __init__(self, path: Path, limit: int, patience_s: float = PATIENCE_S) -> None:
        """Open the file, or make it. Raises ConfigInvalid where it is a database of something else."""
        self._patience_s = patience_s
        self._log = path.with_name(f"{path.name}-wal")
        self._pages = max(16, limit // _PAGE)
        self._part = min(_PART, self._pages * _PAGE // _PARTS)
        self._db = sqlite3.connect(path, timeout=patience_s, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(path)
        except BaseException:
            self._db.close()
            raise

    def find(self, keys: Sequence[bytes]) -> Mapping[bytes, Value]:
        """The values of those keys that are there. What the disk has changed is no value."""
        found = {}
        for start in range(0, len(keys), _ASKED):
            part = keys[start : start + _ASKED]
            marks = ",".join("?" * len(part))
            for key, age, value in self._db.execute(f"SELECT key, id, value FROM rows WHERE key IN ({marks})", part):  # noqa: S608 - marks only
                if value[:_CRC] == _checked(key, value[_CRC:]):
                    found[key] = (age, value[_CRC:])
        return found

    def keep(self, values: Mapping[bytes, bytes], used: Mapping[bytes, int]) -> int:
        """Take values in at the young end, and move those that were used, of so many bytes, there; how many had to leave for that.

        A value that would take an eighth of the file is not taken, and none while the log is too long.
        """
        sizes = {**used, **{key: len(value) for key, value in values.items()}}
        return sum(self._keep_part(part, values) for part in self._parts(sizes))

    def _parts(self, sizes: Mapping[bytes, int]) -> Iterator[dict[bytes, int]]:
        """Keys with the bytes that their values take, as many together as fit one transaction."""
        part: dict[bytes, int] = {}
        together = 0
        for key, size in sizes.items():
            takes = size + _BESIDE
            if takes > self._part:
                continue
            if together + takes > self._part:
                yield part
                part, together = {}, 0
            part[key] = takes
            together += takes
        if part:
            yield part

    def _keep_part(self, part: Mapping[bytes, int], values: Mapping[bytes, bytes]) -> int:
        if not self._log_is_short():
            return 0
        with self._writing():
            gone = self._make_room(int(sum(part.values()) * _ROOM) // _PAGE + 1)
            self._db.executemany(
                "UPDATE OR IGNORE rows SET id = (SELECT max(id) + 1 FROM rows) WHERE key = ?",
                ((key,) for key in part if key not in values),
            )
            self._db.executemany(
                "INSERT OR IGNORE INTO rows (key, value) VALUES (?, ?)",
                ((key, _checked(key, values[key]) + values[key]) for key in part if key in values),
            )
        return gone

    def _log_is_short(self) -> bool:
        """Clear the log where it is long; whether it may grow: who reads for long keeps it from being cleared."""
        if _size(self._log) <= _LOG + _PART:
            return True
        self.hurry()
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self._db.execute(f"PRAGMA busy_timeout = {int(self._patience_s * 1000)}")
        return _size(self._log) <= _LONGEST_LOG

    def hurry(self) -> None:
        """Wait for other processes no longer than a request may."""
        self._db.execute(f"PRAGMA busy_timeout = {_HURRY_MS}")

    def count(self) -> int:
        """How many values there are; reads the whole index."""
        return int(self._asked("SELECT count(*) FROM rows"))

    def size(self) -> int:
        """Bytes of the file that are in use."""
        return self._used() * _PAGE

    def middle(self) -> int:
        """The age that lies between those of the youngest and the oldest value."""
        return int(self._asked("SELECT (coalesce(min(id), 0) + coalesce(max(id), 0)) / 2 FROM rows"))

    def check(self) -> None:
        """Read the whole file, and close the connection; raises sqlite3.DatabaseError where it is damaged."""
        try:
            (told,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            self._db.close()
        if told != "ok":
            raise sqlite3.DatabaseError(told)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def _prepare(self, path: Path) -> None:
        self._db.execute(f"PRAGMA page_size = {_PAGE}")
        self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _patiently(lambda: self._db.execute("PRAGMA journal_mode = WAL"))
        self._db.execute(
            "PRAGMA synchronous = NORMAL"
        )  # a crash of the machine may take the last writes, and breaks nothing
        self._db.execute(f"PRAGMA journal_size_limit = {_LOG}")
        with self._writing():
            if not self._asked("SELECT count(*) FROM sqlite_master"):
                self._db.execute(f"PRAGMA application_id = {_APPLICATION}")
            elif self._asked("PRAGMA application_id") != _APPLICATION:
                msg = f"{path} is a database of something else; name another file with --cache-path"
                raise ConfigInvalid(msg)
            if self._asked("PRAGMA user_version") != _VERSION:
                self._db.execute("DROP TABLE IF EXISTS rows")
                self._db.execute(
                    "CREATE TABLE rows (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL)"
                )
                self._db.execute(f"PRAGMA user_version = {_VERSION}")
        if self._asked("PRAGMA page_count") > self._pages:  # the limit was another one
            with self._writing():
                self._make_room(1)
            self._db.executescript("PRAGMA incremental_vacuum")  # `execute` would free one page

    def _make_room(self, pages: int) -> int:
        """Remove the oldest values until so many pages are free within the limit; how many were removed."""
        gone = 0
        while self._used() + pages > self._pages:
            left = self._db.execute(
                "DELETE FROM rows WHERE id IN (SELECT id FROM rows ORDER BY id LIMIT ?)", (_LEAVE,)
            ).rowcount
            if not left:
                break
            gone += left
        return gone

    def _used(self) -> int:
        return int(self._asked("PRAGMA page_count")) - int(self._asked("PRAGMA freelist_count"))

    def _asked(self, sql: str) -> int:
        (value,) = self._db.execute(sql).fetchone()
        return int(value)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """All or nothing, with no other process writing meanwhile."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:  # a full disk has ended it already
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # where a file system knows no such logs
        return 0


def _checked(key: bytes, value: bytes) -> bytes:
    return crc32(value, crc32(key)).to_bytes(_CRC, "little")


def _patiently(work: Callable[[], object]) -> None:
    """Do what SQLite does not wait for by itself while another process has the file: changing its journal."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            work()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return
