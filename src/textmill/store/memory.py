"""How much memory this process and those that it has started use, and how what it has freed goes back to the system."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from mmap import PAGESIZE
from pathlib import Path

_PROC = Path("/proc")
_MOST = 1000
"""Processes that are counted."""


def resident() -> int:
    """Bytes of memory that the process and its children hold, pages of mapped files included; 0 where the system does not say.

    The models of llama.cpp and of backends are in processes of their own. A page that two of them have counts twice.
    """
    own = _resident("self")
    return own + sum(_resident(each) for each in _descendants()) if own else 0


def _resident(process: str) -> int:
    """Bytes that one process holds (proc_pid_statm(5)); 0 for one that has ended."""
    try:
        return int((_PROC / process / "statm").read_text().split()[1]) * PAGESIZE
    except (OSError, IndexError, ValueError):
        return 0


def _descendants() -> list[str]:
    """The numbers of the processes that this one and its children have started (proc_tid_children(5))."""
    found: list[str] = []
    looked = ["self"]
    while looked and len(found) < _MOST:
        children = _children(looked.pop())
        found += children
        looked += children
    return found


def _children(process: str) -> list[str]:
    """Each thread has its own; one that ends meanwhile has none."""
    found: list[str] = []
    with suppress(OSError):
        for thread in (_PROC / process / "task").iterdir():
            with suppress(OSError):
                found += (thread / "children").read_text().split()
    return found


def trim() -> None:
    """Give back what is freed: objects in cycles, then pages that the allocator keeps (malloc_trim(3), where there is one)."""
    gc.collect()
    with suppress(OSError, AttributeError, TypeError):  # TypeError on Windows
        ctypes.CDLL(None).malloc_trim(0)
