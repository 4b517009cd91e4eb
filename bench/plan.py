"""What a run measures, decided before it starts."""

from __future__ import annotations

from typing import Final

import msgspec

from bench.workloads import FIXED, MEDIAN_LENGTH, NAMES

TEXTS: Final = (1, 16, 64)
CLIENTS: Final = (1, 16, 64)
BULK: Final = {"16": 1024, "128": 128, "512": 64, "mixed": 512}
"""Texts in one bulk call: about 16,000 tokens of each length, 29,000 mixed."""

SINGLE: Final = "16"
"""The workload of single short texts that the service figures use; it is always made."""

BESIDE: Final = "beside"
BESIDE_TEXTS: Final = 10_000
"""Mixed texts in the one request that runs beside single-text requests."""

IN_FLIGHT_TOKENS: Final = 20_000
"""A cell with more tokens in flight takes the slowest contender many seconds; only ``--full`` measures it."""


class Cell(msgspec.Struct, frozen=True):
    """Texts a request and clients, on one workload."""

    workload: str
    texts: int
    clients: int


class Plan(msgspec.Struct, frozen=True):
    """``seconds`` is how long a cell's clients go on asking; ``minutes`` bounds the whole run."""

    workloads: tuple[str, ...]
    bulk: dict[str, int]
    cells: tuple[Cell, ...]
    rounds: int
    seconds: float
    beside_seconds: float
    starts: int
    minutes: float

    def pool(self, workload: str) -> int:
        """How many distinct texts a workload needs, so that none is asked for twice at the same time."""
        flying = [cell.texts * cell.clients for cell in self.cells if cell.workload == workload]
        return max([2 * count for count in flying] + [self.bulk.get(workload, 0), 256])


def cells(workloads: tuple[str, ...], *, full: bool, quick: bool, limit: int) -> tuple[Cell, ...]:
    """The grid of texts a request and clients: lengths 16 and mixed, or all with ``full``, less what takes too long."""
    chosen = [name for name in workloads if full or len(workloads) < len(NAMES) or name in {SINGLE, "mixed"}]
    grid = [Cell(name, texts, clients) for name in chosen for texts in TEXTS for clients in CLIENTS]
    if full:
        return tuple(grid)
    mean = {name: min(FIXED.get(name, 1.3 * MEDIAN_LENGTH), limit) for name in chosen}
    light = [cell for cell in grid if cell.texts * cell.clients * mean[cell.workload] <= IN_FLIGHT_TOKENS]
    return tuple(cell for cell in light if not quick or (cell.texts, cell.clients) in {(1, 1), (1, 16), (16, 1)})


def plan(
    *, only: tuple[str, ...], rounds: int, full: bool, quick: bool, bulk_only: bool, minutes: float, limit: int
) -> Plan:
    """Decide from the flags. ``limit`` is how many tokens of a text the model reads."""
    workloads = tuple(name for name in NAMES if not only or name in only)
    share = 4 if quick else 1
    return Plan(
        workloads=workloads,
        bulk={name: BULK[name] // share for name in workloads},
        cells=() if bulk_only else cells(workloads, full=full, quick=quick, limit=limit),
        rounds=rounds,
        seconds=0.25 if quick else 0.5,
        beside_seconds=2.0 if quick else 6.0,
        starts=1 if quick else 3,
        minutes=minutes,
    )
