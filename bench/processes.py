"""A contender's process seen from the driver: started, asked, and stopped while others are measured."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Final, TypeVar, cast

import msgspec

from bench.machine import busy_seconds, used_seconds
from bench.messages import Order, Ready, Reply, Skipped, Start

ROOT: Final = Path(__file__).parent.parent
PATIENCE: Final = 300.0
"""Seconds that one order may take."""
CLOSING: Final = 30.0
"""Seconds that a worker has to end by itself."""

ReplyT = TypeVar("ReplyT")


class Died(Exception):
    """A worker ended or hung; the message has the last lines of its log."""


class Process:
    """One worker and its children, in a process group of their own that is stopped whenever it is not asked.

    Stopped processes cannot spin, warm or collect garbage at the others' cost; it is the same for all contenders.
    """

    def __init__(self, start: Start, log: Path) -> None:
        self.name = start.contender
        self.cores = start.settings.cores
        self.others = 0.0
        """The share of the cores that other processes took during the last order."""
        self.log = log
        # ``env`` keeps the libraries of the hub from looking for newer files: everything is in the folder.
        command = ["/usr/bin/env", "HF_HUB_OFFLINE=1", sys.executable, "-m", "bench.worker"]
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                [*command, msgspec.json.encode(start).decode()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                process_group=0,
            )
        self.orders = cast("IO[bytes]", self.process.stdin)
        self.answers = cast("IO[bytes]", self.process.stdout)
        try:
            reply = self._wait()
        except BaseException:  # also when the whole run is interrupted: nobody else knows of this process yet
            self.kill()
            raise
        self.skipped = reply.reason if isinstance(reply, Skipped) else ""
        self.ready = reply if isinstance(reply, Ready) else None
        if not self.skipped:
            self._signal(signal.SIGSTOP)

    def ask(self, order: Order, reply: type[ReplyT]) -> ReplyT:
        """Let it run, do one order and stop again. Raises Died."""
        begin, busy, used = time.monotonic(), busy_seconds(self.cores), used_seconds(self.process.pid)
        self._signal(signal.SIGCONT)
        with contextlib.suppress(BrokenPipeError):  # it died meanwhile, which the missing answer tells
            self.orders.write(msgspec.json.encode(order) + b"\n")
            self.orders.flush()
        answer = self._wait()
        self._signal(signal.SIGSTOP)
        busy, used = busy_seconds(self.cores) - busy, used_seconds(self.process.pid) - used
        self.others = max(0.0, busy - used) / (time.monotonic() - begin) / len(self.cores)
        if not isinstance(answer, reply):
            message = f"{self.name} answered {type(answer).__name__} where {reply.__name__} was wanted"
            raise Died(message)
        return answer

    def _wait(self) -> Reply:
        readable, _, _ = select.select([self.answers], [], [], PATIENCE)
        line = self.answers.readline() if readable else b""
        if not line:
            self.kill()
            what = "ended" if readable else f"did not answer in {PATIENCE:.0f} s"
            tail = " | ".join(self.log.read_text(errors="replace").strip().splitlines()[-3:])
            message = f"{self.name} {what}: {tail or 'its log is empty'}"
            raise Died(message)
        reply: Reply = msgspec.json.decode(line, type=Reply)
        return reply

    def close(self) -> None:
        """Let it end by itself, then make sure."""
        if self.process.poll() is None:
            self._signal(signal.SIGCONT)
            self.orders.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(CLOSING)
        self.kill()

    def kill(self) -> None:
        """End the whole group at once."""
        self._signal(signal.SIGKILL)
        self.process.wait()
        self.answers.close()
        with contextlib.suppress(BrokenPipeError):  # an order that nobody took is still in the pipe's buffer
            self.orders.close()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
