"""The order of a run: load all, check vectors, then rounds in which every contender has its turn on every cell."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from bench.contenders import REFERENCE, Vectors
from bench.messages import Answer, Answered, Embed, Order, Settings, Start, Timed
from bench.plan import BESIDE, BESIDE_TEXTS, SINGLE, Plan
from bench.processes import Died, Process, ReplyT
from bench.progress import Progress
from bench.results import Accuracy, BulkRun, CellRun, Result, Text
from bench.workloads import MIXED, Vocabulary, Workload, make

SECONDS_A_MINUTE: Final = 60


class Driver:
    """Owns the processes; fills a Result."""

    def __init__(self, settings: Settings, plan: Plan, result: Result, progress: Progress, folder: Path) -> None:
        self.settings = settings
        self.plan = plan
        self.result = result
        self.progress = progress
        self.folder = folder
        self.processes: dict[str, Process] = {}
        self.first_texts: dict[str, str] = {}
        self.known: tuple[str, Vectors] | None = None
        """A text and its reference vector."""
        self.begin = time.monotonic()

    def make_texts(self) -> Path:
        """Make the texts and write them where the workers read them."""
        vocabulary = Vocabulary(Path(self.settings.folder))
        limit = self.settings.length_limit
        sizes = {name: (self.plan.bulk.get(name, 1), self.plan.pool(name)) for name in {*self.plan.workloads, SINGLE}}
        made = {name: make(vocabulary, name, bulk=bulk, pool=pool, limit=limit) for name, (bulk, pool) in sizes.items()}
        self.result.workloads.extend(_text(made[name]) for name in self.plan.workloads)
        made[BESIDE] = make(vocabulary, MIXED, bulk=1, pool=BESIDE_TEXTS, limit=limit, seed=100)
        self.first_texts = {name: workload.texts[0] for name, workload in made.items()}
        path = self.folder / "workloads.json"
        path.write_bytes(msgspec.json.encode(made))
        return path

    def start(self, names: list[str], workloads: Path, stack: ExitStack) -> None:
        """Start the contenders one after another; one that cannot run is noted, not fatal."""
        for name in names:
            self.progress.step(f"loading {name}")
            try:
                process = Process(Start(name, self.settings, str(workloads)), self.folder / f"{name}.log")
            except Died as error:
                self.leave_out(name, str(error))
                continue
            stack.callback(process.close)
            if process.ready is None:
                self.leave_out(name, process.skipped)
                continue
            self.processes[name] = process
            self.result.notes[name] = process.ready.note

    def leave_out(self, name: str, reason: str) -> None:
        """Go on without that contender; the report says why."""
        self.result.skipped[name] = reason
        self.processes.pop(name, None)
        self.progress.say(f"{name} is left out: {reason}")

    def ask(self, name: str, order: Order, reply: type[ReplyT]) -> ReplyT | None:
        """Ask a contender; one that dies is left out from then on."""
        if name not in self.processes:
            return None
        try:
            return self.processes[name].ask(order, reply)
        except Died as error:
            self.leave_out(name, str(error))
            return None

    def check(self) -> None:
        """Compare every contender's vectors with the reference's; this also warms everything for the rounds."""
        for workload in self.plan.workloads:
            vectors: dict[str, Vectors] = {}
            for name in sorted(self.processes, key=lambda name: name != REFERENCE):
                self.progress.step(f"vectors of {workload}: {name}")
                path = self.folder / f"{name}.npy"
                if self.ask(name, Embed(workload, str(path)), Timed):
                    vectors[name] = np.load(path)
            if REFERENCE in vectors:
                truth = vectors[REFERENCE]
                self.known = (self.first_texts[workload], truth[0])
                self.result.accuracy.extend(_compare(workload, name, found, truth) for name, found in vectors.items())

    def rounds(self) -> None:
        """Run the rounds; one that would break the time limit, judged by the first, is not begun."""
        first = time.monotonic()
        for number in range(1, self.plan.rounds + 1):
            now = time.monotonic()
            took = (now - first) / (number - 1) if number > 1 else 0.0
            if now - self.begin + took > self.plan.minutes * SECONDS_A_MINUTE:
                self.progress.say(
                    f"stopping after {number - 1} rounds: another would break {self.plan.minutes:g} minutes"
                )
                return
            self._round(number)
            self.result.rounds = number

    def steps(self) -> int:
        """How many steps the progress bar has to expect, those of ``start`` and ``check`` included."""
        a_round = len(self.plan.workloads) + len(self.plan.cells)
        before = len(self.processes) * (1 + len(self.plan.workloads)) + len(self.result.skipped)
        return before + self.plan.rounds * a_round * len(self.processes) + self.plan.starts + 1

    def _round(self, number: int) -> None:
        names = list(self.processes)
        turn = (number - 1) % max(len(names), 1)
        names = names[turn:] + names[:turn]  # nobody is always the first
        for workload in self.plan.workloads:
            for name in names:
                self.progress.step(f"round {number}, bulk of {workload}: {name}")
                if timed := self.ask(name, Embed(workload), Timed):
                    self.result.bulk.append(BulkRun(number, workload, name, timed, self.processes[name].others))
        for cell in self.plan.cells:
            label = f"round {number}, {cell.workload}, {cell.texts} texts x {cell.clients} clients"
            order = Answer(cell.workload, cell.texts, cell.clients, self.plan.seconds)
            for name in names:
                self.progress.step(f"{label}: {name}")
                if answered := self.ask(name, order, Answered):
                    self.result.cells.append(CellRun(number, cell, name, answered, self.processes[name].others))


def _text(workload: Workload) -> Text:
    return Text(workload.name, workload.bulk, sum(workload.tokens[: workload.bulk]), workload.cut)


def _compare(workload: str, name: str, found: Vectors, truth: Vectors) -> Accuracy:
    """Cosines in float64, so that float32's own rounding does not hide a difference."""
    left, right = found.astype(np.float64), truth.astype(np.float64)
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    cosines = (left * right).sum(axis=1) / norms
    return Accuracy(workload, name, float(cosines.min()), float(np.abs(left - right).max()))
