"""Windowed attention of long rows, cut into blocks: each has some queries of a row and the keys that they can see.

With a window of n tokens, a block of w queries sees w + 2 n keys, so that time and memory grow with a row's length and not with
its square. Rows that would gain nothing are one block each, with all of their keys: then the layout is that of `flat.gather`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from textmill.runtimes.flat import MASKED, Array, Feed, Flat

_FEWEST, _MOST = 128, 1024
"""Queries in a block: below, gathering costs more than the scores saved; above, the scores of padding weigh in."""


@dataclass(frozen=True, slots=True)
class Window:
    """Keys at a distance of at most ``reach`` tokens (None: any), and if ``causal`` none that come later."""

    reach: int | None
    causal: bool

    def cut(self, length: int) -> tuple[int, int, int]:
        """Blocks a row of that many tokens, queries a block, keys a block."""
        if self.reach is not None:
            queries = min(max(self.reach, _FEWEST), _MOST)
            keys = queries + self.reach * (1 if self.causal else 2)
            blocks = -(-length // queries)
            if 2 * blocks * queries * keys <= length * length:
                return blocks, queries, keys
        return 1, length, length

    def queries(self) -> Feed:
        """A feed of (N, w) int32: where in the flat batch each block's queries lie; N is B times the blocks of a row."""

        def feed(flat: Flat) -> Array:
            return _tokens(flat, self._query_positions(flat))

        return feed

    def keys(self) -> Feed:
        """A feed of (N, s) int32: where in the flat batch each block's keys lie."""

        def feed(flat: Flat) -> Array:
            return _tokens(flat, self._key_positions(flat))

        return feed

    def mask(self) -> Feed:
        """A feed of (N, 1, w, s) float32 to add to scores: 0 for what a query sees, very low for the rest."""

        def feed(flat: Flat) -> Array:
            at = self._key_positions(flat)
            inside = np.clip(at, 0, flat.shape.length - 1)
            seen = flat.attended[:, inside] & (at >= 0) & (at < flat.shape.length)
            near = self._near(self._query_positions(flat)[:, :, None], at[:, None, :])
            scores: Array = np.where(seen[:, :, None, :] & near, np.float32(0), MASKED)
            return scores.reshape(-1, 1, *scores.shape[2:])

        return feed

    def scatter(self) -> Feed:
        """A feed of (T,) int32: in which of the blocks' N * w slots each flat token lies."""

        def feed(flat: Flat) -> Array:
            blocks, queries, _ = self.cut(flat.shape.length)
            first = np.arange(flat.shape.rows) * (blocks * queries)
            out = np.zeros(flat.shape.tokens, np.int32)
            total = flat.total
            out[:total] = np.arange(total) + np.repeat(first - flat.starts, flat.lengths)
            return out

        return feed

    def slots(self, flat: Flat) -> int:
        """Queries in a block of such a batch."""
        return self.cut(flat.shape.length)[1]

    def _near(self, query: npt.NDArray[np.int64], key: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which keys, by position, are within sight of which queries; no distances are kept, eight times as large."""
        near = np.ones(np.broadcast_shapes(query.shape, key.shape), np.bool_)
        if self.reach is not None:
            near &= key >= query - self.reach
        if self.causal or self.reach is not None:
            near &= key <= (query if self.causal else query + (self.reach or 0))
        return near

    def _query_positions(self, flat: Flat) -> npt.NDArray[np.int64]:
        """(blocks, w): positions in a row, beyond its end in the last block."""
        blocks, queries, _ = self.cut(flat.shape.length)
        return np.arange(blocks)[:, None] * queries + np.arange(queries)

    def _key_positions(self, flat: Flat) -> npt.NDArray[np.int64]:
        """(blocks, s): positions in a row, before its start in the first block and beyond its end in the last."""
        blocks, queries, keys = self.cut(flat.shape.length)
        reach = self.reach if blocks > 1 and self.reach is not None else 0
        return np.arange(blocks)[:, None] * queries - reach + np.arange(keys)


EVERYTHING = Window(None, causal=False)
BEFORE = Window(None, causal=True)


def _tokens(flat: Flat, positions: npt.NDArray[np.int64]) -> Array:
    """Flat indices of (blocks, n) positions in each row, as (B * blocks, n) int32; 0 where a row has no such token."""
    inside = (positions >= 0) & (positions < flat.lengths[:, None, None])
    where = np.where(inside, flat.starts[:, None, None] + positions, 0).astype(np.int32)
    return where.reshape(-1, positions.shape[1])
