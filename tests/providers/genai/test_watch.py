from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import count, repeat
from pathlib import Path

import pytest

from textmill.providers.genai.watch import Watch, processor_seconds

SAME = repeat(4)
BUSY = repeat(1)


def looks(spent: Iterator[float | None], *, answers: Iterator[int] = SAME, busy: Iterator[int] = BUSY) -> int:
    """How many looks, 5 s apart, it takes until something is wrong; 0 for more than 500."""
    watch = Watch(lambda: next(spent))
    for number in range(500):
        if watch.look(5.0, busy=bool(next(busy)), answers=next(answers)):
            return number
    return 0


@pytest.mark.parametrize(
    ("spent", "found"),
    [(repeat(3.0), 12), (count(0.0, 0.01), 12), (count(0.0, 1.0), 360), (repeat(None), 360)],
)
def test_a_silent_process_hangs_soon_if_it_computes_nothing(spent: Iterator[float | None], found: int) -> None:
    assert looks(spent) == found


def test_a_process_that_answers_or_has_nothing_to_do_does_not_hang() -> None:
    assert looks(repeat(3.0), answers=count()) == 0
    assert looks(repeat(3.0), busy=repeat(0)) == 0
    assert looks(repeat(3.0), busy=iter([*[0] * 50, *[1] * 450])) == 50 + 12


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell")
def test_processor_seconds_are_those_of_the_process() -> None:
    code = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - Python itself
    assert child.stdout is not None
    child.stdout.readline()

    spent = processor_seconds(child.pid)
    child.communicate(b"\n")

    assert spent is not None
    assert 0.25 <= spent < 2
    assert processor_seconds(child.pid) is None
    assert processor_seconds(os.getpid())
