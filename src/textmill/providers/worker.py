"""Threads of one model's own that do work in the order it comes; a process that ends does not wait for them."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Lock, Thread
from typing import Any

from textmill.errors import Overloaded, Unavailable

_Work = tuple[Callable[[], Any], int, "Future[Any]"]


class Worker:
    """Does at most ``threads`` things at once, and has at most so many inputs waiting. Thread-safe.

    The threads are daemons: work that hangs keeps its model from answering, and nothing else.
    """

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._name = name
        self._most = waiting
        self._works: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._lock = Lock()
        self._waiting = (0, 0)
        self._closed = False
        self._threads = [
            Thread(target=self._live, name=f"textmill-{name}-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def ready(self) -> bool:
        """Whether it takes work."""
        return not self._closed

    @property
    def waiting(self) -> tuple[int, int]:
        """Works and their inputs, of what waits."""
        return self._waiting

    def submit(self, work: Callable[[], Any], inputs: int) -> Future[Any]:
        """Do this once those before it have begun; what is cancelled until then is left out.

        Raises Overloaded where too many inputs wait, Unavailable once it is closed.
        """
        done: Future[Any] = Future()
        with self._lock:
            if self._closed:
                msg = f"{self._name} is closed"
                raise Unavailable(msg)
            works, waiting = self._waiting
            if waiting and waiting + inputs > self._most:
                msg = f"{self._name} has {waiting} inputs waiting, and takes {self._most} at most; try again"
                raise Overloaded(msg, retry_after=1.0)
            self._waiting = works + 1, waiting + inputs
            self._works.put((work, inputs, done))
        return done

    def close(self, drain_s: float) -> None:
        """Do what waits for at most so many seconds, fail the rest with Unavailable; what hangs is left alone. Blocks."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for _ in self._threads:
                self._works.put(None)
        for thread in self._threads:
            thread.join(drain_s / len(self._threads))
        with suppress(queue.Empty):
            while True:
                left = self._works.get_nowait()
                if left is not None:
                    self._fail(left)
        for _ in self._threads:  # whoever has not come to its end yet finds it, though this took it out
            self._works.put(None)

    def _fail(self, left: _Work) -> None:
        msg = f"{self._name} was closed before this was done"
        if left[2].set_running_or_notify_cancel():
            left[2].set_exception(Unavailable(msg))

    def _live(self) -> None:
        while (next_ := self._works.get()) is not None:
            work, inputs, done = next_
            with self._lock:
                self._waiting = self._waiting[0] - 1, self._waiting[1] - inputs
            if not done.set_running_or_notify_cancel():
                continue
            try:
                made = work()
            except BaseException as error:  # noqa: BLE001 - it is raised where the answer is waited for
                done.set_exception(error)
            else:
                done.set_result(made)
            del work, done, next_  # a waiting thread keeps nobody's answer
