"""``python -m bench.sharing``: embeddings alone, text alone, and both at once on one server: what either keeps of itself."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import uvloop

from bench.contenders.textmill_http import HOST
from bench.http_client import Connection, render
from bench.progress import Progress
from bench.report import table
from bench.writing_clients import Read, request, stream
from bench.writing_servers import NAME, SLOTS, Server, prompts, textmill_server, write_models
from textmill.cli.throughput import Workload

CLIENTS: Final = 8
SHORT: Final = 4
"""Characters of a prompt: reading one is a burst of work, and writing is what is measured."""
WANTED: Final = 0.25
ALONE_A, ALONE_B, BOTH = "embeddings alone", "text alone", "both"


@dataclass
class Seen:
    """Of the turns of one kind: rates a second, and milliseconds of single answers or between two parts."""

    embeddings: list[float] = field(default_factory=list)
    embedding_ms: list[float] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    gap_ms: list[float] = field(default_factory=list)


def main() -> None:
    """Measure in turns and print what each keeps, within a round."""
    parser = argparse.ArgumentParser(prog="python -m bench.sharing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="how long a turn is (default 4)")
    parser.add_argument("--model", default="all-MiniLM-L6-v2")
    parser.add_argument("--flag", action="append", default=[], help="another flag of the server, as --flag=--threads=1")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="textmill-sharing-") as place, Progress() as progress, ExitStack() as stack:
        folder = Path(place)
        progress.step("writing the model and starting the server")
        models = write_models(folder / "models")
        server = stack.enter_context(textmill_server(models, folder / "log", options.flag, [options.model]))
        embeds = [render(options.model, [text], server.address) for text in Workload("short", 16, 64).texts(2048, 7)]
        seen = {name: Seen() for name in (ALONE_A, ALONE_B, BOTH)}
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            for turn in range(options.rounds + 1):  # the first warms
                progress.step(f"turns: round {turn}")
                for name in (ALONE_A, ALONE_B, BOTH) if turn % 2 else (BOTH, ALONE_B, ALONE_A):
                    into = seen[name] if turn else Seen()
                    runner.run(_turn(server, embeds, options.seconds, into, name))
    print(report(seen))


async def _turn(server: Server, embeds: Sequence[bytes], seconds: float, seen: Seen, name: str) -> None:
    end = time.perf_counter() + seconds
    before = len(seen.embedding_ms)
    async with asyncio.TaskGroup() as group:
        for client in range(CLIENTS if name != ALONE_B else 0):
            group.create_task(_embeds(server, embeds[client::CLIENTS], end, seen))
        writers = [group.create_task(_writes(server, client, end)) for client in range(SLOTS if name != ALONE_A else 0)]
    read = [each for writer in writers for each in writer.result()]
    if name != ALONE_B:
        seen.embeddings.append((len(seen.embedding_ms) - before) / seconds)
    if name != ALONE_A:
        seen.tokens.append(sum(told_until(each, end) for each in read) / seconds)
        seen.first_ms += [each.to_first_ms for each in read if each.first]
        seen.gap_ms += [gap for each in read for gap in each.gaps_ms]


async def _embeds(server: Server, requests: Sequence[bytes], end: float, seen: Seen) -> None:
    async with Connection(HOST, server.port) as connection:
        number = 0
        while (begin := time.perf_counter()) < end:
            await connection.ask(requests[number % len(requests)])
            seen.embedding_ms.append((time.perf_counter() - begin) * 1e3)
            number += 1


async def _writes(server: Server, client: int, end: float) -> list[Read]:
    """Streams that are left when the time is over."""
    read = []
    for text in prompts(1000, client, SHORT):
        left = end - time.perf_counter()
        if left <= 0:
            break
        read.append(await stream(HOST, server.port, request(server.address, NAME, text, 128), left))
    return read


def told_until(read: Read, end: float) -> int:
    """Events with text until a time: each has a token."""
    parts = (part for part, at in zip(read.parts, read.times, strict=True) if at <= end)
    return b"".join(parts).count(b'"finish_reason":null')


def report(seen: dict[str, Seen]) -> str:
    """A table, and what each keeps."""
    rows = []
    for name, each in seen.items():
        embeds = (
            [f"{statistics.median(each.embeddings):.0f}", *_tails(each.embedding_ms)] if each.embeddings else [""] * 3
        )
        writes = [f"{statistics.median(each.tokens):.0f}", *_tails(each.gap_ms)] if each.tokens else [""] * 3
        rows.append([name, *embeds, *writes])
    head = ["turn", "embeddings/s", "p50 ms", "p99 ms", "tokens/s", "gap p50 ms", "gap p99 ms"]
    lines = [table(head, rows), ""]
    for what, alone, both in (
        ("Embeddings keep", seen[ALONE_A].embeddings, seen[BOTH].embeddings),
        ("Text keeps", seen[ALONE_B].tokens, seen[BOTH].tokens),
    ):
        kept = [mine / theirs for mine, theirs in zip(both, alone, strict=True)]
        share = statistics.median(kept)
        met = "met" if share >= WANTED else "missed"
        lines.append(
            f"{what} {share:.0%} (rounds {min(kept):.0%} to {max(kept):.0%}); the goal of {WANTED:.0%} is {met}."
        )
    return "\n".join(lines)


def _tails(milliseconds: Sequence[float]) -> list[str]:
    return [f"{value:.1f}" for value in np.percentile(milliseconds, [50, 99])]


if __name__ == "__main__":
    main()
