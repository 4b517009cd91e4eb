"""The server as a whole: how soon it answers, what it holds in memory, how a bulk request beside others is felt."""

from __future__ import annotations

import asyncio
import subprocess
import time
from typing import Final

import numpy as np
import orjson

from bench.contenders import Vectors
from bench.contenders.textmill_http import HOST, free_port, spawn
from bench.driver import Driver
from bench.http_client import Connection, Refused, render
from bench.machine import resident
from bench.messages import Beside, Besides
from bench.plan import BESIDE, SINGLE
from bench.results import Service

SERVER: Final = "textmill-http"
PATIENCE: Final = 60.0
STOP_SECONDS: Final = 20.0
SAME: Final = 0.999
"""Cosine with the reference from which an answer counts as right."""


def measure(driver: Driver) -> Service:
    """Measure the loaded server, then fresh starts. Nothing where the server could not run."""
    process = driver.processes.get(SERVER)
    if process is None or process.ready is None or process.ready.server is None:
        return Service()
    driver.progress.step("service: single texts beside a bulk request")
    beside = driver.ask(SERVER, Beside(SINGLE, BESIDE, driver.plan.beside_seconds), Besides)
    if beside is None:
        return Service()
    now, peak = resident(process.ready.server)
    starts = []
    if driver.known is not None:
        for number in range(driver.plan.starts):
            driver.progress.step(f"service: start {number + 1}")
            try:
                starts.append(first_answer(driver.settings.model, *driver.known))
            except (RuntimeError, Refused, asyncio.IncompleteReadError) as error:
                driver.leave_out(SERVER, f"a fresh start failed: {error}")
                break
    return Service(starts, now, peak, beside)


def first_answer(model: str, text: str, truth: Vectors) -> float:
    """Seconds from starting ``textmill serve`` to its first right answer. Raises RuntimeError where none comes."""
    port = free_port()
    begin = time.perf_counter()
    server = spawn(model, port, subprocess.DEVNULL)
    try:
        body = asyncio.run(_ask(model, text, port, server))
        seconds = time.perf_counter() - begin
    finally:
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
    vector = np.array(orjson.loads(body)["data"][0]["embedding"])
    if vector @ truth < SAME:
        message = (
            f"The first answer of `textmill serve {model}` is wrong: cosine {vector @ truth:.4f} with the reference."
        )
        raise RuntimeError(message)
    return seconds


async def _ask(model: str, text: str, port: int, server: subprocess.Popen[bytes]) -> bytes:
    """Knock every few milliseconds until the door opens."""
    request = render(model, [text], f"{HOST}:{port}")
    end = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < end:
        try:
            async with Connection(HOST, port) as connection:
                return await connection.ask(request)
        except OSError:
            await asyncio.sleep(0.005)
    message = f"`textmill serve {model}` did not open its port."
    raise RuntimeError(message)
