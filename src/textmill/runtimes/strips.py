"""Biased attention of long rows, one strip of queries after another, so that no bias is ever whole.

The scores of B rows of L tokens that have a bias take B * heads * L * L numbers. Batches for which that is much are *long*, and
go through a graph that computes them head by head and strip by strip.
"""

from __future__ import annotations

import numpy as np

from textmill.runtimes import flat as feeds
from textmill.runtimes.flat import MASKED, Array, Feed, Flat, Shape

_SCORES = 1 << 21
"""Scores of one head that may be in memory at a time."""
_NARROWEST = 16


def is_long(shape: Shape) -> bool:
    """Whether such a batch is computed in strips, if its model adds biases to scores."""
    return shape.rows * shape.length**2 > _SCORES


def queries(flat: Flat) -> Array:
    """(N, w) int32: the positions of each strip's queries; the last strip repeats the last position."""
    rows, length = flat.shape.rows, flat.shape.length
    width = max(_NARROWEST, _SCORES // (rows * length) // _NARROWEST * _NARROWEST)
    strips = -(-length // width)
    return np.minimum(np.arange(strips * width), length - 1).astype(np.int32).reshape(strips, width)


def keys(flat: Flat) -> Array:
    """(L,) int32: what to add to a query's position to find its distance to each key in a span of 2 L - 1 distances."""
    return np.arange(flat.shape.length)[::-1].astype(np.int32)


def distances(flat: Flat) -> Array:
    """(1, 2 L - 1) float32: minus each distance, from one end to the other."""
    return -np.abs(_span(flat)).astype(np.float32)[None]


def hidden(reach: int | None, *, causal: bool) -> Feed:
    """A feed of (1, 2 L - 1) float32: very low for distances that are out of sight."""

    def feed(flat: Flat) -> Array:
        away = _span(flat)
        seen = np.ones_like(away, np.bool_) if reach is None else np.abs(away) <= reach
        if causal:
            seen &= away >= 0
        scores: Array = np.where(seen, np.float32(0), MASKED)
        return scores[None]

    return feed


def scatter(flat: Flat) -> Array:
    """(T,) int32: where each flat token lies when slots are ordered by position and then by row."""
    out = np.zeros(flat.shape.tokens, np.int32)
    row = np.repeat(np.arange(flat.shape.rows), flat.lengths)
    out[: flat.total] = feeds.positions(flat)[: flat.total] * flat.shape.rows + row
    return out


def _span(flat: Flat) -> Array:
    return np.arange(1 - flat.shape.length, flat.shape.length)
