"""Keys and values of rows that are written together.

The rows end at the same place of the arrays, so that a step writes one column for all of them, a sliding window lies alike for all,
and models see what they see in a batch that is padded on the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch  # noqa: TID253 - one of the files that own the framework
from torch import Tensor as Array  # noqa: TID253 - as above
from transformers.cache_utils import (  # noqa: TID253 - as above
    Cache,
    CacheLayerMixin,
    DynamicCache,
    DynamicLayer,
    DynamicSlidingWindowLayer,
)

_ROUND = 64
_GROWTH = 1.25


class SlabLayer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's keys and values, each of shape (rows, heads, places, width); the rows end at place ``end``."""

    is_sliding = False

    def __init__(self, slab: Slab) -> None:
        super().__init__()
        self._slab = slab
        self.end = 0

    def lazy_initialization(self, key_states: Array, value_states: Array) -> None:
        """Make the arrays, as large as the slab says."""
        self.keys, self.values = (self._slab.room_for(each) for each in (key_states, value_states))
        self.end = self._slab.end
        self.is_initialized = True

    def update(self, key_states: Array, value_states: Array, *_: Any, **__: Any) -> tuple[Array, Array]:
        """Write behind the rows; all that they have then."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        rows, start, end = self._slab.rows, self.end - self._slab.width, self.end + key_states.shape[-2]
        self.keys[:rows, :, self.end : end] = key_states
        self.values[:rows, :, self.end : end] = value_states
        return self.keys[:rows, :, start:end], self.values[:rows, :, start:end]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Places that are looked at, and the first of them."""
        return self._slab.width + query_length, 0

    def get_seq_length(self) -> int:
        """Places of the longest row."""
        return self._slab.width

    def get_max_length(self) -> int:
        """None that it keeps to."""
        return -1


class Slab(Cache):  # type: ignore[misc]
    """The keys and values of several rows; row ``i`` has ``lengths[i]`` tokens, which end at place ``end``.

    A method that raises, as for want of memory, leaves the rows as they were. The rows of some layers may end elsewhere from then on.
    """

    def __init__(self, layers: int) -> None:
        super().__init__(layers=[SlabLayer(self) for _ in range(layers)])
        self.lengths: list[int] = []
        self.end = 0
        self._rows, self._places = 0, 0

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return len(self.lengths)

    @property
    def width(self) -> int:
        """Tokens of the longest row."""
        return max(self.lengths, default=0)

    @property
    def cells(self) -> int:
        """Places of all rows that memory is held for."""
        return self._rows * self._places

    def room_for(self, like: Array) -> Array:
        """An array for keys or values of that kind."""
        return like.new_zeros((self._rows, like.shape[1], self._places, like.shape[-1]))

    def reserve(self, rows: int, tokens: int) -> None:
        """Make room for so many rows in all, and so many tokens behind those that they have."""
        wanted = self.width + tokens
        large = self._rows > 4 * rows or self._places > 4 * wanted + _ROUND
        if rows <= self._rows and self.end + tokens <= self._places and not large:
            return
        held = rows if large else max(self._rows, rows if rows <= self._rows else 2 * self._rows)
        self._arrange(max(held, rows), _rounded(wanted), self.width)

    def advance(self, tokens: int) -> None:
        """Count what a forward pass has written behind each row."""
        self.lengths = [length + tokens for length in self.lengths]
        self.end += tokens
        for layer in self.layers:
            layer.end += tokens

    def add(self, other: Slab, row: int = 0) -> None:
        """Take a copy of a row of another slab in behind the others."""
        try:
            self._take(other, row)
        except Exception:
            if not self.lengths:
                self.clear()
            raise
        self.lengths.append(other.lengths[row])

    def _take(self, other: Slab, row: int) -> None:
        """Copy a row of another slab behind the others, where it does not count yet."""
        length = other.lengths[row]
        self.reserve(self.rows + 1, 1)
        if length > min([self.end, *(layer.end for layer in self.layers if layer.is_initialized)]):
            self._arrange(self._rows, _rounded(length + 1), length)  # the others move to the right
        for mine, yours in zip(self.layers, other.layers, strict=True):
            if not yours.is_initialized:  # a layer that looks at another one's
                continue
            if not mine.is_initialized:
                mine.lazy_initialization(yours.keys, yours.values)
            span, from_ = slice(mine.end - length, mine.end), slice(yours.end - length, yours.end)
            mine.keys[self.rows, :, span] = yours.keys[row, :, from_]
            mine.values[self.rows, :, span] = yours.values[row, :, from_]

    def drop(self, row: int) -> None:
        """Let go of a row; the last one takes its number."""
        last = self.rows - 1
        if row != last:
            for layer in self.layers:
                if layer.is_initialized:
                    span = slice(layer.end - self.lengths[last], layer.end)
                    layer.keys[row, :, span] = layer.keys[last, :, span]
                    layer.values[row, :, span] = layer.values[last, :, span]
            self.lengths[row] = self.lengths[last]
        self.lengths.pop()
        if not self.lengths:
            self.clear()

    def clear(self) -> None:
        """Let go of everything."""
        self.lengths, self.end, self._rows, self._places = [], 0, 0, 0
        for layer in self.layers:
            layer.keys = layer.values = None
            layer.end = 0
            layer.is_initialized = False

    def copied(self, row: int, tokens: int) -> Slab:
        """A slab of that row's first tokens alone."""
        made = Slab(len(self.layers))
        made.reserve(1, tokens)
        made.lengths, made.end = [tokens], tokens
        for mine, yours in zip(made.layers, self.layers, strict=True):
            if yours.is_initialized:
                first = yours.end - self.lengths[row]
                mine.lazy_initialization(yours.keys, yours.values)
                mine.keys[0, :, :tokens] = yours.keys[row, :, first : first + tokens]
                mine.values[0, :, :tokens] = yours.values[row, :, first : first + tokens]
        return made

    def mask(self, tokens: int, device: torch.device) -> Array | None:
        """Which places of each row count once so many tokens come behind; None where all do."""
        if len(set(self.lengths)) <= 1:
            return None
        width = self.width
        pads = torch.tensor([width - length for length in self.lengths])
        return (torch.arange(width + tokens) >= pads[:, None]).to(device)

    def _arrange(self, rows: int, places: int, end: int) -> None:
        """Move what the rows have into arrays of that size, so that they end there."""
        self._rows, self._places, known = rows, places, (self._rows, self._places)
        try:
            for layer in self.layers:
                if layer.is_initialized:
                    self._move(layer, end)
        except Exception:  # some layers have the new size and the others the old one: what both have room for counts
            self._rows = min(known[0], rows)
            self._places = self.end + min(known[1] - self.end, places - end)
            raise
        self.end = end

    def _move(self, layer: SlabLayer, end: int) -> None:
        """Move the rows of a layer into arrays of the slab's size; layer by layer, as all of them twice may be too much."""
        rows, width = self.rows, self.width
        made = []
        for before in (layer.keys, layer.values):
            made.append(self.room_for(before))
            made[-1][:rows, :, end - width : end] = before[:rows, :, layer.end - width : layer.end]
        layer.keys, layer.values = made
        layer.end = end


def layers_of(config: Any) -> int | None:
    """How many layers of keys and values a model has; None where it has other states, which cannot be held in slabs."""
    layers: Sequence[Any] = DynamicCache(config=config).layers
    if not layers or any(type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers):
        return None
    return len(layers)


def _rounded(places: int) -> int:
    return -(-int(places * _GROWTH) // _ROUND) * _ROUND
