"""The cache of a process: memory before disk, for all its models, each of which sees its own rows only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from threading import Lock

from textmill.arch.heads import PER_TOKEN
from textmill.cache.disk import Disk
from textmill.cache.found import Found, Kept
from textmill.cache.keys import Keys
from textmill.cache.memory import Memory
from textmill.contract import CacheReport, Tier, TierReport
from textmill.runtimes.runtime import Answers, Row


class Cache:
    """Values of rows in memory, on disk, or both. Thread-safe."""

    def __init__(self, memory: Memory | None, disk: Disk | None) -> None:
        self.memory = memory
        self.disk = disk
        self._lock = Lock()
        self._hits: Counter[tuple[str, Tier]] = Counter()
        self._misses: Counter[str] = Counter()

    def of(self, model: str, *identity: str) -> Recall:
        """What a model's rows are looked up by, which is called so in reports; see `Keys` for its ``identity``."""
        with self._lock:
            self._misses[model] += 0  # shown from now on
        return Recall(self, model, Keys(*identity))

    def report(self) -> CacheReport:
        """What has been found so far, and how much is kept."""
        tiers: dict[Tier, TierReport] = {}
        if self.memory is not None:
            tiers["memory"] = self.memory.report()
        if self.disk is not None:
            tiers["disk"] = self.disk.report()
        with self._lock:
            return CacheReport(hits=dict(self._hits), misses=dict(self._misses), tiers=tiers)

    def count(self, model: str, *, hits: int = 0, misses: int = 0, tier: Tier = "memory") -> None:
        """Count rows that were looked for."""
        with self._lock:
            self._hits[model, tier] += hits
            self._misses[model] += misses

    def close(self) -> None:
        """Write what waits to be written."""
        if self.disk is not None:
            self.disk.close()


class Recall:
    """What has been computed of one model's rows. Thread-safe.

    Only outputs for each row are kept: those for each token are large, and most of them are pooled at once.
    """

    def __init__(self, cache: Cache, model: str, keys: Keys) -> None:
        self._cache = cache
        self._model = model
        self._keys = keys

    def look(self, rows: Sequence[Row]) -> Found:
        """What memory has of a call's rows, of which there is one at least; takes a few microseconds a row."""
        if PER_TOKEN.intersection(rows[0].outputs):
            return Found(rows, [None] * len(rows), [None] * len(rows))
        keys = [tuple(self._keys.of(row, output) for output in row.outputs) for row in rows]
        found = Found(rows, keys, [None] * len(rows))
        memory = self._cache.memory
        if memory is not None:
            values = iter(memory.find([key for each in keys for key in each]))
            self._fill(found, range(len(rows)), values, "memory")
        return found

    def deep(self, found: Found) -> bool:
        """Whether the disk may have more."""
        return self._cache.disk is not None and found.keys[0] is not None and bool(found.missing)

    def look_deeper(self, found: Found) -> None:
        """Add what the disk has; reads it."""
        if self._cache.disk is None:
            return
        places = found.missing
        keys = [key for place in places for key in found.keys[place] or ()]
        values = self._cache.disk.find(keys)
        self._fill(found, places, map(values.get, keys), "disk")
        if self._cache.memory is not None:
            self._cache.memory.keep(values.items())

    def missed(self, found: Found) -> list[Row]:
        """The rows that have to be computed, which count as missed now."""
        missing = found.missing
        if missing and found.keys[0] is not None:
            self._cache.count(self._model, misses=len(missing))
        return [found.rows[place] for place in missing]

    def keep(self, found: Found, made: Answers) -> None:
        """Keep what was made of the rows that were missing, in order."""
        keys = [found.keys[place] for place in found.missing]
        if not keys or keys[0] is None:
            return
        pairs = [
            (key[number], value.tobytes())
            for number, output in enumerate(found.rows[0].outputs)
            for key, value in zip(keys, made[output], strict=True)
            if key is not None
        ]
        for tier in (self._cache.memory, self._cache.disk):
            if tier is not None:
                tier.keep(pairs)

    def _fill(self, found: Found, places: Sequence[int], values: Iterator[bytes | None], tier: Tier) -> None:
        hits = 0
        for place in places:
            outputs = len(found.rows[place].outputs)
            row: Kept = tuple(value for value in islice(values, outputs) if value is not None)
            if len(row) == outputs:
                found.values[place] = row
                hits += 1
        if hits:
            self._cache.count(self._model, hits=hits, tier=tier)
