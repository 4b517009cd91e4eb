"""One process, and one thread in it, works on a file; others wait. The kernel frees the lock of a process that dies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_LOOK = 0.1


@contextmanager
def exclusive(target: Path, locks: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a target within the block; ``waiting`` is called ten times a second until then and may raise.

    The lock's file is in the folder ``locks`` and stays: removing it would let two processes hold it at once.
    """
    locks.mkdir(parents=True, exist_ok=True)
    path = target.parent.resolve() / target.name
    key = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    lock = FileLock(locks / f"{key}.lock")
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
