"""A backend's process: started with an address to listen at, its last words kept, ended with ours whatever happens to us."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from textmill.errors import ModelBroken

_log = logging.getLogger("textmill")

GRACE_S = 5.0
"""How long a process may take to end after SIGTERM."""
LINES = 20
"""Last lines that are kept of what it writes."""
_LONGEST = 4096
_KILLED = 128
_MINDER = Path(__file__).with_name("minder.py")


def free_address() -> str:
    """An address on loopback where nobody listens now."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{door.getsockname()[1]}"


class Process:
    """A command that runs and ends with us; see `textmill.providers.minder`.

    It has the environment ``environ``, and ``folder`` as the working one. What it writes is logged at ``level``, which may be changed
    while it runs. Raises ModelBroken where nothing can be started.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        folder: Path | None = None,
        *,
        grace_s: float = GRACE_S,
        level: int = logging.DEBUG,
    ) -> None:
        self.name = name
        self.level = level
        self._grace_s = grace_s
        minds = [sys.executable, "-I", "-S", str(_MINDER), str(grace_s)]
        try:
            self._minder = subprocess.Popen(  # noqa: S603 - only the operator's configuration names it
                [*minds, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C in a terminal is for the server, which ends it in its turn
            )
        except OSError as error:
            msg = f"the backend {name} cannot be started: {error.strerror}"
            raise ModelBroken(msg) from error
        self._lines: deque[str] = deque(maxlen=LINES)
        self._reader = threading.Thread(
            target=self._read, args=(self._minder.stdout,), name=f"textmill-{name}-log", daemon=True
        )
        self._reader.start()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._minder.poll() is None

    def wait(self, seconds: float | None) -> bool:
        """Wait until it has ended, None for as long as it takes; false where it still runs."""
        with suppress(subprocess.TimeoutExpired):
            self._minder.wait(seconds)
            self._reader.join(1.0)
        return not self.alive

    @property
    def end(self) -> str:
        """How it ended, in words; empty where it runs."""
        code = self._minder.poll()
        if code is None:
            return ""
        with suppress(ValueError):
            if code < 0 or code > _KILLED:
                return f"was ended by {signal.Signals(abs(code) % _KILLED).name}"
        return f"ended with exit code {code}"

    @property
    def last_words(self) -> str:
        """The last lines that it wrote."""
        return "\n".join(self._lines)

    def stop(self) -> None:
        """End it: SIGTERM, and SIGKILL where that is not enough; returns when it is gone. Any thread may call it, and again."""
        with suppress(OSError):
            if self._minder.stdin is not None:
                self._minder.stdin.close()
        if not self.wait(self._grace_s + 2):
            self._minder.kill()  # the kernel kills the rest for it
            self.wait(1.0)

    def _read(self, stream: IO[bytes]) -> None:
        """Keep what it writes; it may have texts of requests in it, so the log usually has it at the lowest level only."""
        with suppress(OSError, ValueError):
            while line := stream.readline(_LONGEST):
                text = line.decode(errors="replace").rstrip()
                if text:
                    self._lines.append(text)
                    _log.log(self.level, "%s: %s", self.name, text)
        stream.close()


class BackendProcess(Process):
    """``script`` with the flag --addr, run by this Python where it is a .py file and by itself otherwise, in its own folder."""

    def __init__(
        self, name: str, script: Path, address: str, environ: Mapping[str, str], *, grace_s: float = GRACE_S
    ) -> None:
        runs = [sys.executable, str(script)] if script.suffix == ".py" else [str(script)]
        super().__init__(name, [*runs, "--addr", address], environ, script.parent, grace_s=grace_s)
