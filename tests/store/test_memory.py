from __future__ import annotations

import ctypes

import numpy as np
import pytest

from textmill.store.memory import resident, trim


def test_memory_that_is_used_counts_and_memory_that_is_freed_does_not() -> None:
    trim()
    before = resident()
    held = np.ones(8_000_000)
    assert resident() - before > 60_000_000
    del held
    trim()
    assert resident() - before < 30_000_000


def test_trimming_where_the_system_has_no_library_of_the_process_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def windows(name: str | None) -> ctypes.CDLL:
        msg = f"LoadLibrary() argument 1 must be str, not {name}"
        raise TypeError(msg)

    monkeypatch.setattr(ctypes, "CDLL", windows)
    trim()
