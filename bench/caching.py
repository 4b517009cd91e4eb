"""``python -m bench.caching``: what a hit of the cache costs against computing, and what a miss costs more than without one."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, Final

import textmill

MODES: Final = ("off", "memory", "memory and disk", "disk")
WORDS: Final = [
    "a",
    "cat",
    "sat",
    "on",
    "the",
    "mat",
    "while",
    "it",
    "rained",
    "and",
    "the",
    "old",
    "clock",
    "in",
    "the",
    "hall",
    "struck",
    "nine",
]


def texts(count: int, seed: int) -> list[str]:
    """Short texts of about twelve tokens, none of which comes twice."""
    return [f"{seed} {n} " + " ".join(WORDS[(n + k) % len(WORDS)] for k in range(8)) for n in range(count)]


def options(mode: str, folder: str) -> dict[str, Any]:
    """What the model of a mode is loaded with."""
    memory: dict[str, Any] = {"cache_memory": 256} if "memory" in mode else {}
    return {**memory, **({"cache_path": str(Path(folder) / mode)} if "disk" in mode else {})}


async def one_by_one(model: textmill.Model, inputs: Sequence[str]) -> tuple[float, float]:
    """Seconds and seconds of CPU a text, asked one by one."""
    began, spent = time.perf_counter(), time.process_time()
    for text in inputs:
        await model.aembed(text)
    return (time.perf_counter() - began) / len(inputs), (time.process_time() - spent) / len(inputs)


def together(model: textmill.Model, inputs: Sequence[str]) -> tuple[float, float]:
    """Seconds and seconds of CPU a text, all in one call."""
    began, spent = time.perf_counter(), time.process_time()
    model.embed(inputs)
    return (time.perf_counter() - began) / len(inputs), (time.process_time() - spent) / len(inputs)


def main() -> None:
    """Measure every mode in turns, and print medians over the rounds, in microseconds a text."""
    parser = argparse.ArgumentParser(prog="python -m bench.caching", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--texts", type=int, default=48)
    parser.add_argument("--seconds", type=float, default=15.0, help="no round begins after so many, but the first")
    given = parser.parse_args()
    seen: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with ExitStack() as opened:
        folder = opened.enter_context(tempfile.TemporaryDirectory())
        models = {
            mode: opened.enter_context(textmill.load(dtype="float32", threads=1, **options(mode, folder)))
            for mode in MODES
        }
        for model in models.values():
            model.wait_until_warm()
            model.embed(texts(64, -1))
        end = time.monotonic() + given.seconds
        for number in range(given.rounds):
            if number and time.monotonic() > end:
                print(f"{number} rounds only, after {given.seconds:.0f} s")
                break
            turn = number % len(MODES)
            for mode in (*MODES[turn:], *MODES[:turn]):
                model, alone, many = models[mode], texts(given.texts, 2 * number), texts(given.texts, 2 * number + 1)
                for what in ("miss", "hit"):
                    seen.setdefault((mode, f"{what}, one by one"), []).append(asyncio.run(one_by_one(model, alone)))
                    seen.setdefault((mode, f"{what}, together"), []).append(together(model, many))
    for what in ("miss, one by one", "miss, together", "hit, one by one", "hit, together"):
        plain = [median(each[unit] for each in seen["off", what]) for unit in (0, 1)]
        for mode in MODES:
            wall, cpu = (median(each[unit] for each in seen[mode, what]) for unit in (0, 1))
            ratios = f"{wall / plain[0]:7.3f} {cpu / plain[1]:7.3f}"
            print(f"{what:17} {mode:16} {wall * 1e6:9.0f} us {cpu * 1e6:9.0f} us of CPU, of off {ratios}")


if __name__ == "__main__":
    main()
