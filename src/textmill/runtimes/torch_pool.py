"""Pooling of tokens that lie end to end, in float32, as sentence-transformers' Pooling computes it."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch  # noqa: TID253 - one of the files that own the framework
from torch import Tensor as Array  # noqa: TID253 - as above

from textmill.arch.ops import Pool
from textmill.runtimes.torch_batch import Batch


def pool(x: Array, batch: Batch, how: Pool) -> Array:
    """(T, features) to float32 (B, features). A mean of no tokens is zero, a maximum of none minus infinity."""
    return _POOLS[how](x, batch)


def _first(x: Array, batch: Batch) -> Array:
    return x[batch.first].float()


def _last(x: Array, batch: Batch) -> Array:
    return x[batch.last].float()


def _max(x: Array, batch: Batch) -> Array:
    out = x.new_full((batch.rows, x.shape[1]), -math.inf)
    if batch.groups is None or x.device.type != "cpu":
        seen = x.masked_fill(batch.pooled[:, None] == 0, -math.inf)
        return out.scatter_reduce_(0, batch.row.long()[:, None].expand_as(seen), seen, "amax").float()
    firsts, lasts, pooled = batch.first.tolist(), batch.last.tolist(), batch.pooled.tolist()
    for row, (first, last) in enumerate(zip(firsts, lasts, strict=True)):
        if pooled[first]:
            torch.amax(x[first : last + 1], dim=0, out=out[row])
    return out.float()


def _sum(x: Array, batch: Batch) -> Array:
    return _weighted(x, batch, batch.pooled.float())


def _weighted(x: Array, batch: Batch, weights: Array) -> Array:
    out = x.new_zeros((batch.rows, x.shape[1]), dtype=torch.float32)
    # Selected rather than multiplied, so that what is infinite in a token that does not count stays out.
    counted = torch.where(weights[:, None] != 0, x.float() * weights[:, None], 0.0)
    return out.index_add_(0, batch.row, counted)


def _total(batch: Batch, weights: Array) -> Array:
    total = torch.zeros(batch.rows, device=weights.device).index_add_(0, batch.row, weights)
    return total[:, None]


def _mean(x: Array, batch: Batch) -> Array:
    weights = batch.pooled.float()
    return _weighted(x, batch, weights) / _total(batch, weights).clamp(min=1e-9)


def _mean_sqrt(x: Array, batch: Batch) -> Array:
    weights = batch.pooled.float()
    return _weighted(x, batch, weights) / _total(batch, weights).sqrt().clamp(min=1e-9)


def _position_weighted(x: Array, batch: Batch) -> Array:
    """The n-th token counts n times (SGPT, arXiv:2202.08904)."""
    weights = batch.pooled * (batch.inputs.positions + 1.0)
    return _weighted(x, batch, weights) / _total(batch, weights).clamp(min=1e-9)


_POOLS: dict[Pool, Callable[[Array, Batch], Array]] = {
    "cls": _first,
    "mean": _mean,
    "sum": _sum,
    "max": _max,
    "mean_sqrt_len_tokens": _mean_sqrt,
    "weightedmean": _position_weighted,
    "lasttoken": _last,
}
