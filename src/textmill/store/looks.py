"""Looks at the models folder that other threads ask for, and wait for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import Future, wait

_PATIENCE_S = 30.0


class Looks:
    """Between threads that change a folder, and the one loop that follows it.

    A thread says by `ask` which files it has written or removed as a whole. The loop sleeps by `rest`, which ends early then, and takes
    by `whole` what it need not see twice.
    """

    def __init__(self, patience_s: float = _PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._asked: list[tuple[frozenset[str], Future[None]]] = []
        self._under_way: list[Future[None]] = []
        self._wake: Callable[[], object] | None = None
        self._ended = False

    def ask(self, files: Collection[str]) -> None:
        """Return once the loop has seen these files, or follows the folder no longer, or takes too long. Not from the loop's thread."""
        done: Future[None] = Future()
        with self._lock:
            if self._ended:
                return
            self._asked.append((frozenset(files), done))
            if self._wake is not None:
                self._wake()
        wait([done], self._patience_s)

    async def rest(self, seconds: float, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """Sleep until the time is over or somebody asks. What was asked for before the last look is done now."""
        loop, asked = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            done, self._under_way = self._under_way, []
            self._ended = False  # a loop that failed begins again
            self._wake = lambda: loop.call_soon_threadsafe(asked.set)
            if self._asked:
                asked.set()
        for each in done:
            each.set_result(None)
        waits = [asyncio.ensure_future(sleep(seconds)), asyncio.ensure_future(asked.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each_wait in waits:
                each_wait.cancel()

    def whole(self) -> frozenset[str]:
        """The files that are not being written any more, for a look that begins now."""
        with self._lock:
            taken, self._asked = self._asked, []
            self._under_way += [done for _, done in taken]
        return frozenset(name for files, _ in taken for name in files)

    def end(self) -> None:
        """Let everyone go who waits: nobody looks any more."""
        with self._lock:
            self._ended, self._wake = True, None
            left = [*self._under_way, *(done for _, done in self._asked)]
            self._asked, self._under_way = [], []
        for done in left:
            done.set_result(None)
