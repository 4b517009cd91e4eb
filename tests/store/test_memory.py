from __future__ import annotations

import numpy as np

from textmill.store.memory import resident, trim


def test_memory_that_is_used_counts_and_memory_that_is_freed_does_not() -> None:
    trim()
    before = resident()
    held = np.ones(8_000_000)
    assert resident() - before > 60_000_000
    del held
    trim()
    assert resident() - before < 30_000_000
