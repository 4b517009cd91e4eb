"""One call's place in line and its answer in the making."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from textmill.arch.heads import Output
from textmill.engine.scheduler import Entry
from textmill.errors import TextmillError
from textmill.runtimes.runtime import Answers, Row


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a call gets.

    ``outputs`` are those that its rows want, in the call's order, owned by the caller; see `textmill.runtimes.runtime.Answers`.
    ``queue_s`` and ``inference_s`` are seconds waited and computed, means over the rows.
    """

    outputs: Answers
    queue_s: float
    inference_s: float


class Ticket(Future[Answer]):
    """The future of one call, whose rows all want the same outputs.

    Only the engine's thread fills it; it never counts as running, so it can always be cancelled. ``since`` is when it came in
    line; a ``trace`` is handed on to those who are told of its batches.
    """

    def __init__(self, rows: Sequence[Row], since: float, trace: object | None = None) -> None:
        super().__init__()
        self.trace = trace
        self.entries: list[Entry[Ticket]] = []
        self._rows = len(rows)
        self._left = len(rows)
        self.since = since
        self._outputs: dict[Output, Any] = dict.fromkeys(rows[0].outputs)
        self._queued = 0.0
        self._computed = 0.0

    def fill(self, positions: list[int], sources: list[int], made: Answers, *, began: float, seconds: float) -> None:
        """Take the answers to some of the call's rows from a batch that began then and took so long.

        ``sources`` says which rows of the batch belong at the ``positions`` of the call, which may have joined a batch that ran.
        """
        if self.done():
            return
        for output, kept in self._outputs.items():
            self._outputs[output] = self._put(kept, positions, sources, made[output])
        late = max(0.0, self.since - began)
        self._queued += len(positions) * max(0.0, began - self.since)
        self._computed += len(positions) * max(0.0, seconds - late)
        self._left -= len(positions)
        if not self._left:
            answer = Answer(self._outputs, self._queued / self._rows, self._computed / self._rows)
            with suppress(InvalidStateError):  # cancelled just now
                self.set_result(answer)

    def fail(self, error: TextmillError) -> None:
        """End the call with an error, unless it has ended already."""
        with suppress(InvalidStateError):
            self.set_exception(error)

    def _put(self, kept: Any, positions: list[int], sources: list[int], part: Any) -> Any:
        if isinstance(part, np.ndarray):
            kept = np.empty((self._rows, part.shape[1]), np.float32) if kept is None else kept
            kept[positions] = part[sources]
        else:
            kept = [None] * self._rows if kept is None else kept
            for position, source in zip(positions, sources, strict=True):
                kept[position] = part[source].copy()  # others may wait for the same row
        return kept


def deliver(entries: Sequence[Entry[Ticket]], made: Answers, *, began: float, seconds: float) -> None:
    """Hand a batch's answers, in the order of its entries, to all who wait for them: one copy a call."""
    shares: dict[Ticket, tuple[list[int], list[int]]] = {}
    for source, entry in enumerate(entries):
        for ticket, position in entry.waiters:
            share = shares.get(ticket)
            if share is None:
                share = shares[ticket] = ([], [])
            share[0].append(source)
            share[1].append(position)
    for ticket, (sources, positions) in shares.items():
        ticket.fill(positions, sources, made, began=began, seconds=seconds)
