"""The calls under way, so that those which a drain does not wait for any longer are told why they end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from textmill.errors import Unavailable


class Underway:
    """Calls by their tasks. For one event loop; not thread-safe."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()
        self._late: set[asyncio.Task[object]] = set()

    @contextmanager
    def call(self) -> Iterator[None]:
        """Be one of them while this lasts. Raises Unavailable where the server gives the call up; a client's leave passes."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - grpc.aio answers calls in tasks
        self._tasks.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            task.uncancel()
            msg = "the server is shutting down and did not get to this request in time"
            raise Unavailable(msg) from None
        finally:
            self._tasks.discard(task)
            self._late.discard(task)

    async def give_up(self, patience_s: float) -> None:
        """End all calls, and wait for at most so many seconds until their clients have been told."""
        late = list(self._tasks)
        self._late.update(late)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=patience_s)
