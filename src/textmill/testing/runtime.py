"""A runtime that needs no model: known vectors, a diary of what it was asked, and failures on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, cast
from zlib import crc32

import numpy as np
import numpy.typing as npt

from textmill.arch.heads import PER_TOKEN, Output
from textmill.runtimes.runtime import SPARSE, Answers, Facts, Row, wanted

_PATIENCE_S: Final = 10.0
"""How long a gate is waited for before the test is given up as stuck."""


def row_of(*ids: int, types: Sequence[int] | None = None, **more: Any) -> Row:
    """Make a row of these token ids; ``more`` are other fields of `Row`."""
    segments = None if types is None else np.array(types, np.int32)
    return Row(np.array(ids, np.int32), segments, **more)


class Gate:
    """Holds a thread where a test wants it. Open at first.

    Between `shut` and `open`, whoever comes waits; `wait_for_arrival` returns when somebody has come, open or not, and
    counts arrivals one by one.
    """

    def __init__(self) -> None:
        self._opened = threading.Event()
        self._opened.set()
        self._arrivals = threading.Semaphore(0)

    def shut(self) -> None:
        """Make those who come wait."""
        self._opened.clear()

    def open(self) -> None:
        """Let everyone through."""
        self._opened.set()

    def wait_for_arrival(self) -> None:
        """Wait until one more has come to the gate."""
        if not self._arrivals.acquire(timeout=_PATIENCE_S):
            msg = "nobody came to the gate"
            raise TimeoutError(msg)

    def arrive(self) -> None:
        """Come to the gate and wait until it is open."""
        self._arrivals.release()
        if not self._opened.wait(_PATIENCE_S):
            msg = "the gate never opened"
            raise TimeoutError(msg)


class FakeRuntime:
    """A Runtime that has every output, each depending on the rows' contents alone; see `vector`, `states` and `weights`.

    ``fail`` is asked for every row that is to run; an exception that it returns is raised instead of an answer. ``spoil``
    may return anything in place of what a batch has for an output. ``warm_up`` lists the steps; an exception in it is raised at its
    turn. `gate` holds every forward, `warm_up_gate` every warm-up step but the first. ``batches`` has the rows of every
    forward, failed ones included; ``diary`` the order of steps, forwards ("forward") and "close".
    """

    def __init__(
        self,
        dimensions: int = 8,
        *,
        batch_tokens: int = 256,
        dtype: str = "float32",
        warm_up: Sequence[str | BaseException] = ("first",),
        fail: Callable[[Row], BaseException | None] | None = None,
        spoil: Callable[[Any], object] | None = None,
    ) -> None:
        self.dimensions = dimensions
        self.gate = Gate()
        self.warm_up_gate = Gate()
        self.batches: list[list[Row]] = []
        self.diary: list[str] = []
        self.threads: set[int] = set()
        self._batch_tokens = batch_tokens
        self._dtype = dtype
        self._steps = tuple(warm_up)
        self.fail = fail
        self.spoil = spoil

    @property
    def facts(self) -> Facts:
        """Facts of a machine that does not exist."""
        return Facts(runtime="fake", device="cpu", dtype=self._dtype, threads=1, batch_tokens=self._batch_tokens)

    def vector(self, row: Row, output: Output = "dense") -> npt.NDArray[np.float32]:
        """What `forward` gives this row, in any company, as an output for each row: (dimensions,), all in [-1, 1)."""
        return self._values(row, output, 1).reshape(self.dimensions)

    def states(self, row: Row, output: Output = "tokens") -> npt.NDArray[np.float32]:
        """The same as an output for each token: (tokens, dimensions)."""
        return self._values(row, output, len(row))

    def weights(self, row: Row) -> npt.NDArray[Any]:
        """The same as ``sparse``, of a vocabulary of ``dimensions`` entries."""
        values = self.vector(row, "sparse")
        index = np.flatnonzero(values > 0)
        entries = np.empty(len(index), SPARSE)
        entries["index"], entries["value"] = index, values[index]
        return entries

    def forward(self, rows: Sequence[Row]) -> Answers:
        """Every output that one of the rows wants, unless told to fail or to spoil them."""
        self._note("forward")
        self.batches.append(list(rows))
        self.gate.arrive()
        for row in rows:
            error = self.fail(row) if self.fail else None
            if error is not None:
                raise error
        made = {output: self._made(rows, output) for output in wanted(rows)}
        return made if self.spoil is None else {output: cast("Any", self.spoil(part)) for output, part in made.items()}

    def _made(self, rows: Sequence[Row], output: Output) -> npt.NDArray[np.float32] | list[npt.NDArray[Any]]:
        if output == "sparse":
            return [self.weights(row) for row in rows]
        if output in PER_TOKEN:
            return [self.states(row, output) for row in rows]
        return np.stack([self.vector(row, output) for row in rows])

    def _values(self, row: Row, output: Output, count: int) -> npt.NDArray[np.float32]:
        types = b"" if row.types is None else row.types.tobytes()
        more = repr((row.prompt_tokens, row.attended, row.adapter, output)).encode()
        seed = crc32(types, crc32(row.ids.tobytes(), crc32(more)))
        turns = np.arange(1, count * self.dimensions + 1, dtype=np.uint64) * np.uint64(2_654_435_761)
        mixed = ((turns ^ np.uint64(seed)) * np.uint64(0x9E3779B1)) >> np.uint64(8) & np.uint64(0xFFFFFF)
        values = mixed.astype(np.float32) / np.float32(1 << 23) - np.float32(1)
        return values.astype(np.float32).reshape(count, self.dimensions)

    def warm_up(self) -> Iterator[str]:
        """Do nothing in as many steps as asked for."""
        for number, step in enumerate(self._steps):
            if isinstance(step, BaseException):
                raise step
            self._note(step)
            if number:
                self.warm_up_gate.arrive()
            yield step

    def close(self) -> None:
        """Note that it was closed."""
        self._note("close")

    def _note(self, event: str) -> None:
        self.threads.add(threading.get_ident())
        self.diary.append(event)
