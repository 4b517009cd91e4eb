"""``python -m bench.load``: a crowd of clients, good and bad, on one server; then the same while it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import math
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from bench.contenders.textmill_http import HOST, free_port, spawn
from bench.http_client import Connection, Refused
from bench.load_cases import Cases
from bench.load_clients import Crowd, Tally
from bench.machine import resident
from bench.progress import Progress
from bench.report import table

MODEL: Final = "all-MiniLM-L6-v2"
START_SECONDS: Final = 120.0
EXIT_SECONDS: Final = 60.0
WARM_SECONDS: Final = 5.0
GROWTH: Final = 0.05
"""By how much of itself memory may grow from the second sixth of a run to its last."""
JUDGED: Final = 30.0
"""Seconds from which a run says something about memory."""


@dataclass
class Run:
    """What came of a run: what clients saw, and memory once a second in MB."""

    tally: Tally
    seconds: float
    megabytes: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def main() -> int:
    """Run both parts and print what became of all requests. The exit code is 1 where something must not be."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the crowd asks (default 60)")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--drain-seconds", type=int, default=30, help="the server's own option (default 30)")
    parser.add_argument("--model", default=MODEL)
    options = parser.parse_args()
    port = free_port()
    runs: dict[str, Run] = {}
    with Progress() as progress:
        progress.step("computing the right answers")
        cases = Cases(options.model, f"{HOST}:{port}")
        with served(options.model, port, options.drain_seconds) as (server, log):
            progress.step("warming the server")
            asyncio.run(crowd(cases, server, port, options.clients, WARM_SECONDS))
            runs["load"] = asyncio.run(crowd(cases, server, port, options.clients, options.seconds, progress))
            runs["load"].failures += [*stopped(server), *errors_in(log)]
        part = options.seconds / 4
        with served(options.model, port, options.drain_seconds) as (server, log):
            progress.step("stop: SIGTERM in the middle")
            stop = crowd(cases, server, port, options.clients, 2 * part, stop_after=part)
            runs["SIGTERM in the middle"] = asyncio.run(stop)
            runs["SIGTERM in the middle"].failures += [*stopped(server, told=True), *errors_in(log)]
    print("\n\n".join(report(name, run) for name, run in runs.items()))
    return int(any(run.failures for run in runs.values()))


@contextmanager
def served(model: str, port: int, drain: int) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A server that answers, and its log; the process ends here if it has not."""
    with tempfile.TemporaryDirectory(prefix="textmill-load-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as file:
            server = spawn(model, port, file.fileno(), ("--drain-seconds", str(drain)))
        try:
            asyncio.run(answers(server, port))
            yield server, log
        finally:
            server.kill()
            server.wait()


async def answers(server: subprocess.Popen[bytes], port: int) -> None:
    """Wait until the server is ready. Raises RuntimeError where it never is."""
    end = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < end:
        try:
            async with Connection(HOST, port) as connection:
                await connection.ask(f"GET /health/ready HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        except (OSError, Refused, EOFError):
            await asyncio.sleep(0.05)
        else:
            return
    message = "the server did not become ready"
    raise RuntimeError(message)


async def crowd(
    cases: Cases,
    server: subprocess.Popen[bytes],
    port: int,
    clients: int,
    seconds: float,
    progress: Progress | None = None,
    stop_after: float | None = None,
) -> Run:
    """Let the crowd ask, and watch the server's memory; tell it to stop after some time, where one is given."""
    people = Crowd(HOST, port, cases)
    run = Run(people.tally, seconds)
    begin = time.monotonic()
    asking = asyncio.create_task(people.run(clients, seconds))
    while not asking.done():
        await asyncio.wait([asking], timeout=1.0)
        spent = time.monotonic() - begin
        if stop_after is not None and spent >= stop_after and people.left_at == math.inf:
            people.left_at = time.monotonic()
            server.send_signal(signal.SIGTERM)
        if server.poll() is None and people.left_at == math.inf:
            run.megabytes.append(resident(server.pid)[0])
            if progress is not None and len(run.megabytes) % 5 == 0:
                progress.step(
                    f"load, {spent:.0f} of {seconds:.0f} s, {people.tally.answered} answers, {run.megabytes[-1]:.0f} MB"
                )
    await asking
    run.seconds = time.monotonic() - begin
    run.failures += [*people.tally.failures, *grown(run.megabytes)]
    return run


def grown(megabytes: Sequence[float]) -> list[str]:
    """Whether memory grows: its median in the second sixth of the run against that in the last."""
    sixth = len(megabytes) // 6
    if len(megabytes) < JUDGED:
        return []
    early, late = statistics.median(megabytes[sixth : 2 * sixth]), statistics.median(megabytes[-sixth:])
    return [f"memory grew from {early:.0f} to {late:.0f} MB"] if late > early * (1 + GROWTH) else []


def stopped(server: subprocess.Popen[bytes], *, told: bool = False) -> list[str]:
    """Stop the server, unless it was told so, and say what is wrong with how it left."""
    if server.poll() is not None and not told:
        return [f"the server ended by itself, with {server.returncode}"]
    if not told:
        server.terminate()
    try:
        code = server.wait(EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        return [f"the server did not end within {EXIT_SECONDS:.0f} s"]
    return [f"the server ended with {code}"] if code else []


def errors_in(log: Path) -> list[str]:
    """What the server complained of itself."""
    lines = log.read_text(errors="replace").splitlines()
    return [line for line in lines if " ERROR " in line or " CRITICAL " in line or line.startswith("Traceback")][:5]


def report(name: str, run: Run) -> str:
    """Tables and a verdict."""
    tally = run.tally
    rows = [[kind, str(status), f"{count:,}"] for (kind, status), count in sorted(tally.answers.items())]
    rows += [["left by the client", "", f"{tally.left:,}"]]
    rows += [["refused during the drain", "503", f"{tally.refused:,}"]] if tally.refused else []
    rows += [["lost", "", f"{len(tally.lost):,}"], ["wrong", "", f"{len(tally.wrong):,}"]]
    lines = [f"## {name}", "", table(["request", "status", "count"], rows), ""]
    p50, p99 = np.percentile(tally.milliseconds or [0.0], [50, 99])
    lines.append(
        f"{tally.answered:,} answers in {run.seconds:.0f} s, {tally.answered / run.seconds:.0f} a second; "
        f"p50 {p50:.0f} ms, p99 {p99:.0f} ms."
    )
    if run.megabytes:
        lines.append(
            f"Memory: {' '.join(f'{value:.0f}' for value in run.megabytes[:: max(1, len(run.megabytes) // 12)])} MB."
        )
    verdict = [f"- {failure}" for failure in run.failures] or ["Nothing is lost, wrong or broken."]
    return "\n".join([*lines, *verdict])


if __name__ == "__main__":
    sys.exit(main())
