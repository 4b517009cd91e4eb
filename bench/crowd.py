"""``python -m bench.crowd``: 32 clients ask one server for text; a third leaves in mid-stream, many ask what cannot be done."""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from bench.contenders.textmill_http import HOST
from bench.crowd_cases import CHAT, COMPLETE, Case, endless, right, wrong
from bench.machine import resident
from bench.progress import Progress
from bench.report import table
from bench.writing_servers import Server, textmill_server, write_models

CLIENTS: Final = 32
CONTEXT: Final = 4096
CACHE: Final = "cache_ram:0"
"""Prompts that llama.cpp keeps beside its slots, for other requests: by default up to a gibibyte, which fills for an hour."""
LEAVING, WRONG = 1 / 3, 1 / 4
PATIENCE: Final = 60.0
"""Seconds for one answer; whoever waits longer hangs."""
GROWTH: Final = 0.05
"""By how much of itself memory may grow from the middle of the run to its end: before, llama.cpp's threads fill their heaps."""
JUDGED: Final = 30.0
IDLE_S, END_S = 10.0, 5.0
SHOWN: Final = 12


@dataclass
class Seen:
    """What became of the requests."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    milliseconds: list[float] = field(default_factory=list)
    left: int = 0
    megabytes: list[tuple[float, float]] = field(default_factory=list)
    """Of the server and of llama.cpp, once a second."""
    failures: list[str] = field(default_factory=list)


def main() -> int:
    """Let them ask, look what is left behind, and print it. The exit code is 1 where something must not be."""
    parser = argparse.ArgumentParser(prog="python -m bench.crowd", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the crowd asks (default 60)")
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--each", action="store_true", help="ask each request once, alone, and say how it went")
    options = parser.parse_args()
    seen = Seen()
    with tempfile.TemporaryDirectory(prefix="textmill-crowd-") as place, Progress() as progress:
        folder = Path(place)
        models = write_models(folder / "models", layers=2, width=128, words=1000, context=CONTEXT, more=[CACHE])
        progress.step("starting the server")
        with textmill_server(models, folder / "log") as server:
            if options.each:
                asyncio.run(each(server))
            else:
                progress.step("the crowd")
                asyncio.run(crowd(server, seen, options.clients, options.seconds))
            seen.failures += [*left_behind(server), *ended(server), *said((folder / "log").read_text(errors="replace"))]
    print(report(seen, options.seconds))
    return int(bool(seen.failures))


async def crowd(server: Server, seen: Seen, clients: int, seconds: float) -> None:
    """Let so many clients ask for so long, and watch the memory."""
    end = time.monotonic() + seconds
    asking = asyncio.gather(*(_client(server, seen, seed, end) for seed in range(clients)))
    while not asking.done():
        await asyncio.wait([asking], timeout=1.0)
        if server.process.poll() is not None:
            seen.failures.append(f"the server ended with {server.process.returncode}")
            break
        seen.megabytes.append((resident(server.process.pid)[0], _memory(server.llama)))
    await asking
    if seconds >= JUDGED:
        seen.failures += grown([sum(both) for both in seen.megabytes])


async def each(server: Server) -> None:
    """Each request alone."""
    for case in (*right(), *wrong(CONTEXT)):
        begin = time.monotonic()
        try:
            status, body = await asyncio.wait_for(ask(server, case), PATIENCE)
            verdict = case.wrong(status, body) or "right"
        except (OSError, EOFError, TimeoutError) as error:
            status, body, verdict = 0, b"", f"no answer: {error!r}"
        print(f"{status} {(time.monotonic() - begin) * 1e3:6.0f} ms  {case.kind:45} {verdict[:900]}", flush=True)
        if status >= HTTPStatus.BAD_REQUEST:
            print(f"      {orjson.loads(body)['error']['message'][:300]}", flush=True)


async def _client(server: Server, seen: Seen, seed: int, end: float) -> None:
    chance = random.Random(seed)  # noqa: S311 - a repeatable mix, no secret
    good, bad = right(), wrong(CONTEXT)
    while time.monotonic() < end:
        draw = chance.random()
        if draw < LEAVING:
            await _leave(server, seen, chance)
            continue
        case = chance.choice(bad if draw < LEAVING + WRONG else good)
        begin = time.monotonic()
        try:
            status, body = await asyncio.wait_for(ask(server, case), PATIENCE)
        except (OSError, EOFError, TimeoutError) as error:
            seen.failures.append(f"{case.kind}: no answer after {time.monotonic() - begin:.0f} s: {error!r}")
            continue
        seen.answers[case.kind, status] += 1
        seen.milliseconds.append((time.monotonic() - begin) * 1e3)
        if told := case.wrong(status, body):
            seen.failures.append(told)


async def ask(server: Server, case: Case) -> tuple[int, bytes]:
    """Status and body of one request on a connection of its own."""
    reader, writer = await asyncio.open_connection(HOST, server.port)
    try:
        writer.write(case.at(server.address).replace(b"\r\nHost:", b"\r\nConnection: close\r\nHost:", 1))
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.read()
    finally:
        writer.close()
    return int(head[9:12]), _unchunked(body) if b"transfer-encoding: chunked" in head.lower() else body


async def _leave(server: Server, seen: Seen, chance: random.Random) -> None:
    """Read a few parts of a stream, or none, and go, half of the times with a reset."""
    try:
        reader, writer = await asyncio.open_connection(HOST, server.port)
        writer.write(endless(chance.choice((CHAT, COMPLETE))).at(server.address))
        for _ in range(chance.randrange(6)):
            await asyncio.wait_for(reader.read(1 << 16), PATIENCE)
    except (OSError, TimeoutError) as error:
        seen.failures.append(f"left: {error!r}")
        return
    if chance.random() < 0.5:  # noqa: PLR2004
        found = writer.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()
    seen.left += 1


def left_behind(server: Server) -> list[str]:
    """What is still at work, or gone, when nobody asks any more."""
    if not Path(f"/proc/{server.llama}").exists():
        return ["llama.cpp's process was lost"]
    end = time.monotonic() + IDLE_S
    while busy := [slot["id"] for slot in slots(server) if slot["is_processing"]]:
        if time.monotonic() > end:
            return [f"slots {busy} are at work {IDLE_S:.0f} s after the last client"]
        time.sleep(0.1)
    return []


def slots(server: Server) -> list[dict[str, Any]]:
    """llama.cpp's slots, asked on its own socket."""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(PATIENCE)
        asked.connect(f"/proc/{server.llama}/cwd/m.sock")
        asked.sendall(b"GET /slots HTTP/1.1\r\nHost: llama\r\nConnection: close\r\n\r\n")
        answer = b""
        while data := asked.recv(1 << 16):
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    found: list[dict[str, Any]] = orjson.loads(_unchunked(body) if b"chunked" in head.lower() else body)
    return found


def ended(server: Server) -> list[str]:
    """Whether SIGTERM ends an idle server at once: a permit or a lease that was not given back holds it for its whole drain."""
    begin = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    try:
        code = server.process.wait(60)
    except subprocess.TimeoutExpired:
        return ["the server does not end"]
    took = time.monotonic() - begin
    return [f"the server ended with {code} after {took:.1f} s"] if code or took > END_S else []


def said(log: str) -> list[str]:
    """Lines of the server's log that tell of errors."""
    return [line[:400] for line in log.splitlines() if "ERROR" in line or "Traceback" in line or "Exception" in line][
        :SHOWN
    ]


def grown(megabytes: Sequence[float]) -> list[str]:
    """What is wrong with the memory of a run: its last tenth against that behind its middle."""
    half, part = len(megabytes) // 2, max(1, len(megabytes) // 10)
    before, after = float(np.median(megabytes[half : half + part])), float(np.median(megabytes[-part:]))
    return [f"memory grew from {before:.0f} to {after:.0f} MB"] if after > before * (1 + GROWTH) else []


def report(seen: Seen, seconds: float) -> str:
    """What became of all requests."""
    right_ones = sum(count for (_, status), count in seen.answers.items() if status < HTTPStatus.BAD_REQUEST)
    refused = sum(seen.answers.values()) - right_ones
    rows = [
        ["answered", str(right_ones)],
        ["refused with a reason", str(refused)],
        ["left by the client", str(seen.left)],
    ]
    p50, p99, most = np.percentile(seen.milliseconds or [0.0], [50, 99, 100])
    lines = [f"## {CLIENTS} clients, {seconds:.0f} s", "", table(["requests", "count"], rows), ""]
    lines.append(f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, the longest {most:.0f} ms.")
    several = seen.megabytes[:: max(1, len(seen.megabytes) // 6)]
    lines.append(
        f"Memory, server and llama.cpp: {', '.join(f'{ours:.0f} + {llama:.0f}' for ours, llama in several)} MB."
    )
    counted = Counter(seen.failures).most_common(SHOWN)
    lines += [f"- {count} times: {failure}" for failure, count in counted] or ["Nothing is lost, wrong or left behind."]
    return "\n".join(lines)


def _memory(process: int) -> float:
    try:
        return resident(process)[0]
    except OSError:
        return 0.0


def _unchunked(body: bytes) -> bytes:
    parts = []
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        parts.append(body[:length])
        body = body[length + 2 :]
        if not length:
            break
    return b"".join(parts)


if __name__ == "__main__":
    sys.exit(main())
