"""Small batches replayed: a run is recorded for each of a few sizes, and a batch that fits one is filled up to it.

A short batch on a GPU costs more for starting its hundreds of kernels than for running them; a replay starts them all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor as Array  # noqa: TID253 - one of the files that own the framework

from textmill.runtimes.runtime import Row
from textmill.runtimes.torch_attention import Constants
from textmill.runtimes.torch_batch import Batch, Size, pack, size_of
from textmill.runtimes.torch_device import Arrays, Device

_TOKENS = (16, 32, 64, 128, 256, 512)
_ROWS = (1, 4, 16)
SIZES = tuple(Size(tokens, rows + 1) for tokens in _TOKENS for rows in _ROWS if 2 * rows <= tokens)
"""Each with one row more than it is meant for, which takes the slack."""


@dataclass(frozen=True, slots=True)
class _Recorded:
    buffer: Array
    constants: Constants
    replay: Callable[[], None]
    answers: Arrays


class Graphs:
    """Recorded runs by size, with all that they read. ``run`` computes all outputs of a batch whose lengths only the device knows."""

    def __init__(self, device: Device, run: Callable[[Batch, Constants], Arrays]) -> None:
        self._device = device
        self._run = run
        self._recorded: dict[Size, _Recorded] = {}

    def record(self, size: Size) -> None:
        """Record a run of that size."""
        row = Row(np.zeros(1, np.int32))
        buffer = self._device.put(pack([row], size))
        batch, constants = Batch.of(buffer, size, None), Constants(buffer.device)
        replay, answers = self._device.capture(lambda: self._run(batch, constants))
        self._recorded[size] = _Recorded(buffer, constants, replay, answers)

    def replay(self, rows: Sequence[Row]) -> Arrays | None:
        """The answers of rows, with slack after them, until the next replay; None where no recorded size suits them."""
        size = self.size_for(rows)
        if size is None:
            return None
        recorded = self._recorded[size]
        self._device.refill(recorded.buffer, pack(rows, size))
        recorded.replay()
        return recorded.answers

    def size_for(self, rows: Sequence[Row]) -> Size | None:
        """The smallest recorded size with room for the rows and one more; None where a row is attended to in part."""
        if any(row.attended is not None for row in rows):
            return None
        taken = size_of(rows)
        fitting = [size for size in self._recorded if size.tokens >= taken.tokens and size.rows > taken.rows]
        return min(fitting, key=lambda size: (size.tokens, size.rows), default=None)

    def clear(self) -> None:
        """Forget all."""
        self._recorded.clear()
