"""From observations to figures: medians over rounds, and ratios within rounds, since the machine's speed drifts between them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import msgspec

from bench.contenders import CONTENDERS
from bench.plan import Cell
from bench.results import BulkRun, CellRun, Result


class Spread(msgspec.Struct, frozen=True):
    """A median with the smallest and the largest value."""

    median: float
    low: float
    high: float

    def ratio(self) -> str:
        """As a factor: ``6.9 (6.7-7.1)``, the range only where there is one."""
        span = f" ({self.low:.1f}-{self.high:.1f})" if self.low < self.high else ""
        return f"{self.median:.1f}{span}"


def spread(values: Sequence[float]) -> Spread | None:
    """None where there are no values."""
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def bulk_runs(result: Result, workload: str, contender: str) -> dict[int, BulkRun]:
    """A contender's bulk calls by round."""
    return {run.round: run for run in result.bulk if (run.workload, run.contender) == (workload, contender)}


def cell_runs(result: Result, cell: Cell, contender: str) -> dict[int, CellRun]:
    """A contender's runs of a cell by round."""
    return {run.round: run for run in result.cells if (run.cell, run.contender) == (cell, contender)}


def ratio(
    over: dict[int, BulkRun] | dict[int, CellRun], under: dict[int, BulkRun] | dict[int, CellRun]
) -> Spread | None:
    """How many times faster ``over`` is, paired by round."""
    return spread([over[number].rate / under[number].rate for number in over.keys() & under.keys()])


def rate(runs: dict[int, BulkRun] | dict[int, CellRun]) -> float:
    """Median rate, not a number where there are no runs."""
    return statistics.median(run.rate for run in runs.values()) if runs else math.nan


def p50(runs: dict[int, CellRun]) -> float:
    """Median over rounds of the median latency in milliseconds."""
    return statistics.median(run.answered.p50_ms for run in runs.values()) if runs else math.nan


def p99(runs: dict[int, CellRun]) -> float:
    """Median over rounds of the 99th percentile in milliseconds."""
    return statistics.median(run.answered.p99_ms for run in runs.values()) if runs else math.nan


def grid(result: Result) -> list[Cell]:
    """The cells that were measured, in order."""
    return list(dict.fromkeys(run.cell for run in result.cells))


def contenders(result: Result) -> list[str]:
    """The contenders that ran, in the order of the tables."""
    return [name for name in CONTENDERS if name in result.notes]
