"""textmill's server in a process of its own, asked over HTTP; client and server share the cores."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final

import numpy as np
import orjson

from bench import wrk
from bench.closed_loop import Load, Run
from bench.contenders import CannotRun, Vectors, library
from bench.http_client import Connection, Refused, drive, render
from bench.machine import settle
from bench.messages import Besides, Settings

HOST: Final = "127.0.0.1"
START_SECONDS: Final = 120.0


def free_port() -> int:
    """A port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def spawn(model: str, port: int, log: int = 2, flags: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """Start the server as a user would, with more ``flags``; what it prints goes to the file descriptor ``log``."""
    command = [sys.executable, "-m", "textmill", "serve", model, "--host", HOST, "--port", str(port), *flags]
    return subprocess.Popen(command, stdout=log, stderr=log)


class TextmillHttp:
    """A server and a client that renders its requests before the clock starts."""

    def __init__(self, settings: Settings, flags: Sequence[str] = ()) -> None:
        library("textmill")
        self.runner = asyncio.Runner(loop_factory=library("uvloop").new_event_loop)
        self.model = settings.model
        self.port = free_port()
        self.server = spawn(settings.model, self.port, flags=flags)
        self._wait()
        settle(os.getpgrp(), START_SECONDS)  # there is no route that tells when all shapes are warm
        self.note = f"client: {'wrk for single texts, else asyncio' if wrk.available() else 'asyncio streams'}"

    def _wait(self) -> None:
        """Wait until the server answers."""
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                self.embed(["hello"])
            except (OSError, Refused, asyncio.IncompleteReadError) as error:
                if self.server.poll() is not None or time.monotonic() > end:
                    message = f"`textmill serve {self.model}` did not answer: {error}"
                    raise CannotRun(message) from error
                time.sleep(0.05)
            else:
                return

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed all texts in one request; parsing the JSON answer is part of it."""

        async def ask() -> bytes:
            async with Connection(HOST, self.port) as connection:
                return await connection.ask(render(self.model, texts, f"{HOST}:{self.port}"))

        data = orjson.loads(self.runner.run(ask()))["data"]
        return np.array([row["embedding"] for row in data], dtype=np.float32)

    def answer(self, load: Load) -> Run:
        """Each client has a kept-alive connection."""
        requests = [render(self.model, texts, f"{HOST}:{self.port}") for texts in load.requests]
        if wrk.available() and len(load.requests[0]) == 1:
            return wrk.drive(HOST, self.port, requests, load)
        return self.runner.run(drive(HOST, self.port, requests, load))

    def beside(self, bulk: Sequence[str], single: Sequence[str], seconds: float) -> Besides:
        """Latency of one client's single-text requests, alone and while one request of all bulk texts is computed."""
        address = f"{HOST}:{self.port}"
        load = Load([[text] for text in single], 1, seconds)
        requests = [render(self.model, [text], address) for text in single]

        async def measure() -> tuple[Run, Run, int]:
            async with Connection(HOST, self.port) as connection:
                info = orjson.loads(await connection.ask(f"GET /info HTTP/1.1\r\nHost: {address}\r\n\r\n".encode()))
            alone = await drive(HOST, self.port, requests, load)
            async with Connection(HOST, self.port) as connection:
                heavy = asyncio.create_task(connection.ask(render(self.model, bulk, address)))
                await asyncio.sleep(min(1.0, seconds / 2))
                if heavy.done():  # refused, or far faster than expected
                    heavy.result()
                both = await drive(HOST, self.port, requests, load)
                if heavy.done():
                    heavy.result()
                heavy.cancel()
                await asyncio.gather(heavy, return_exceptions=True)
            return alone, both, int(info.get("max_batch_tokens") or 0)

        try:
            alone, both, budget = self.runner.run(measure())
        except Refused as error:
            return Besides(reason=str(error))
        p50, p99 = np.percentile(alone.milliseconds, [50, 99])
        beside50, beside99 = np.percentile(both.milliseconds, [50, 99])
        return Besides(float(p50), float(p99), float(beside50), float(beside99), len(both.milliseconds), budget)

    def close(self) -> None:
        """Stop the server as a service manager would."""
        self.server.terminate()
        try:
            self.server.wait(20)
        except subprocess.TimeoutExpired:
            self.server.kill()
        self.runner.close()


def load(settings: Settings) -> TextmillHttp:
    """Start the server and wait for its first answer."""
    return TextmillHttp(settings)
