"""Rows as torch's runtime lays them out: end to end, and where that cannot be, padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch  # noqa: TID253 - this file belongs to the runtime that owns the framework
from torch import Tensor as Array  # noqa: TID253 - as above

from textmill.arch.ops import Inputs
from textmill.runtimes.runtime import Row


@dataclass(frozen=True, slots=True)
class Batch:
    """B rows end to end, T tokens in all, and how they lie when they are padded to L slots each.

    ``valid``, ``attended`` and ``pooled`` are (B, L) and boolean: slots with a token, those of them that are attended to, and
    those of these that pooling counts. ``slots`` (T,) are the tokens' places among the B * L, None where every slot has one.
    ``padded`` says whether any slot is not attended to: attention is faster where it needs no mask. ``ends`` is int32 (B + 1,),
    where rows begin and end among the tokens, and ``whole`` says whether all tokens are attended to. ``lengths`` has each row's
    tokens.
    """

    inputs: Inputs[Array]
    valid: Array
    attended: Array
    pooled: Array
    slots: Array | None
    ends: Array
    padded: bool
    whole: bool
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, rows: Sequence[Row], device: torch.device) -> Batch:
        """Lay out rows, each of at least one token."""
        lengths = np.array([len(row) for row in rows])
        ids = np.concatenate([row.ids for row in rows], dtype=np.int32)
        types = np.concatenate(
            [np.zeros(len(row), np.int32) if row.types is None else row.types for row in rows], dtype=np.int32
        )
        adapters = np.repeat(np.array([row.adapter for row in rows], np.int32), lengths)
        column = np.arange(int(lengths.max()), dtype=np.int32)
        positions = np.concatenate([column[:length] for length in lengths], dtype=np.int32)
        ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        valid = column < lengths[:, None]
        attended = column < np.array([len(row) if row.attended is None else row.attended for row in rows])[:, None]
        pooled = attended & (column >= np.array([row.prompt_tokens for row in rows])[:, None])

        def put(array: npt.NDArray[Any]) -> Array:
            made = torch.from_numpy(array)
            # From pinned memory the copy runs beside what the host and the device do meanwhile.
            return made.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else made.to(device)

        return cls(
            inputs=Inputs(put(ids), put(positions), put(types), put(adapters)),
            valid=put(valid),
            attended=put(attended),
            pooled=put(pooled),
            slots=None if valid.all() else put(np.flatnonzero(valid)),
            ends=put(ends),
            padded=not attended.all(),
            whole=bool((attended == valid).all()),
            lengths=tuple(map(len, rows)),
        )

    def pad(self, x: Array) -> Array:
        """(T, …) to (B, L, …), zeros where there is no token."""
        count, length = self.valid.shape
        if self.slots is None:
            return x.reshape(count, length, *x.shape[1:])
        padded = x.new_zeros((count * length, *x.shape[1:])).index_copy_(0, self.slots, x)
        return padded.view(count, length, *x.shape[1:])

    def pack(self, x: Array) -> Array:
        """(B, L, …) to (T, …)."""
        flat = x.flatten(0, 1)
        return flat if self.slots is None else flat[self.slots]
