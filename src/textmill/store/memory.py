"""How much memory this process uses, and how what it has freed goes back to the system."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from mmap import PAGESIZE
from pathlib import Path

_STATM = Path("/proc/self/statm")


def resident() -> int:
    """Bytes of memory that the process holds (proc_pid_statm(5)), pages of mapped files included; 0 where the system does not say."""
    try:
        return int(_STATM.read_text().split()[1]) * PAGESIZE
    except (OSError, IndexError, ValueError):
        return 0


def trim() -> None:
    """Give back what is freed: objects in cycles, then pages that the allocator keeps (malloc_trim(3), where there is one)."""
    gc.collect()
    with suppress(OSError, AttributeError, TypeError):  # TypeError on Windows
        ctypes.CDLL(None).malloc_trim(0)
