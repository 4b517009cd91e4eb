"""Attention over tokens that lie end to end, in bounded memory, by whichever of three ways the batch and the device allow.

A kernel for rows of different lengths, where the device has one and nothing is added to scores. Else PyTorch's own attention
over neighbouring rows of one length, in blocks of queries where scores or masks would grow too large. And where only the device
knows the lengths, one masked attention over all tokens.
"""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import torch  # noqa: TID253 - one of the files that own the framework
from torch import Tensor as Array  # noqa: TID253 - as above
from torch.nn import functional  # noqa: TID253 - as above

from textmill.arch.positions import Index, Relative, Slopes, Table
from textmill.runtimes.torch_batch import Batch, Group

BLOCK_BYTES = 64 << 20
"""About how much a block's scores may take."""
_AMPERE = (8, 0)
_WIDEST = 256
"""Features of a head that the kernels bear, a multiple of 8."""
_CLOSE = 0.03
"""How much bfloat16 may change what attention gives of values around 1."""

_log = logging.getLogger(__name__)


M = TypeVar("M", Array, Array | None)


class Kernel(Protocol):
    """Attention of packed rows: ``ends`` (B + 1,) int32 says where they begin and end, ``longest`` how long they can be.

    ``window`` is how many keys before and after a query it sees, -1 for all.
    """

    def __call__(
        self,
        query: Array,
        key: Array,
        value: Array,
        *,
        ends: Array,
        longest: int,
        scale: float,
        window: tuple[int, int],
    ) -> Array:
        """(T, heads, width), as `Ops.attention` says."""
        ...


def kernel_of(device: torch.device) -> Kernel | None:
    """PyTorch's own where this version has it, else that of the package flash_attn; None where the device runs neither.

    It is tried on a few rows first: no list says which devices and releases run it.
    """
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < _AMPERE:
        return None
    for find in (_own_kernel, _package_kernel):
        kernel = find()
        if kernel is not None and agrees(kernel, device):
            return kernel
    return None


def agrees(kernel: Kernel, device: torch.device, dtype: torch.dtype = torch.bfloat16) -> bool:
    """Whether a kernel runs here and computes what attention is; warns where it does not."""
    lengths = (3, 1, 5)
    query, key, value = torch.randn(3, sum(lengths), 2, 64, device=device, dtype=dtype)
    ends = torch.tensor([0, *np.cumsum(lengths).tolist()], dtype=torch.int32, device=device)
    for window in ((-1, -1), (-1, 0), (2, 2), (2, 0)):
        before, after = (max(lengths) if side < 0 else side for side in window)
        exact = []
        for q, k, v in zip(query.split(lengths), key.split(lengths), value.split(lengths), strict=True):
            away = torch.arange(len(q), device=device)[:, None] - torch.arange(len(q), device=device)
            seen = (away <= before) & (-away <= after)
            q, k, v = (x.transpose(0, 1).float() for x in (q, k, v))  # noqa: PLW2901 - heads first
            attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=0.1)
            exact.append(attended.transpose(0, 1))
        try:
            made = kernel(query, key, value, ends=ends, longest=max(lengths), scale=0.1, window=window)
        except (RuntimeError, TypeError, ValueError) as error:
            _log.warning("an attention kernel does not run here, so attention goes without it: %s", error)
            return False
        if not torch.allclose(made.float(), torch.cat(exact), atol=_CLOSE):
            _log.warning("an attention kernel computes something else here, so attention goes without it")
            return False
    return True


def _own_kernel() -> Kernel | None:
    if find_spec("torch.nn.attention.varlen") is None:
        return None
    varlen = cast("Callable[..., Array]", import_module("torch.nn.attention.varlen").varlen_attn)
    if not {"scale", "window_size", "enable_gqa"} <= set(inspect.signature(varlen).parameters):
        return None

    def run(
        query: Array, key: Array, value: Array, *, ends: Array, longest: int, scale: float, window: tuple[int, int]
    ) -> Array:
        grouped = query.shape[1] != key.shape[1]
        return varlen(
            query, key, value, ends, ends, longest, longest, scale=scale, window_size=window, enable_gqa=grouped
        )

    return run


def _package_kernel() -> Kernel | None:
    if find_spec("flash_attn") is None:
        return None
    varlen = cast("Callable[..., Array]", import_module("flash_attn").flash_attn_varlen_func)

    def run(
        query: Array, key: Array, value: Array, *, ends: Array, longest: int, scale: float, window: tuple[int, int]
    ) -> Array:
        left, right = window
        causal = right == 0
        sides = (left, 0 if causal else right)
        return varlen(
            query, key, value, ends, ends, longest, longest, softmax_scale=scale, causal=causal, window_size=sides
        )

    return run


class Constants:
    """Arrays that come from the model and the batch's shape alone, on the device, each made once."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._made: dict[tuple[str, tuple[int, ...], bytes], Array] = {}

    def __call__(self, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Array:
        """The array on the device."""
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._made:
            self._made[key] = torch.from_numpy(np.ascontiguousarray(array)).to(self.device)
        return self._made[key]


@dataclass(frozen=True, slots=True)
class Scores:
    """How queries score keys, apart from their product."""

    causal: bool
    scale: float
    window: int | None
    bias: Table[Array] | Slopes | None
    relative: Relative[Array] | None

    @property
    def added(self) -> bool:
        """Whether something is added to scores."""
        return self.bias is not None or self.relative is not None

    def within(self, length: int) -> Scores:
        """The same for rows of at most that length, without a window that hides nothing in them."""
        if self.window is None or self.window < length - 1:
            return self
        return Scores(self.causal, self.scale, None, self.bias, self.relative)

    @property
    def sides(self) -> tuple[int, int]:
        """How many keys before and after a query it sees; -1 for all."""
        before = -1 if self.window is None else self.window
        return before, 0 if self.causal else before


@dataclass(frozen=True, slots=True)
class Block:
    """Queries from ``start`` to ``end`` of a row, and the keys that they can see."""

    start: int
    end: int
    first_key: int
    last_key: int

    def distances(self, device: torch.device) -> Array:
        """(queries, keys) int64."""
        queries = torch.arange(self.start, self.end, device=device)
        return queries[:, None] - torch.arange(self.first_key, self.last_key, device=device)


class Attention:
    """Attention within the rows of one batch. Biases and masks that layers share are kept, up to `BLOCK_BYTES` in all."""

    def __init__(self, batch: Batch, constants: Constants, kernel: Kernel | None, block_bytes: int) -> None:
        self._batch = batch
        self._constants = constants
        self._kernel = kernel
        self._block_bytes = block_bytes
        self._kept: dict[object, Any] = {}
        self._kept_bytes = 0

    def __call__(self, query: Array, key: Array, value: Array, scores: Scores) -> Array:
        """(T, heads, width), as `Ops.attention` says."""
        groups = self._batch.groups
        if self._kernel is not None and self._suits_kernel(query, scores):
            scores = scores.within(self._batch.longest)
            return self._kernel(
                query,
                key,
                value,
                ends=self._batch.ends,
                longest=self._batch.longest,
                scale=scores.scale,
                window=scores.sides,
            )
        if groups is None:
            return self._over_all(query, key, value, scores)
        if len(groups) == 1:
            return self._group(query, key, value, scores, groups[0])
        out = torch.empty((*query.shape[:2], value.shape[2]), dtype=query.dtype, device=query.device)
        for group in groups:
            part = slice(group.start, group.end)
            out[part] = self._group(query[part], key[part], value[part], scores, group)
        return out

    def _suits_kernel(self, query: Array, scores: Scores) -> bool:
        groups = self._batch.groups or ()
        width = query.shape[2]
        return (
            query.dtype in (torch.float16, torch.bfloat16)
            and width % 8 == 0
            and width <= _WIDEST
            and not scores.added
            and all(group.attended is None for group in groups)
        )

    def _group(self, query: Array, key: Array, value: Array, scores: Scores, group: Group) -> Array:
        """Rows of one length."""
        scores = scores.within(group.length)
        q, k, v = (x.reshape(group.rows, group.length, *x.shape[1:]).transpose(1, 2) for x in (query, key, value))
        if not scores.added and scores.window is None and group.attended is None:
            made = _attend(q, k, v, None, scores, causal=scores.causal)
            return made.transpose(1, 2).flatten(0, 1)
        parts = []
        for block in self._blocks(group, query.shape[1], scores):
            keys = slice(block.first_key, block.last_key)
            q_part, k_part = q[:, :, block.start : block.end], k[:, :, keys]
            mask = self._mask(q_part, k_part, scores, group, block)
            parts.append(_attend(q_part, k_part, v[:, :, keys], mask, scores))
        made = parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
        return made.transpose(1, 2).flatten(0, 1)

    def _blocks(self, group: Group, heads: int, scores: Scores) -> list[Block]:
        """Blocks of queries whose scores are no larger than allowed, each with the keys in reach."""
        reach = group.length if scores.window is None else scores.window
        fitting = self._block_bytes // (4 * group.rows * heads * group.length)
        if reach < group.length:
            # More queries than twice the window would see ever more keys that are hidden from most of them.
            fitting = min(max(fitting, 1), max(2 * reach, 64))
        size = max(1, min(group.length, fitting))
        blocks = []
        for start in range(0, group.length, size):
            end = min(start + size, group.length)
            last = end if scores.causal else min(end + reach, group.length)
            blocks.append(Block(start, end, max(0, start - reach), last))
        return blocks

    def _mask(self, q: Array, k: Array, scores: Scores, group: Group, block: Block) -> Array | None:
        """(1 or rows, 1 or heads, queries, keys): boolean, true where a key is seen, or what to add to scores."""
        key = scores.window, scores.causal, group, block
        seen = self._keep((key, "seen"), lambda: self._seen(scores, group, block))
        if not scores.added:
            return seen
        total: Array | None = None
        if scores.bias is not None:
            bias = scores.bias
            # By length and not by group: what is added depends on distances alone.
            total = self._keep((bias, block), lambda: self._bias(bias, block))
        if scores.relative is not None:
            relative = scores.relative
            index = self._keep((relative, block), lambda: self._index(relative.index, block))
            by_position = _relative(q, k, relative, index) * scores.scale
            total = by_position if total is None else total + by_position
        assert total is not None  # noqa: S101 - one of the two is there
        total = total.to(q.dtype)
        return total if seen is None else total.masked_fill(~seen, -math.inf)

    def _keep(self, key: object, make: Callable[[], M]) -> M:
        if key in self._kept:
            made: M = self._kept[key]
            return made
        made = make()
        if made is not None and self._kept_bytes + made.nbytes <= self._block_bytes:
            self._kept[key] = made
            self._kept_bytes += made.nbytes
        return made

    def _seen(self, scores: Scores, group: Group, block: Block) -> Array | None:
        """(1 or rows, 1, 1 or queries, keys); None where all keys are seen."""
        device = self._constants.device
        seen = None
        if scores.window is not None or scores.causal:
            seen = _visible(block.distances(device), scores)[None, None]
        if group.attended is not None:
            ends = self._constants(np.array(group.attended))
            early = (torch.arange(block.first_key, block.last_key, device=device) < ends[:, None])[:, None, None]
            seen = early if seen is None else seen & early
        return seen

    def _index(self, index: Index, block: Block) -> Array:
        """(queries, keys) int64: the entry of a table for each distance."""
        least, most = block.start - block.last_key + 1, block.end - 1 - block.first_key
        entries = self._constants(index(np.arange(least, most + 1)).astype(np.int64))
        return entries[block.distances(self._constants.device) - least]

    def _bias(self, bias: Table[Array] | Slopes, block: Block) -> Array:
        """(1, heads, queries, keys) float32."""
        if isinstance(bias, Slopes):
            return self._slope(bias, block.distances(self._constants.device))
        return bias.entries.float()[self._index(bias.index, block)].permute(2, 0, 1)[None]

    def _slope(self, bias: Slopes, distances: Array) -> Array:
        slopes = self._constants(bias.slopes.astype(np.float32))
        return (-distances.abs().float() * slopes[:, None, None])[None]

    def _over_all(self, query: Array, key: Array, value: Array, scores: Scores) -> Array:
        """All tokens at once, hidden from other rows' tokens: for few tokens whose rows only the device knows."""
        batch = self._batch
        positions = batch.inputs.positions.long()
        distances = positions[:, None] - positions
        mask = batch.row[:, None] == batch.row
        if scores.causal or scores.window is not None:
            mask = mask & _visible(distances, scores)
        mask = mask[None, None]
        q, k, v = (x.transpose(0, 1)[None] for x in (query, key, value))
        if scores.added:
            total: Array | int = 0
            if isinstance(scores.bias, Slopes):
                total = total + self._slope(scores.bias, distances)
            elif scores.bias is not None:
                index = self._index_of(scores.bias.index, distances)
                total = total + scores.bias.entries.float()[index].permute(2, 0, 1)[None]
            if scores.relative is not None:
                index = self._index_of(scores.relative.index, distances)
                total = total + _relative(q, k, scores.relative, index) * scores.scale
            mask = torch.as_tensor(total).to(q.dtype).masked_fill(~mask, -math.inf)
        return _attend(q, k, v, mask, scores)[0].transpose(0, 1)

    def _index_of(self, index: Index, distances: Array) -> Array:
        most = distances.shape[0]
        return self._constants(index(np.arange(-most, most + 1)).astype(np.int64))[distances + most]


def _visible(distances: Array, scores: Scores) -> Array:
    seen = distances >= 0 if scores.causal else torch.ones_like(distances, dtype=torch.bool)
    return seen if scores.window is None else seen & (distances.abs() <= scores.window)


def _attend(q: Array, k: Array, v: Array, mask: Array | None, scores: Scores, *, causal: bool = False) -> Array:
    return functional.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=causal, scale=scores.scale, enable_gqa=k.shape[1] != q.shape[1]
    )


def _relative(q: Array, k: Array, relative: Relative[Array], index: Array) -> Array:
    """(rows, heads, queries, keys): each query and each key times the vector of their distance."""
    total: Array | int = 0
    if relative.keys is not None:
        scores = q @ relative.keys.permute(1, 2, 0)
        total = total + scores.gather(-1, index.expand(*scores.shape[:-1], -1))
    if relative.queries is not None:
        scores = k @ relative.queries.permute(1, 2, 0)
        total = total + scores.gather(-1, index.T.expand(*scores.shape[:-1], -1)).transpose(-1, -2)
    return torch.as_tensor(total)
