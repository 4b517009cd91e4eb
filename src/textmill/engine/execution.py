"""Runs a batch on the runtime and keeps a failure to the rows that caused it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from textmill.arch.heads import PER_TOKEN, Output
from textmill.engine.scheduler import Entry
from textmill.engine.ticket import Ticket
from textmill.errors import ForwardFailed
from textmill.runtimes.runtime import SPARSE, Answers, Runtime, wanted


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """Rows that got no answer, and why."""

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
    """What became of a batch: entries with their answers, and failures. Together they are the batch."""

    done: list[tuple[list[Entry[Ticket]], Answers]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


class Execution:
    """Calls the runtime and believes none of its answers unseen.

    When a batch fails, its halves are tried again, and their halves, so that only rows that fail on their own do fail, and
    a batch too large for the device's memory still runs. That is at most 2 * rows - 1 calls, and for one bad row about
    twice the work of the batch. An answer of the wrong shape or kind is a fault of the runtime and fails the batch at once.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._forward = runtime.forward
        self._dtype = runtime.facts.dtype
        self._widths: dict[Output, int] = {}

    def run(self, batch: list[Entry[Ticket]]) -> Outcome:
        """Compute the batch. Raises nothing that is an Exception of the runtime's."""
        outcome = Outcome()
        pieces = [batch]
        while pieces:
            piece = pieces.pop()
            try:
                made = self._forward([entry.row for entry in piece])
            except Exception as error:  # noqa: BLE001 - a runtime may raise anything, and its callers get it
                if len(piece) == 1:
                    outcome.failures.append(Failure(piece, _message(piece[0], error), error))
                else:
                    middle = len(piece) // 2
                    pieces += (piece[middle:], piece[:middle])
            else:
                self._judge(piece, made, outcome)
        return outcome

    def _judge(self, piece: list[Entry[Ticket]], made: Answers, outcome: Outcome) -> None:
        lengths = [entry.length for entry in piece]
        good = np.ones(len(piece), np.bool_)
        asked = wanted([entry.row for entry in piece])
        for output in asked:
            if wrong := self._wrong(made, output, lengths):
                outcome.failures.append(Failure(piece, wrong))
                return
            good &= _finite(made[output])
        if good.all():
            outcome.done.append((piece, made))
            return
        kept = [entry for entry, is_good in zip(piece, good, strict=True) if is_good]
        lost = [entry for entry, is_good in zip(piece, good, strict=True) if not is_good]
        if kept:
            outcome.done.append((kept, {output: _rows(made[output], good) for output in asked}))
        way_out = "report the model" if self._dtype == "float32" else "try dtype float32, or report the model"
        message = f"the {self._dtype} runtime gave NaN or infinity for this input; {way_out}"
        outcome.failures.append(Failure(lost, message))

    def _wrong(self, made: Answers, output: Output, lengths: list[int]) -> str | None:
        """What is wrong with an output that rows of these lengths want, in a sentence; None where nothing is."""
        values = made.get(output) if isinstance(made, Mapping) else made
        if output == "sparse":
            fits = isinstance(values, list) and len(values) == len(lengths) and all(map(_is_sparse, values))
            return None if fits else _complaint(output, f"{len(lengths)} sparse rows", values)
        rows = len(lengths)
        if output in PER_TOKEN:
            if not isinstance(values, list) or len(values) != rows:
                return _complaint(output, f"an array for each of {rows} rows", values)
            parts, counts = values, lengths
        else:
            parts, counts = [values], [rows]
        for part, count in zip(parts, counts, strict=True):
            known = self._widths.get(output)
            shape = part.shape if isinstance(part, np.ndarray) else ()
            if not shape or part.dtype != np.float32 or shape != (count, known or shape[-1]):
                return _complaint(output, f"float32 of shape ({count}, {known or 'features'})", part)
            self._widths[output] = shape[1]
        return None


def _complaint(output: Output, wanted: str, answered: object) -> str:
    kind = (
        f"{answered.dtype} of shape {answered.shape}"
        if isinstance(answered, np.ndarray)
        else f"a {type(answered).__name__}"
    )
    return f"the runtime must answer {output} with {wanted}, but answered {kind}; report this as a bug"


def _is_sparse(row: object) -> bool:
    return isinstance(row, np.ndarray) and row.dtype == SPARSE and row.ndim == 1


def _finite(values: npt.NDArray[np.float32] | Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.bool_]:
    """Which rows of an output hold neither NaN nor infinity."""
    if isinstance(values, np.ndarray):
        return np.asarray(np.isfinite(values).all(axis=1))
    return np.array([bool(np.isfinite(row["value"] if row.dtype.names else row).all()) for row in values])


def _rows(values: Any, good: npt.NDArray[np.bool_]) -> Any:
    if isinstance(values, np.ndarray):
        return values[good]
    return [row for row, is_good in zip(values, good, strict=True) if is_good]


def _message(entry: Entry[Ticket], error: Exception) -> str:
    first_line = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return f"the runtime failed on an input of {entry.length} tokens: {first_line}"
