"""``python -m bench.many``: twenty models under a memory limit that five fit in, asked at random; then fifty times in and out."""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import numpy as np

from bench.contenders.textmill_http import HOST, START_SECONDS, free_port
from bench.machine import resident
from bench.progress import Progress
from bench.report import table

TEXTS: Final = tuple(f"text number {index} of some" for index in range(50))
FIT: Final = 5
SPARE_MB: Final = 24
"""What batches and clients may take beside five models."""
TOLERANCE: Final = 1e-3
LOOK_SECONDS: Final = 0.02


@dataclass
class Seen:
    """What clients and the process table saw."""

    answers: int = 0
    wrong: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    most_mb: float = 0.0


def main() -> int:
    """Run both parts. The exit code is 1 where an answer was wrong or missing, or the limit was passed."""
    parser = argparse.ArgumentParser(prog="python -m bench.many", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the clients ask (default 60)")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument(
        "--cycles", type=int, default=50, help="how often one model is loaded and unloaded (default 50)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, Progress() as progress:
        folder = Path(place, "models")
        progress.step("making models, and their right answers")
        right = made(folder, options.models)
        with served(folder) as (url, process):
            asyncio.run(each(url, list(right)[:FIT]))
            limit = math.ceil(resident(process)[0]) + SPARE_MB
        progress.step(f"{options.clients} clients, limit {limit} MB")
        with served(folder, "--memory-limit", str(limit)) as (url, process):
            seen = asyncio.run(crowd(url, process, right, options.clients, options.seconds))
        progress.step("in and out")
        with served(folder, "--max-loaded-models", "1") as (url, process):
            cycles = asyncio.run(in_and_out(url, process, list(right)[:2], options.cycles))
    rows = [
        ("answers", str(seen.answers)),
        ("wrong", str(seen.wrong)),
        ("failed", str(sum(seen.failures.values()))),
        ("memory at most", f"{seen.most_mb:.0f} MB of {limit} MB"),
        (
            f"memory with one of two models, after 1 and after {options.cycles} rounds",
            "{:.0f} and {:.0f} MB".format(*cycles),
        ),
    ]
    print(table(("", ""), rows))
    for what, times in seen.failures.most_common(5):
        print(f"{times} x {what}")
    return int(bool(seen.wrong or seen.failures or seen.most_mb > limit))


def made(folder: Path, count: int) -> dict[str, tuple[np.ndarray, str]]:
    """Models from seeds, and for each the right vectors of all texts and its fingerprint."""
    import textmill  # noqa: PLC0415 - the bench's group has it
    from textmill.testing.checkpoints import tiny_bert  # noqa: PLC0415

    found = {}
    for seed in range(count):
        path = tiny_bert(folder / f"model-{seed:02}", seed=seed, hidden=256, layers=4)
        with textmill.load(str(path)) as model:
            found[path.name] = (model.embed(TEXTS), model.info.fingerprint)
    return found


@contextmanager
def served(folder: Path, *flags: str) -> Iterator[tuple[str, int]]:
    """A server of the models folder, once it answers."""
    port = free_port()
    command = [sys.executable, "-m", "textmill", "serve", "--models-path", str(folder), "--port", str(port), *flags]
    with subprocess.Popen([*command, "--log-level", "error"], stdout=subprocess.DEVNULL) as server:
        try:
            end = time.monotonic() + START_SECONDS
            while True:
                try:
                    httpx.get(f"http://{HOST}:{port}/health").raise_for_status()
                    break
                except httpx.HTTPError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.1)
            yield f"http://{HOST}:{port}", server.pid
        finally:
            server.terminate()


async def each(url: str, names: Sequence[str]) -> None:
    """Ask each of the models once."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        for name in names:
            (await client.post("/v1/embeddings", json={"input": "a", "model": name})).raise_for_status()


async def crowd(
    url: str, process: int, right: Mapping[str, tuple[np.ndarray, str]], clients: int, seconds: float
) -> Seen:
    """Ask models at random from many clients, and look at the server's memory meanwhile."""
    seen, end = Seen(), time.monotonic() + seconds

    async def look() -> None:
        while True:
            seen.most_mb = max(seen.most_mb, resident(process)[0])
            await asyncio.sleep(LOOK_SECONDS)

    async def ask(seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311 - no secret
        async with httpx.AsyncClient(base_url=url, timeout=120) as client:
            while time.monotonic() < end:
                name, index = dice.choice(list(right)), dice.randrange(len(TEXTS))
                answer = await client.post("/v1/embeddings", json={"input": TEXTS[index], "model": name})
                if answer.status_code != httpx.codes.OK:
                    seen.failures[answer.text[:200]] += 1
                    continue
                vectors, fingerprint = right[name]
                far = np.abs(np.array(answer.json()["data"][0]["embedding"]) - vectors[index]).max() > TOLERANCE
                seen.wrong += bool(far or answer.headers["x-model-fingerprint"] != fingerprint)
                seen.answers += 1

    looking = asyncio.create_task(look())
    await asyncio.gather(*(ask(seed) for seed in range(clients)))
    looking.cancel()
    return seen


async def in_and_out(url: str, process: int, names: Sequence[str], cycles: int) -> tuple[float, float]:
    """Memory after the first and after the last of many rounds in which models displace each other."""
    await each(url, names)
    first = resident(process)[0]
    for _ in range(cycles - 1):
        await each(url, names)
    return first, resident(process)[0]


if __name__ == "__main__":
    sys.exit(main())
