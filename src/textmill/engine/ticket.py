"""One call's place in line and its answer in the making."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from textmill.engine.scheduler import Entry
from textmill.errors import TextmillError


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a call gets.

    ``vectors`` is float32 of shape (rows, dimensions) in the call's order, owned by the caller. ``queue_s`` and
    ``inference_s`` are seconds waited and computed, means over the rows.
    """

    vectors: npt.NDArray[np.float32]
    queue_s: float
    inference_s: float


class Ticket(Future[Answer]):
    """The future of one call. Only the engine's thread fills it; it never counts as running, so it can always be cancelled."""

    def __init__(self, rows: int, since: float) -> None:
        super().__init__()
        self.entries: list[Entry[Ticket]] = []
        self._rows = rows
        self._left = rows
        self._since = since
        self._vectors: npt.NDArray[np.float32] | None = None
        self._queued = 0.0
        self._computed = 0.0

    def fill(self, positions: list[int], vectors: npt.NDArray[np.float32], *, began: float, seconds: float) -> None:
        """Take the vectors of some of the call's rows, computed in a batch that began then and took so long."""
        if self.done():
            return
        if self._vectors is None:
            self._vectors = np.empty((self._rows, vectors.shape[1]), np.float32)
        self._vectors[positions] = vectors
        self._queued += len(positions) * (began - self._since)
        self._computed += len(positions) * seconds
        self._left -= len(positions)
        if not self._left:
            answer = Answer(self._vectors, self._queued / self._rows, self._computed / self._rows)
            with suppress(InvalidStateError):  # cancelled just now
                self.set_result(answer)

    def fail(self, error: TextmillError) -> None:
        """End the call with an error, unless it has ended already."""
        with suppress(InvalidStateError):
            self.set_exception(error)


def deliver(
    entries: Sequence[Entry[Ticket]], vectors: npt.NDArray[np.float32], *, began: float, seconds: float
) -> None:
    """Hand a batch's vectors, in the order of its entries, to all who wait for them: one copy a call."""
    shares: dict[Ticket, tuple[list[int], list[int]]] = {}
    for source, entry in enumerate(entries):
        for ticket, position in entry.waiters:
            share = shares.get(ticket)
            if share is None:
                share = shares[ticket] = ([], [])
            share[0].append(source)
            share[1].append(position)
    for ticket, (sources, positions) in shares.items():
        ticket.fill(positions, vectors[sources], began=began, seconds=seconds)
