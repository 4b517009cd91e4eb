from __future__ import annotations

import ctypes
import subprocess
import sys

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


def test_processes_that_were_started_count_with_those_that_they_start() -> None:
    holds = "import sys; x = bytearray(60_000_000); print(flush=True); sys.stdin.read()"
    starts = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {holds!r}])"
    before = resident()

    with subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, "-c", starts], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        during = resident()
        process.communicate()

    assert during - before > 60_000_000
    assert resident() - before < 30_000_000


def test_trimming_where_the_system_has_no_library_of_the_process_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def windows(name: str | None) -> ctypes.CDLL:
        msg = f"LoadLibrary() argument 1 must be str, not {name}"
        raise TypeError(msg)

    monkeypatch.setattr(ctypes, "CDLL", windows)
    trim()
