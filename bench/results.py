"""What a run found: raw observations, written as JSON; the report and the picture are views of it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bench.messages import Answered, Besides, Timed
from bench.plan import Cell


class BulkRun(msgspec.Struct, frozen=True):
    """One contender's bulk call in one round. ``others`` is the share of the cores that foreign processes took."""

    round: int
    workload: str
    contender: str
    timed: Timed
    others: float = 0.0

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return self.timed.tokens / self.timed.seconds


class CellRun(msgspec.Struct, frozen=True):
    """One contender's run of clients in one round. ``others`` as in a bulk call."""

    round: int
    cell: Cell
    contender: str
    answered: Answered
    others: float = 0.0

    @property
    def rate(self) -> float:
        """Texts a second."""
        return self.answered.texts / self.answered.seconds


class Accuracy(msgspec.Struct, frozen=True):
    """The worst text of a workload's bulk call against the reference's float32 vectors."""

    workload: str
    contender: str
    cosine: float
    delta: float


class Service(msgspec.Struct, frozen=True):
    """The server as a whole. ``start_seconds`` run from the spawn to the first right answer, one for each start."""

    start_seconds: list[float] = []
    resident_mb: float | None = None
    peak_mb: float | None = None
    beside: Besides | None = None


class Text(msgspec.Struct, frozen=True):
    """A workload as the tables name it."""

    name: str
    bulk: int
    tokens: int
    cut: int


class Machine(msgspec.Struct, frozen=True):
    """Where it was measured."""

    cpu: str
    flags: list[str]
    cores: tuple[int, ...]
    memory_gb: float
    system: str
    python: str
    versions: dict[str, str]


class Result(msgspec.Struct):
    """A whole run."""

    date: str
    model: str
    machine: Machine
    workloads: list[Text]
    rounds: int = 0
    notes: dict[str, str] = {}
    skipped: dict[str, str] = {}
    bulk: list[BulkRun] = []
    cells: list[CellRun] = []
    accuracy: list[Accuracy] = []
    service: Service = Service()

    def write(self, path: Path) -> None:
        """Write indented JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1))


def read(path: Path) -> Result:
    """Read what ``write`` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Result)
