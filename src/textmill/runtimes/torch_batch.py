"""Rows end to end, as arrays of one buffer: what the PyTorch runtime's verbs know about a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt
from torch import Tensor as Array  # noqa: TID253 - one of the files that own the framework

from textmill.arch.ops import Inputs
from textmill.runtimes.runtime import Row

Buffer = npt.NDArray[np.int32]
_PER_TOKEN = 6
_PER_ROW = 2


@dataclass(frozen=True, slots=True)
class Size:
    """Room for ``tokens`` tokens in ``rows`` rows."""

    tokens: int
    rows: int

    def __str__(self) -> str:
        return f"{self.tokens} tokens, {self.rows} rows"

    @property
    def numbers(self) -> int:
        """How long the buffer of such a batch is."""
        return _PER_TOKEN * self.tokens + _PER_ROW * self.rows + self.rows + 1


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring rows of ``length`` tokens each, the first of which begins at token ``start``.

    ``attended`` says of each row how many tokens are attended to; None where all are.
    """

    start: int
    rows: int
    length: int
    attended: tuple[int, ...] | None

    @property
    def end(self) -> int:
        """The token after the last."""
        return self.start + self.rows * self.length


@dataclass(frozen=True, slots=True)
class Batch:
    """T tokens in B rows. All arrays are int32 and views of one buffer on the device.

    ``row`` (T,) is each token's row, ``pooled`` (T,) 1 where pooling counts the token. ``first`` and ``last`` (B,) are the
    row's first and last token that it counts, ``ends`` (B + 1,) where rows begin and end. ``groups`` is None where only the
    device knows how long the rows are; else they cover all tokens in order. ``longest`` is at least the longest row's length.
    """

    inputs: Inputs[Array]
    row: Array
    pooled: Array
    first: Array
    last: Array
    ends: Array
    longest: int
    groups: tuple[Group, ...] | None

    @property
    def rows(self) -> int:
        """How many rows there are, empty ones included."""
        return self.first.shape[0]

    @classmethod
    def of(cls, buffer: Array, size: Size, groups: tuple[Group, ...] | None) -> Batch:
        """The batch that `pack` laid out in a buffer."""
        tokens, rows = size.tokens, size.rows
        ids, positions, types, adapters, row, pooled = buffer[: _PER_TOKEN * tokens].view(_PER_TOKEN, tokens)
        first, last = buffer[_PER_TOKEN * tokens : _PER_TOKEN * tokens + _PER_ROW * rows].view(_PER_ROW, rows)
        ends = buffer[-rows - 1 :]
        longest = tokens if groups is None else max(group.length for group in groups)
        return cls(Inputs(ids, positions, types, adapters), row, pooled, first, last, ends, longest, groups)


def size_of(rows: Sequence[Row]) -> Size:
    """The room that rows take, without any slack."""
    return Size(sum(map(len, rows)), len(rows))


def by_length(rows: Sequence[Row]) -> list[int]:
    """An order in which rows of one length are neighbours."""
    return sorted(range(len(rows)), key=lambda index: len(rows[index]))


def groups_of(rows: Sequence[Row]) -> tuple[Group, ...]:
    """Neighbouring rows of one length together."""
    groups, start = [], 0
    for length, found in groupby(rows, key=len):
        members = list(found)
        whole = all(row.attended is None or row.attended >= length for row in members)
        attended = None if whole else tuple(length if row.attended is None else row.attended for row in members)
        groups.append(Group(start, len(members), length, attended))
        start = groups[-1].end
    return tuple(groups)


def pack(rows: Sequence[Row], size: Size) -> Buffer:
    """Lay out rows, each of at least one token. One more row takes the slack of the tokens; those after it are empty.

    All positions of the slack are 0, which every table of positions has.

    Raises ValueError where the rows do not fit.
    """
    taken = size_of(rows)
    slack = size.tokens - taken.tokens
    if slack < 0 or size.rows - taken.rows < (1 if slack else 0):
        msg = f"{taken} do not fit into {size}"
        raise ValueError(msg)
    lengths = np.zeros(size.rows, np.int32)
    lengths[: len(rows)] = [len(row) for row in rows]
    lengths[len(rows) : len(rows) + 1] = slack
    attended, skipped = lengths.copy(), np.zeros_like(lengths)
    for index, row in enumerate(rows):
        skipped[index] = row.prompt_tokens
        if row.attended is not None:
            attended[index] = row.attended
    ends = np.concatenate([np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)])
    starts = ends[:-1]
    row_of = np.repeat(np.arange(size.rows, dtype=np.int32), lengths)
    ids, positions, types, adapters, pooled = (np.zeros(size.tokens, np.int32) for _ in range(5))
    positions[:] = np.arange(size.tokens) - starts[row_of]
    pooled[:] = (positions >= skipped[row_of]) & (positions < attended[row_of])
    positions[taken.tokens :] = 0
    for start, row in zip(starts, rows, strict=False):
        place = slice(start, start + len(row))
        ids[place] = row.ids
        adapters[place] = row.adapter
        if row.types is not None:
            types[place] = row.types
    counted = skipped < attended
    final = max(size.tokens - 1, 0)
    first = np.minimum(np.where(counted, starts + skipped, starts), final)
    last = np.minimum(np.where(counted, starts + attended - 1, starts), final)
    parts = (ids, positions, types, adapters, row_of, pooled, first, last, ends)
    return np.concatenate(parts).astype(np.int32, copy=False)
