"""Runs one command and ends it with whoever started this: a program of its own, for nothing but Python's own library.

``minder.py GRACE COMMAND …``: standard input is a pipe that its parent holds open. When that closes, as it does when the parent is
killed too, the command's whole process group gets SIGTERM, and SIGKILL after ``GRACE`` seconds. When the command ends by itself, what
it has left of its group is killed, and this ends as it did: with its exit code, or with 128 and the number of its signal.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from types import FrameType

_KILLED, _NOT_STARTED = 128, 127
_PR_SET_PDEATHSIG = 1


def main(grace_s: float, command: list[str]) -> int:
    """Run the command; the exit code for this program."""
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    asked: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        if number != signal.SIGCHLD:
            asked.append(number)

    for each in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, on_signal)
    try:
        # The session makes a process group of the command and all that it starts.
        child = subprocess.Popen(  # noqa: S603 - the operator's own command
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - there is one thread
        )
    except OSError as error:
        print(f"{command[0]} cannot be started: {error.strerror}", file=sys.stderr)  # noqa: T201 - told to the parent
        return _NOT_STARTED
    while child.poll() is None and not asked:
        ready = select.select([0, woken], [], [])[0]
        if woken in ready:
            os.read(woken, 64)
        elif not os.read(0, 64):
            break
    _end(child, woken, grace_s)
    status = child.wait()
    return status if status >= 0 else _KILLED - status


def _end(child: subprocess.Popen[bytes], woken: int, grace_s: float) -> None:
    """End the command, and what it has left of its group."""
    if child.poll() is None:
        _signal(child.pid, signal.SIGTERM)
        end = time.monotonic() + grace_s
        while child.poll() is None and (left := end - time.monotonic()) > 0:
            if select.select([woken], [], [], left)[0]:
                os.read(woken, 64)
    _signal(child.pid, signal.SIGKILL)


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _die_with_parent() -> None:
    """Have the command killed when this program is; only Linux can."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes  # noqa: PLC0415 - in the child alone

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
