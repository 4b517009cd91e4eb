"""``python -m bench.generation``: 8 streams through textmill and through llama.cpp's own server, in turns, on the same settings."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import uvloop

from bench.contenders.textmill_http import HOST
from bench.machine import used_seconds_of
from bench.progress import Progress
from bench.report import table
from bench.writing_clients import crowd, request, stream
from bench.writing_servers import NAME, SLOTS, Server, own_server, prompts, textmill_server, write_models

PREFIX: Final = 1000
WANTED: Final = 0.95
WANTED_MS: Final = 5.0
SHORT: Final = 4
"""Characters of a prompt that is read in next to no time, so that the way is what counts."""
FEW: Final = 4
"""Tokens of requests whose beginning is what counts."""


@dataclass
class Seen:
    """What was seen of a server: by round, and of single requests."""

    rates: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    used: list[float] = field(default_factory=list)
    """CPU seconds of the server's own process for a thousand tokens; of textmill without llama.cpp's."""
    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    cached: list[int] = field(default_factory=list)


def main() -> None:
    """Measure in turns and print ratios, each taken within a round."""
    parser = argparse.ArgumentParser(prog="python -m bench.generation", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="how often each has its turn (default 7)")
    parser.add_argument("--tokens", type=int, default=128, help="tokens of a stream (default 128)")
    parser.add_argument("--requests", type=int, default=1, help="streams of a client in a turn (default 1)")
    parser.add_argument("--pairs", type=int, default=40, help="single requests of each (default 40)")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="textmill-generation-") as place,
        Progress() as progress,
        ExitStack() as stack,
    ):
        folder = Path(place)
        progress.step("writing the model")
        models = write_models(folder / "models")
        progress.step("starting both servers")
        servers = (
            stack.enter_context(own_server(models, folder / "own.log")),
            stack.enter_context(textmill_server(models, folder / "textmill.log")),
        )
        seen = {server.name: Seen() for server in servers}
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            for turn in range(options.rounds + 1):  # the first warms
                progress.step(f"{SLOTS} streams: round {turn}" if turn else "warming")
                for server in servers if turn % 2 else servers[::-1]:
                    runner.run(_round(server, seen[server.name], turn, options))
            for pair in range(options.pairs):
                progress.step(f"one stream: pair {pair}")
                for server in servers if pair % 2 else servers[::-1]:
                    runner.run(_single(server, seen[server.name], pair))
            for pair in range(max(3, options.pairs // 5)):
                progress.step(f"one prefix twice: pair {pair}")
                for server in servers:
                    runner.run(_prefix(server, seen[server.name], pair))
    print(report(seen))


async def _round(server: Server, seen: Seen, turn: int, options: argparse.Namespace) -> None:
    texts = prompts(SLOTS * options.requests, turn)
    sent = [request(server.address, NAME, text, options.tokens) for text in texts]
    used = used_seconds_of(server.process.pid)
    seconds, read = await crowd(HOST, server.port, [sent[client::SLOTS] for client in range(SLOTS)])
    tokens = sum(each.usage["completion_tokens"] for each in read)
    if tokens != options.tokens * len(texts):
        message = f"{server.name} wrote {tokens} tokens in place of {options.tokens * len(texts)}"
        raise RuntimeError(message)
    if turn:
        seen.used.append((used_seconds_of(server.process.pid) - used) / tokens * 1e3)
        seen.rates.append(tokens / seconds)
        seen.firsts += [each.to_first_ms for each in read]
        seen.gaps += [gap for each in read for gap in each.gaps_ms]


async def _single(server: Server, seen: Seen, pair: int) -> None:
    [text] = prompts(1, 10_000 + pair, SHORT)
    read = await stream(HOST, server.port, request(server.address, NAME, text, FEW))
    _ = read.usage  # which a stream without an end has not
    seen.alone.append(read.to_first_ms)


async def _prefix(server: Server, seen: Seen, pair: int) -> None:
    [prefix] = prompts(1, 20_000 + pair, PREFIX)
    for ending, times in ((" and this?", seen.cold), (" or that?", seen.warm)):
        read = await stream(HOST, server.port, request(server.address, NAME, prefix + ending, FEW))
        usage = read.usage
        times.append(read.to_first_ms)
    seen.cached.append(usage["prompt_tokens_details"]["cached_tokens"])


def report(seen: dict[str, Seen]) -> str:
    """Tables of both, and what the goals come to."""
    rows = [
        [
            name,
            f"{statistics.median(each.rates):.0f}",
            *(f"{value:.1f}" for value in np.percentile(each.firsts, [50, 99])),
            *(f"{value:.1f}" for value in np.percentile(each.gaps, [50, 99])),
            f"{statistics.median(each.used):.2f}",
        ]
        for name, each in seen.items()
    ]
    own, ours = seen.values()
    ratios = [mine / theirs for mine, theirs in zip(ours.rates, own.rates, strict=True)]
    added = [mine - theirs for mine, theirs in zip(ours.alone, own.alone, strict=True)]
    head = ["server", "tokens/s", "first p50 ms", "p99", "gap p50 ms", "p99", "CPU ms a token"]
    ratio, more = statistics.median(ratios), statistics.median(added)
    return "\n".join(
        [
            f"## {SLOTS} streams",
            "",
            table(head, rows),
            "",
            f"textmill writes {ratio:.1%} of llama.cpp's own server (rounds {_span(ratios, '.1%')}); the goal of {WANTED:.0%} is "
            + ("met." if ratio >= WANTED else "missed."),
            "",
            "## One stream",
            "",
            table(
                ["server", "first p50 ms", "p99"],
                [[name, *(f"{v:.2f}" for v in np.percentile(each.alone, [50, 99]))] for name, each in seen.items()],
            ),
            "",
            f"textmill adds {more:.2f} ms (quartiles {_quartiles(added)}); the goal of {WANTED_MS:.0f} ms is "
            + ("met." if more <= WANTED_MS else "missed."),
            "",
            f"## A prefix of {PREFIX} tokens, twice",
            "",
            table(
                ["server", "first time ms", "second time ms", "cached tokens"],
                [
                    [name, f"{statistics.median(e.cold):.1f}", f"{statistics.median(e.warm):.1f}", f"{min(e.cached)}"]
                    for name, e in seen.items()
                ],
            ),
        ]
    )


def _span(values: Sequence[float], form: str) -> str:
    return f"{min(values):{form}} to {max(values):{form}}"


def _quartiles(values: Sequence[float]) -> str:
    low, high = np.percentile(values, [25, 75])
    return f"{low:.2f} to {high:.2f}"


if __name__ == "__main__":
    main()
