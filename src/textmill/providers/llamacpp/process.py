"""The process of one model: started, its reason kept where it does not come up, ended with ours whatever happens to us."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from textmill.errors import ModelBroken, Unavailable
from textmill.providers.llamacpp.reasons import reason_of
from textmill.providers.llamacpp.room import Room
from textmill.providers.llamacpp.settings import Launch

_log = logging.getLogger("textmill")

LINES = 60
"""Last lines that are kept of what it writes."""
_LONGEST = 4096
_END_S, _LOG_S = 10.0, 3.0
_LAST = "exiting due to"
"""In the last line that llama.cpp writes where it does not come up."""
_SPINS = "2000"
"""How often a thread of llama.cpp looks for the others before it sleeps: some microseconds, where GNU's OpenMP has milliseconds.

Each layer ends when the last thread is done. Where embeddings take a core from one of them, the others would burn theirs with looking.
"""
_CHILD = Path(__file__).with_name("child.py")


class LlamaProcess:
    """llama.cpp with one model, listening on a socket of its own; blocks until the model is loaded. ``environ`` is what it gets.

    Raises ModelBroken where llama.cpp does not load the model, with its reason, and Unavailable where `stop` ended it meanwhile.
    """

    def __init__(self, name: str, launch: Launch, environ: Mapping[str, str]) -> None:
        self.name = name
        self._room = Room()
        self._lines: deque[str] = deque(maxlen=LINES)
        self._stopped = False
        self._logged = threading.Event()
        self.devices: tuple[str, ...] = ()
        self.guided = False
        try:
            # -P: the folder of child.py is none to import from.
            self._child = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-P", str(_CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self._room.path,
                env=_sharing(environ),
                start_new_session=True,  # Ctrl-C in a terminal is for the server, which ends it in its turn
            )
        except OSError as error:
            self._room.close()
            msg = f"no process can be started for {name}: {error.strerror}"
            raise ModelBroken(msg) from error
        self._reader = threading.Thread(
            target=self._read, args=(self._child.stderr,), name=f"textmill-{name}-log", daemon=True
        )
        self._reader.start()
        self._launch = launch.at(self._room.socket)

    def load(self) -> None:
        """Have it load its model; blocks, and is called once."""
        told = msgspec.json.encode(self._launch) + b"\n"
        answer = b""
        with suppress(OSError):
            if self._child.stdin is not None and self._child.stdout is not None:
                self._child.stdin.write(told)
                self._child.stdin.flush()
                answer = self._child.stdout.readline()
        said = json.loads(answer) if answer else {}
        if "ready" in said:
            self.devices = tuple(said["devices"])
            self.guided = bool(said["guided"])
            return
        if said.get("logged"):
            self._logged.wait(_LOG_S)
        elif not answer:
            self.wait(_END_S)
        stopped, end, lines = self._stopped, self.end, list(self._lines)
        self.stop()
        if stopped:
            msg = f"the process of {self.name} is being ended"
            raise Unavailable(msg)
        if end.endswith("SIGKILL"):
            end = f"its process {end}, as the system does where memory runs out"
        msg = f"llama.cpp does not load {self.name}: {reason_of(lines, said.get('failed', end))}"
        raise ModelBroken(msg)

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self._room.socket

    @property
    def pid(self) -> int:
        """Its number."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._child.poll() is None

    @property
    def end(self) -> str:
        """How it ended, in words; empty where it runs."""
        code = self._child.poll()
        if code is None:
            return ""
        with suppress(ValueError):
            if code < 0:
                return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    @property
    def last_words(self) -> str:
        """The last lines that it wrote; texts of requests may be among them."""
        return "\n".join(self._lines)

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended and all that it wrote is read; false where it still runs."""
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(seconds)
            self._reader.join(1.0)
        return not self.alive

    def stop(self) -> None:
        """End it at once: it keeps nothing that must be written. Any thread may call it, and again."""
        self._stopped = True
        self._child.kill()
        self.wait(_END_S)
        for stream in (self._child.stdin, self._child.stdout):
            with suppress(OSError):
                if stream is not None:
                    stream.close()
        self._logged.set()
        self._room.close()

    def _read(self, stream: IO[bytes]) -> None:
        """Keep what it writes; it may have texts of requests in it, so the log has it at the lowest level only."""
        with suppress(OSError, ValueError):
            while line := stream.readline(_LONGEST):
                text = line.decode(errors="replace").rstrip()
                if text:
                    self._lines.append(text)
                    if _LAST in text:
                        self._logged.set()
                    _log.debug("%s: %s", self.name, text)
        stream.close()
        self._logged.set()
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(_END_S)  # else it would stay in the system's table up to the next request


def _sharing(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that leaves cores to others while its threads wait for each other, unless it says how they wait."""
    said = environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}
    return {**environ} if said else {**environ, "GOMP_SPINCOUNT": _SPINS}
