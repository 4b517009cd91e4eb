"""A way to tell long work from another thread that nobody wants it any more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager


class Stop:
    """Set once, from any thread; the work looks at it, and what it blocks on is interrupted."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._interrupts: list[Callable[[], None]] = []

    def set(self) -> None:
        """Ask the work to stop, and interrupt what it is blocked on."""
        self._event.set()
        with self._lock:
            for interrupt in self._interrupts:
                interrupt()

    def is_set(self) -> bool:
        """Whether the work has been asked to stop."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise CancelledError where the work has been asked to stop."""
        if self._event.is_set():
            raise CancelledError

    def wait(self, seconds: float) -> None:
        """Sleep, but raise CancelledError at once when asked to stop."""
        self._event.wait(seconds)
        self.check()

    @contextmanager
    def interrupting(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Within the block, `set` also calls ``interrupt``, which must not block."""
        with self._lock:
            self._interrupts.append(interrupt)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._interrupts.remove(interrupt)
