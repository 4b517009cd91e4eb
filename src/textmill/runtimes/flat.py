"""Rows to the arrays of a flat batch: tokens end to end, and the indices by which attention and pooling find their rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from textmill.arch.positions import Index, Rotation
from textmill.runtimes.runtime import Row

Array = npt.NDArray[Any]
MASKED = np.float32(-1e9)
"""Added to a score that must not count; finite, so that a row of nothing but padding stays finite too."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Room for ``tokens`` tokens in all, ``rows`` rows, and ``length`` tokens in the longest row."""

    tokens: int
    rows: int
    length: int

    def __str__(self) -> str:
        return f"{self.tokens} tokens, {self.rows} x {self.length}"


@dataclass(frozen=True, slots=True)
class Flat:
    """A batch laid out: what every feed is computed from.

    ``lengths`` and ``starts`` are (B,), with empty rows at the end; ``valid``, ``attended`` and ``pooled`` are (B, L): which
    slots hold a token, which of those are attended to, and which of those pooling counts.
    """

    rows: Sequence[Row]
    shape: Shape
    lengths: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    valid: npt.NDArray[np.bool_]
    attended: npt.NDArray[np.bool_]
    pooled: npt.NDArray[np.bool_]

    @property
    def total(self) -> int:
        """How many of the T tokens are real."""
        return int(self.lengths.sum())


Feed = Callable[[Flat], Array]
"""Makes the array of one graph input."""


class Packer:
    """Makes the arrays of a graph's inputs, in the graph's order."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._feeds = tuple(feeds)

    def pack(self, rows: Sequence[Row], shape: Shape) -> list[Array]:
        """One array an input; slots without a token hold zeros and never reach a row's answer."""
        lengths = np.zeros(shape.rows, np.int64)
        lengths[: len(rows)] = [len(row) for row in rows]
        column = np.arange(shape.length)
        valid = column < lengths[:, None]
        pooled = attended = valid
        if any(row.attended is not None for row in rows):
            ends = np.zeros((shape.rows, 1), np.int64)
            ends[: len(rows), 0] = [len(row) if row.attended is None else row.attended for row in rows]
            pooled = attended = valid & (column < ends)
        if any(row.prompt_tokens for row in rows):
            skipped = np.zeros((shape.rows, 1), np.int64)
            skipped[: len(rows), 0] = [row.prompt_tokens for row in rows]
            pooled = pooled & (column >= skipped)
        flat = Flat(rows, shape, lengths, np.cumsum(lengths) - lengths, valid, attended, pooled)
        return [feed(flat) for feed in self._feeds]


def ids(flat: Flat) -> Array:
    """(T,) int32 token ids."""
    return _end_to_end(flat, [row.ids for row in flat.rows])


def positions(flat: Flat) -> Array:
    """(T,) int32 position of each token in its row, from 0."""
    out = np.zeros(flat.shape.tokens, np.int32)
    total = flat.total
    out[:total] = np.arange(total) - np.repeat(flat.starts, flat.lengths)
    return out


def types(flat: Flat) -> Array:
    """(T,) int32 segment of each token."""
    return _end_to_end(flat, [np.zeros(len(row), np.int32) if row.types is None else row.types for row in flat.rows])


def gather(flat: Flat) -> Array:
    """(B, L) int32: where in the flat batch each padded slot's token lies."""
    return np.where(flat.valid, flat.starts[:, None] + np.arange(flat.shape.length), 0).astype(np.int32)


def scatter(flat: Flat) -> Array:
    """(T,) int32: which padded slot each flat token came from."""
    out = np.zeros(flat.shape.tokens, np.int32)
    slots = np.flatnonzero(flat.valid)
    out[: len(slots)] = slots
    return out


def by_head(scatter: Feed, heads: int, slots: Callable[[Flat], int]) -> Feed:
    """A feed of (T, heads) int32: where in (N, heads, slots) lie the heads of the token that is in a slot of (N, slots)."""

    def scatter_by_head(flat: Flat) -> Array:
        block, slot = np.divmod(scatter(flat), slots(flat))
        index = (block[:, None] * heads + np.arange(heads, dtype=np.int32)) * slots(flat) + slot[:, None]
        return index.astype(np.int32, copy=False)

    return scatter_by_head


def adapters(flat: Flat) -> Array:
    """(T,) int32 adapter of each token's row."""
    return _end_to_end(flat, [np.full(len(row), row.adapter, np.int32) for row in flat.rows])


def attended(flat: Flat) -> Array:
    """(B, L) int32: 1 where a token is attended to, 0 elsewhere; in rows of padding the first, so that no row has none."""
    seen = flat.attended.astype(np.int32)
    seen[flat.lengths == 0, 0] = 1
    return seen


def mask(flat: Flat) -> Array:
    """(B, 1, 1, L) float32 to add to attention scores: 0 for what is attended to, very low for the rest."""
    return _hidden(flat.attended[:, None, None, :])


def band(window: int | None, *, causal: bool) -> Feed:
    """A feed of (B, 1, L, L) like `mask`, that hides what is further away than the window or comes later as well."""

    def feed(flat: Flat) -> Array:
        away = distances(flat)
        seen = np.ones_like(away, dtype=np.bool_) if window is None else np.abs(away) <= window
        if causal:
            seen &= away >= 0
        return _hidden(flat.attended[:, None, None, :] & seen)

    return feed


def distances(flat: Flat) -> Array:
    """(L, L) int64: query position minus key position."""
    column = np.arange(flat.shape.length)
    return column[:, None] - column


def distance_penalty(flat: Flat) -> Array:
    """(1, L, L) float32: minus the distance of query and key."""
    return -np.abs(distances(flat)).astype(np.float32)[None]


def buckets(index: Index) -> Feed:
    """A feed of (L, L) int32: the entry of a table for each query and key."""

    def feed(flat: Flat) -> Array:
        return index(distances(flat)).astype(np.int32)

    return feed


def bucket_span(index: Index, *, descending: bool) -> Feed:
    """A feed of (2 L - 1,) int32: the entry of a table for each distance, from one end to the other."""

    def feed(flat: Flat) -> Array:
        away = np.arange(1 - flat.shape.length, flat.shape.length)
        return index(away[::-1] if descending else away).astype(np.int32)

    return feed


def skew(flat: Flat) -> Array:
    """(L * L,) int32: where slot (i, j) lies among L rows of 2 L - 1 entries, the row's own distance 0 in the middle."""
    length = flat.shape.length
    column = np.arange(length)
    return (column[:, None] * (2 * length - 2) + column + length - 1).astype(np.int32).reshape(-1)


def neighbours(width: int) -> Feed:
    """A feed of (T, width) int32: the flat tokens around each token, in its row; T where there is none."""

    def feed(flat: Flat) -> Array:
        out = np.full((flat.shape.tokens, width), flat.shape.tokens, np.int32)
        at = np.arange(flat.total)[:, None] + np.arange(width) - width // 2
        first = np.repeat(flat.starts, flat.lengths)[:, None]
        last = np.repeat(flat.starts + flat.lengths, flat.lengths)[:, None]
        out[: flat.total] = np.where((at >= first) & (at < last), at, flat.shape.tokens)
        return out

    return feed


def pooling_mask(flat: Flat) -> Array:
    """(B, L, 1) float32 to add to states before taking a maximum."""
    scores: Array = np.where(flat.pooled, np.float32(0), MASKED)
    return scores[:, :, None]


def first_token(flat: Flat) -> Array:
    """(B,) int32: where each row's first token that pooling counts lies in the flat batch."""
    return _within(flat, flat.starts + np.argmax(flat.pooled, axis=1))


def last_token(flat: Flat) -> Array:
    """(B,) int32: where each row's last token that is attended to lies in the flat batch."""
    return _within(flat, flat.starts + flat.attended.sum(axis=1) - 1)


def sum_weights(flat: Flat) -> Array:
    """(B, L, 1) float32 weights of a sum over tokens."""
    return flat.pooled.astype(np.float32)[:, :, None]


def mean_weights(flat: Flat) -> Array:
    """(B, L, 1) float32 weights of a mean over tokens."""
    return _shared(flat.pooled, flat.pooled.sum(axis=1))


def mean_sqrt_weights(flat: Flat) -> Array:
    """(B, L, 1) float32 weights of a sum over tokens divided by the root of their number."""
    return _shared(flat.pooled, np.sqrt(flat.pooled.sum(axis=1)))


def position_weights(flat: Flat) -> Array:
    """(B, L, 1) float32 weights of a mean in which the n-th token counts n times (SGPT, arXiv:2202.08904)."""
    weights = flat.pooled * np.arange(1, flat.shape.length + 1)
    return _shared(weights, weights.sum(axis=1))


def rotation(turn: Rotation, wave: Callable[[Array], Array]) -> Feed:
    """A feed of (T, 1, width): the cosine or sine of each token's angles, twice side by side for the two halves."""

    def feed(flat: Flat) -> Array:
        frequencies = turn.frequencies
        if turn.by_length is not None:
            each = [turn.by_length(len(row)) for row in flat.rows]
            padded = np.zeros((flat.shape.tokens, len(frequencies)), np.float32)
            padded[: flat.total] = np.repeat(np.stack(each), [len(row) for row in flat.rows], axis=0)
            frequencies = padded
        angles = positions(flat).astype(np.float32)[:, None] * frequencies
        waves = wave(np.concatenate([angles, angles], axis=1)) * np.float32(turn.scale)
        return waves.astype(np.float32)[:, None, :]

    return feed


def _hidden(seen: npt.NDArray[np.bool_]) -> Array:
    scores: Array = np.where(seen, np.float32(0), MASKED)
    return scores


def _end_to_end(flat: Flat, parts: list[npt.NDArray[np.int32]]) -> Array:
    out = np.zeros(flat.shape.tokens, np.int32)
    out[: flat.total] = np.concatenate(parts)
    return out


def _shared(weights: Array, totals: Array) -> Array:
    """(B, L) weights over (B,) totals as (B, L, 1) float32; an empty row's total of zero divides nothing."""
    shares: Array = weights / np.maximum(totals, 1e-9)[:, None]
    return shares.astype(np.float32)[:, :, None]


def _within(flat: Flat, index: npt.NDArray[np.int64]) -> Array:
    """Indices as int32; those of empty rows are moved inside the batch."""
    return np.clip(index, 0, flat.shape.tokens - 1).astype(np.int32)
