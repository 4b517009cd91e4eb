"""Processes of backends: how they end is told, and nothing of them is left."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from textmill.errors import ModelBroken
from textmill.providers.process import LINES, BackendProcess

pytestmark = pytest.mark.timeout(30)
ENVIRON = {"PATH": os.defpath}


Start = Callable[..., BackendProcess]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Start]:
    """Starts a program of that text; it is stopped after the test."""
    processes = []

    def start(text: str, name: str = "run.py") -> BackendProcess:
        script = tmp_path / name
        script.write_text(text)
        script.chmod(0o755)
        processes.append(BackendProcess("mine", script, "127.0.0.1:1", ENVIRON, grace_s=0.2))
        return processes[-1]

    yield start
    for process in processes:
        process.stop()


def told(process: BackendProcess, word: str) -> None:
    """Wait until the process has written that."""
    end = time.monotonic() + 10
    while word not in process.last_words:
        assert time.monotonic() < end, process.last_words
        time.sleep(0.01)


def test_its_last_lines_and_its_exit_code_are_kept(started: Start) -> None:
    process = started(f"for i in range({LINES + 9}): print('line', i)\nraise SystemExit(7)")
    assert process.wait(10)
    assert process.end == "ended with exit code 7"
    assert process.last_words.splitlines() == [f"line {number}" for number in range(9, LINES + 9)]


def test_the_signal_that_ended_it_is_named(started: Start) -> None:
    process = started("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert process.wait(10)
    assert process.end == "was ended by SIGKILL"


def test_what_is_no_python_runs_by_itself_in_its_folder(started: Start, tmp_path: Path) -> None:
    process = started('#!/bin/sh\necho "$1 $2 in $(pwd)"\n', "run.sh")
    assert process.wait(10)
    assert process.last_words == f"--addr 127.0.0.1:1 in {tmp_path.resolve()}"


def test_one_that_ignores_being_asked_is_ended_with_what_it_started(started: Start) -> None:
    below = "import time; print('below', flush=True); time.sleep(60)"
    process = started(
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"child = subprocess.Popen([sys.executable, '-c', {below!r}])\n"
        "print('child', child.pid, flush=True)\ntime.sleep(60)",
    )
    told(process, "below")
    told(process, "child")
    child = next(int(line.split()[1]) for line in process.last_words.splitlines() if line.startswith("child"))
    process.stop()
    assert not process.alive
    end = time.monotonic() + 10
    while _runs(child):
        assert time.monotonic() < end, "what the backend started still runs"
        time.sleep(0.01)
    process.stop()  # once more is nothing


def test_a_file_that_nobody_can_run_says_so(started: Start) -> None:
    process = started("no program", "run.bin")
    assert process.wait(10)
    assert (process.end, "cannot be started" in process.last_words) == ("ended with exit code 127", True)


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match="cannot be started"):
        BackendProcess("mine", tmp_path / "gone" / "run.py", "127.0.0.1:1", ENVIRON)


def _runs(process: int) -> bool:
    """Whether it does; one that has ended and that nobody has asked about does not."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
