"""``python -m bench.dialects``: 16 clients of one short text in this process, over HTTP, traced, and on gRPC's streams."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Final

from bench.closed_loop import Load
from bench.contenders import CannotRun, Contender
from bench.contenders.textmill_http import HOST, TextmillHttp, free_port
from bench.contenders.textmill_library import TextmillLibrary
from bench.grpc_streams import TextmillGrpc
from bench.messages import Settings
from bench.processes import ROOT
from bench.progress import Progress
from bench.report import table
from textmill.cli.throughput import Workload
from textmill.config import available_threads

CLIENTS: Final = 16
TOKENS: Final = 16
TEXTS: Final = 4096
BASE: Final = "in this process"
TRACED: Final = "HTTP, a tenth traced"
WANTED: Final = {"HTTP, with metrics": 0.85, TRACED: 0.80, "gRPC streams": 0.90}
SAMPLED: Final = "0.1"
FLUSHED: Final = 6.0
"""Seconds within which the exporter has sent what it has; its usual interval is five."""


def main() -> None:
    """Measure in turns and print the ratios, each taken within a round."""
    parser = argparse.ArgumentParser(prog="python -m bench.dialects", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each has its turn (default 5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long a turn is (default 4)")
    parser.add_argument("--model", default="all-MiniLM-L6-v2")
    options = parser.parse_args()
    settings = Settings(options.model, "", None, tuple(range(available_threads())), 0)
    texts = Workload("short", TOKENS, TOKENS).texts(TEXTS, 7)
    load = Load([[text] for text in texts], CLIENTS, options.seconds)
    with Progress() as progress, ExitStack() as stack:
        sink = free_port()
        stack.enter_context(_sink(sink))
        contenders, skipped = _started(settings, sink, stack, progress)
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        progress.expect(2 + options.rounds)
        for turn in range(options.rounds + 1):  # the first warms
            progress.step(f"round {turn}: 16 clients" if turn else "warming")
            for name, contender in contenders.items():
                run = contender.answer(load)
                if turn:
                    rates[name].append(len(run.milliseconds) / run.seconds)
        if TRACED in contenders:
            time.sleep(FLUSHED)
            if not _taken(sink):
                skipped[TRACED] = "no span has come to the collector: this build does not trace"
    print(report(rates, skipped))


def report(rates: dict[str, list[float]], skipped: dict[str, str]) -> str:
    """A table of those that ran, and a sentence for each that did not."""
    rows = []
    for name, runs in rates.items():
        if name in skipped:
            continue
        share = statistics.median(run / base for run, base in zip(runs, rates[BASE], strict=True))
        wanted = WANTED.get(name)
        verdict = "" if wanted is None else f"≥ {wanted:.0%}: {'yes' if share >= wanted else 'no'}"
        rows.append([name, f"{statistics.median(runs):,.0f}", f"{share:.0%}", verdict])
    head = [f"{CLIENTS} clients, one text of {TOKENS} tokens", "texts a second", "of in-process", "wanted"]
    return "\n".join([table(head, rows), "", *(f"{name}: left out; {why}" for name, why in skipped.items())])


def _started(
    settings: Settings, sink: int, stack: ExitStack, progress: Progress
) -> tuple[dict[str, Contender], dict[str, str]]:
    traces = ("--otlp-endpoint", f"http://{HOST}:{sink}/v1/traces", "--trace-sample", SAMPLED)
    makers: dict[str, Callable[[], Contender]] = {
        BASE: lambda: TextmillLibrary(settings, "auto"),
        "HTTP, with metrics": lambda: TextmillHttp(settings),
        TRACED: lambda: TextmillHttp(settings, traces),
        "gRPC streams": lambda: TextmillGrpc(settings),
    }
    needs = {TRACED: ("opentelemetry.sdk", "otel"), "gRPC streams": ("grpc", "grpc")}
    made: dict[str, Contender] = {}
    skipped: dict[str, str] = {}
    for name, make in makers.items():
        progress.step(f"starting: {name}")
        module, extra = needs.get(name, ("textmill", ""))
        try:
            if not _installed(module):
                skipped[name] = f"pip install 'textmill[{extra}]' brings what it needs"
                continue
            made[name] = make()
        except CannotRun as error:
            skipped[name] = str(error)
        else:
            stack.callback(made[name].close)
    return made, skipped


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even its parent
        return False


@contextmanager
def _sink(port: int) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "bench.sink", str(port)], cwd=ROOT)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _taken(port: int) -> int:
    """Bytes of traces that have come."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/", timeout=10) as answer:
            return int(answer.read())
    except urllib.error.URLError:
        return 0


if __name__ == "__main__":
    main()
