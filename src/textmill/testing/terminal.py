"""A terminal of its own for a textmill command, for tests: what is typed goes in, what it shows is waited for."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_LIMIT_S = 60.0
_AGAIN_S = 1.0


class Terminal:
    """A command that runs at a pseudo-terminal."""

    def __init__(self, arguments: tuple[str, ...], variables: dict[str, str]) -> None:
        self._door, inner = pty.openpty()
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm", **variables}  # noqa: TID251 - to pass it on
        self.process = subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, "-m", "textmill", *arguments],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env=environ,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - without it Ctrl-C is no signal
        )
        os.close(inner)
        self.shown = ""
        self._read = 0

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._door, keys.encode())

    def until(self, pattern: str) -> str:
        """What is shown since the last call up to a match; fails where none comes."""
        end = time.monotonic() + _LIMIT_S
        while (found := re.search(pattern, self.shown[self._read :])) is None:
            if not self._more(end):
                raise AssertionError((pattern, self.shown[self._read :]))
        start, self._read = self._read, self._read + found.end()
        return self.shown[start : self._read]

    def interrupt(self, pattern: str) -> str:
        """Press Ctrl-C, again where nothing comes of it, up to a match: Python's readline misses one that comes just before it waits."""
        end = time.monotonic() + _LIMIT_S
        while time.monotonic() < end:
            self.type("\x03")
            soon = time.monotonic() + _AGAIN_S
            while re.search(pattern, self.shown[self._read :]) is None and self._more(soon):
                pass
            if re.search(pattern, self.shown[self._read :]) is not None:
                return self.until(pattern)
        raise AssertionError((pattern, self.shown[self._read :]))

    def ended(self) -> int:
        """The exit code, once it has ended."""
        end = time.monotonic() + _LIMIT_S
        while self._more(end):
            pass
        return self.process.wait(_LIMIT_S)

    def close(self) -> None:
        """End it, however far it is."""
        self.process.kill()
        self.process.wait()
        os.close(self._door)

    def _more(self, end: float) -> bool:
        """Read what comes next; false at the end of it, or of the time."""
        ready, _, _ = select.select([self._door], [], [], max(0.0, end - time.monotonic()))
        try:
            data = os.read(self._door, 65536) if ready else b""
        except OSError:  # nobody has the other side open
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)


def _take_terminal() -> None:
    import fcntl  # noqa: PLC0415 - in the child
    import termios  # noqa: PLC0415

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextmanager
def terminal(*arguments: str, **variables: str) -> Iterator[Terminal]:
    """A command at a terminal, ended at the end of the block."""
    opened = Terminal(arguments, variables)
    try:
        yield opened
    finally:
        opened.close()
