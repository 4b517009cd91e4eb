"""The cache of a server, shared by all its models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textmill.cache.cache import Cache
    from textmill.config import ServeOptions
    from textmill.telemetry import Telemetry


@contextmanager
def caching(options: ServeOptions, telemetry: Telemetry) -> Iterator[Cache | None]:
    """The cache that the options want, shown in the metrics, or None; what waits to be written is, at the end.

    Raises ConfigInvalid where its file cannot be one.
    """
    if not options.cache_memory and options.cache_path is None:
        yield None
        return
    from textmill.store.caching import open_cache  # noqa: PLC0415 - imports numpy, which waits for the process to be prepared

    cache = open_cache(options)
    if cache is not None:
        telemetry.watch_cache(cache.report)
    try:
        yield cache
    finally:
        if cache is not None:
            cache.close()
