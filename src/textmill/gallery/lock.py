"""One process, and one thread in it, works on a file; others wait. The kernel frees the lock of a process that dies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from textmill.gallery.ledger import key_of
from textmill.gallery.paths import STATE

_LOOK = 0.1


@contextmanager
def exclusive(target: Path, state: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a target within the block; ``waiting`` is called ten times a second until then and may raise.

    The lock's file is in the folder ``state/locks`` and stays: removing it would let two processes hold it at once.
    """
    locks = state / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locks / f"{key_of(target)}.lock")
    while True:
        try:
            lock.acquire(timeout=_LOOK, poll_interval=_LOOK / 5)
        except Timeout:
            waiting()
        else:
            break
    try:
        yield
    finally:
        lock.release()


def changing(folder: Path, waiting: Callable[[], None] = lambda: None) -> AbstractContextManager[None]:
    """Hold the lock under which model files of a folder come and go, for a moment: what is written then is consistent."""
    return exclusive(folder / STATE, folder / STATE, waiting)
