"""A contender's process: loads once, then does what each line on standard input asks and answers with one line.

The driver stops the whole process group between orders, so that a waiting contender costs the others nothing.
"""

from __future__ import annotations

import os
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np

from bench.closed_loop import Load, Run
from bench.contenders import CannotRun, Contender, load
from bench.messages import Answer, Answered, Beside, Besides, Embed, Order, Ready, Reply, Skipped, Start, Timed
from bench.workloads import Workload


def private_output() -> BinaryIO:
    """Keep standard output for answers and send whatever libraries print to standard error."""
    kept = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return kept


class Worker:
    """A loaded contender and the texts."""

    def __init__(self, contender: Contender, workloads: dict[str, Workload], cores: int) -> None:
        self.contender = contender
        self.workloads = workloads
        self.cores = cores

    def handle(self, order: Order) -> Reply:
        """Do what the order says."""
        match order:
            case Embed():
                return self._embed(order)
            case Answer():
                return self._answer(order)
            case Beside():
                return self._beside(order)

    def _embed(self, order: Embed) -> Timed:
        workload = self.workloads[order.workload]
        texts = workload.texts[: workload.bulk]
        begin = time.perf_counter()
        vectors = self.contender.embed(texts)
        seconds = time.perf_counter() - begin
        if order.save is not None:
            np.save(order.save, vectors)
        return Timed(seconds, len(texts), sum(workload.tokens[: workload.bulk]))

    def _answer(self, order: Answer) -> Answered:
        workload = self.workloads[order.workload]
        starts = range(0, len(workload.texts) - order.texts + 1, order.texts)
        requests = [workload.texts[start : start + order.texts] for start in starts]
        costs = [sum(workload.tokens[start : start + order.texts]) for start in starts]
        run = self.contender.answer(Load(requests, order.clients, order.seconds))
        return self._figures(run, order.texts, costs)

    def _figures(self, run: Run, texts: int, costs: list[int]) -> Answered:
        count = len(run.milliseconds)
        rounds, rest = divmod(count, len(costs))
        tokens = rounds * sum(costs) + sum(islice(costs, rest))
        p50, p99 = np.percentile(run.milliseconds, [50, 99])
        share = None if run.client_seconds is None else run.client_seconds / run.seconds / self.cores
        return Answered(run.seconds, count, count * texts, tokens, float(p50), float(p99), run.client, share)

    def _beside(self, order: Beside) -> Besides:
        contender: Any = self.contender  # only the HTTP contender is asked this
        single, bulk = self.workloads[order.single].texts, self.workloads[order.bulk].texts
        besides: Besides = contender.beside(bulk, single, order.seconds)
        return besides


def main() -> None:
    """Load the contender that the argument names and serve orders until standard input ends."""
    output = private_output()
    start = msgspec.json.decode(sys.argv[1], type=Start)
    os.sched_setaffinity(0, start.settings.cores)

    def say(reply: Reply) -> None:
        output.write(msgspec.json.encode(reply) + b"\n")

    begin = time.perf_counter()
    try:
        contender = load(start.contender, start.settings)
    except CannotRun as reason:
        say(Skipped(str(reason)))
        return
    workloads = msgspec.json.decode(Path(start.workloads).read_bytes(), type=dict[str, Workload])
    worker = Worker(contender, workloads, len(start.settings.cores))
    server = getattr(contender, "server", None)
    say(Ready(time.perf_counter() - begin, contender.note, server.pid if server else None))
    for line in sys.stdin.buffer:
        say(worker.handle(msgspec.json.decode(line, type=Order)))
    contender.close()


if __name__ == "__main__":
    main()
