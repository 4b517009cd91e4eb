"""Runs a batch on the runtime and keeps a failure to the rows that caused it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from textmill.engine.scheduler import Entry
from textmill.engine.ticket import Ticket
from textmill.errors import ForwardFailed
from textmill.runtimes.runtime import Runtime


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """Rows that got no vector, and why."""

    entries: list[Entry[Ticket]]
    message: str
    cause: Exception | None = None

    def tell(self) -> None:
        """Fail every call that waits for one of the rows, each with an error object of its own."""
        for entry in self.entries:
            for ticket, _ in entry.waiters:
                error = ForwardFailed(self.message)
                error.__cause__ = self.cause
                ticket.fail(error)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of a batch: entries with their vectors, and failures. Together they are the batch."""

    done: list[tuple[list[Entry[Ticket]], npt.NDArray[np.float32]]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


class Execution:
    """Calls the runtime and believes none of its answers unseen.

    When a batch fails, its halves are tried again, and their halves, so that only rows that fail on their own do fail, and
    a batch too large for the device's memory still runs. That is at most 2 * rows - 1 calls, and for one bad row about
    twice the work of the batch. An answer of the wrong shape or kind is a fault of the runtime and fails the batch at once.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._forward = runtime.forward
        self._dimensions: int | None = None

    def run(self, batch: list[Entry[Ticket]]) -> Outcome:
        """Compute the batch. Raises nothing that is an Exception of the runtime's."""
        outcome = Outcome()
        pieces = [batch]
        while pieces:
            piece = pieces.pop()
            try:
                vectors = self._forward([entry.row for entry in piece])
            except Exception as error:  # noqa: BLE001 - a runtime may raise anything, and its callers get it
                if len(piece) == 1:
                    outcome.failures.append(Failure(piece, _message(piece[0], error), error))
                else:
                    middle = len(piece) // 2
                    pieces += (piece[middle:], piece[:middle])
            else:
                self._judge(piece, vectors, outcome)
        return outcome

    def _judge(self, piece: list[Entry[Ticket]], vectors: npt.NDArray[np.float32], outcome: Outcome) -> None:
        if wrong := self._wrong(vectors, len(piece)):
            outcome.failures.append(Failure(piece, wrong))
            return
        self._dimensions = vectors.shape[1]
        finite = np.isfinite(vectors)
        if finite.all():
            outcome.done.append((piece, vectors))
            return
        good = [bool(row.all()) for row in finite]
        kept = [entry for entry, is_good in zip(piece, good, strict=True) if is_good]
        lost = [entry for entry, is_good in zip(piece, good, strict=True) if not is_good]
        if kept:
            outcome.done.append((kept, vectors[good]))
        message = (
            "the runtime gave a vector with NaN or infinity for this input; try dtype float32, or report the model"
        )
        outcome.failures.append(Failure(lost, message))

    def _wrong(self, vectors: npt.NDArray[np.float32], rows: int) -> str | None:
        dimensions = "dimensions" if self._dimensions is None else self._dimensions
        wanted = f"the runtime must answer float32 of shape ({rows}, {dimensions})"
        if not isinstance(vectors, np.ndarray):
            return f"{wanted}, but answered a {type(vectors).__name__}; report this as a bug"
        shape = vectors.shape
        columns = self._dimensions or (shape[-1] if shape else 0)
        if vectors.dtype == np.float32 and shape == (rows, columns):
            return None
        return f"{wanted}, but answered {vectors.dtype} of shape {shape}; report this as a bug"


def _message(entry: Entry[Ticket], error: Exception) -> str:
    first_line = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return f"the runtime failed on an input of {entry.length} tokens: {first_line}"
