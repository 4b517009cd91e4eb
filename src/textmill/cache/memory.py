"""Values in memory: the least recently used leave, so that all together stay within a limit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from threading import Lock

from textmill.contract import TierReport

_BESIDE = 250
"""Bytes that an entry takes beside its value: the key, two objects' heads and its place in the dictionary."""


class Memory:
    """Values by keys, together at most ``limit`` bytes. Thread-safe; nothing in it waits for anything slow."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = Lock()
        self._values: OrderedDict[bytes, bytes] = OrderedDict()
        self._bytes = 0
        self._evictions = 0

    def find(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The value of each key, None where there is none."""
        with self._lock:
            found = [self._values.get(key) for key in keys]
            for key, value in zip(keys, found, strict=True):
                if value is not None:
                    self._values.move_to_end(key)
        return found

    def keep(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Take values in; a key that is there already keeps its value."""
        with self._lock:
            for key, value in pairs:
                if key not in self._values:
                    self._values[key] = value
                    self._bytes += len(value) + _BESIDE
            while self._bytes > self._limit:
                _, value = self._values.popitem(last=False)
                self._bytes -= len(value) + _BESIDE
                self._evictions += 1

    def report(self) -> TierReport:
        """How much there is now."""
        with self._lock:
            return TierReport(entries=len(self._values), size=self._bytes, evictions=self._evictions)
