"""What a cache has found and keeps, as metrics."""

from __future__ import annotations

from collections.abc import Iterator

from textmill.contract import CacheReport
from textmill.telemetry.series import counter, gauge


class Caching:
    """The series of the process's cache. Not thread-safe: `Telemetry` holds a lock."""

    def __init__(self) -> None:
        self._hits = counter("textmill_cache_hits_total", "model", "tier", text="Rows that the cache had.")
        self._misses = counter("textmill_cache_misses_total", "model", text="Rows that the cache did not have.")
        self._evictions = counter(
            "textmill_cache_evictions_total", "tier", text="Values that had to leave the cache for others."
        )
        self._bytes = gauge("textmill_cache_bytes", "tier", text="Bytes that the cache takes.")
        self._entries = gauge("textmill_cache_entries", "tier", text="Values in the cache.")

    def show(self, report: CacheReport) -> None:
        """Take the cache's own numbers."""
        for (model, tier), hits in report.hits.items():
            self._hits.of(model, tier).value = hits
        for model, misses in report.misses.items():
            self._misses.of(model).value = misses
        for tier, about in report.tiers.items():
            self._evictions.of(tier).value = about.evictions
            self._bytes.of(tier).value = about.size
            self._entries.of(tier).value = about.entries

    def lines(self) -> Iterator[str]:
        """All of them in the text format."""
        for series in (self._hits, self._misses, self._evictions, self._bytes, self._entries):
            yield from series.lines()
