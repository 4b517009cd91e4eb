"""The PyTorch runtime: rows packed end to end, so that layers compute no padding.

Attention runs on the packed rows where a kernel can (flash attention for rows of any length, on CUDA in half precision), and
elsewhere on rows padded on the right to the longest, as convolutions and pooling do. What padding slots hold is never read:
attention hides them as keys, pooling leaves them out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch  # noqa: TID253 - this file owns the framework
from torch import Tensor as Array  # noqa: TID253 - as above
from torch.nn import functional  # noqa: TID253 - as above

from textmill.arch.heads import Output
from textmill.arch.ops import Activation, Pool, Tensor
from textmill.arch.positions import Relative, Rotation, Slopes, Table
from textmill.arch.program import Program
from textmill.errors import ConfigInvalid, Unavailable
from textmill.runtimes.runtime import Answers, Facts, Row, Target, as_answers, wanted
from textmill.runtimes.torch_batch import Batch
from textmill.runtimes.torch_flash import PackedAttention, packed_attention

_BATCH_TOKENS = 2048
_WARM_LENGTH = 8
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_ACTIVATIONS: dict[Activation, Callable[[Array], Array]] = {
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "relu": functional.relu,
    "silu": functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "log1p_relu": lambda x: torch.log1p(torch.relu(x)),
}


def compile_program(program: Program, target: Target) -> TorchRuntime:
    """Get a program ready to run on a device that torch knows: "cpu", "cuda", "cuda:1", "mps".

    ``dtype`` auto is float32 on a CPU and bfloat16 elsewhere. ``threads`` sets torch's own number of threads, which counts
    for the whole process. Raises ConfigInvalid for a device that is not there.
    """
    device = _device(target.device)
    dtype = target.dtype if target.dtype != "auto" else "float32" if device.type == "cpu" else "bfloat16"
    if dtype not in _DTYPES:
        msg = f"dtype is {dtype!r}, which the torch backend does not have; it has {', '.join(_DTYPES)}; int8 is openvino's"
        raise ConfigInvalid(msg)
    if target.threads is not None:
        torch.set_num_threads(target.threads)
    facts = Facts(
        runtime="torch",
        device=str(device),
        dtype=dtype,
        threads=torch.get_num_threads(),
        batch_tokens=target.batch_tokens or _BATCH_TOKENS,
    )
    packed = packed_attention(device, _DTYPES[dtype])
    return TorchRuntime(program, Store(device, _DTYPES[dtype]), facts, target.max_tokens, packed)


class TorchRuntime:
    """A program, its weights on a device, and nothing kept between batches."""

    def __init__(
        self, program: Program, store: Store, facts: Facts, max_tokens: int, packed: PackedAttention | None
    ) -> None:
        self._program: Program | None = program
        self._packed = packed
        self._store = store
        self._facts = facts
        self._warm_length = min(_WARM_LENGTH, max_tokens)

    @property
    def facts(self) -> Facts:
        """What this runtime is and where it runs."""
        return self._facts

    def forward(self, rows: Sequence[Row]) -> Answers:
        """Every output that one of the rows wants."""
        if self._program is None:
            msg = "the torch runtime was closed"
            raise Unavailable(msg)
        with torch.inference_mode():
            batch = Batch.of(rows, self._store.device)
            made = self._program.run(PackedOps(self._store, batch, self._packed), batch.inputs)
            arrays: dict[Output, npt.NDArray[np.float32]] = {
                output: made[output].float().cpu().numpy() for output in wanted(rows)
            }
        return as_answers(arrays, rows)

    def warm_up(self) -> Iterator[str]:
        """One step: take the weights to the device and run a short batch."""
        outputs = tuple(self._program.outputs) if self._program else ()
        self.forward([Row(np.zeros(length, np.int32), outputs=outputs) for length in (1, self._warm_length)])
        yield f"2 x {self._warm_length}"

    def close(self) -> None:
        """Let go of the weights; `forward` raises Unavailable from here on."""
        self._program = None
        self._store.clear()


class Store:
    """The weights on the device, each taken there when it is first asked for.

    On a CPU at float32 a float32 weight stays where it lies, in the checkpoint's mapped memory.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        self.dtype = dtype
        self._arrays: dict[Tensor, Array] = {}

    def __getitem__(self, tensor: Tensor) -> Array:
        array = self._arrays.get(tensor)
        if array is None:
            # torch has no read-only tensors; checkpoints are mapped privately, so theirs pass for writable.
            array = torch.from_numpy(np.require(tensor.data, requirements=("C", "W")))
            if tensor.dtype == "bfloat16":
                array = array.view(torch.bfloat16)
            array = self._arrays[tensor] = array.to(self.device, self.dtype)
        return array

    def clear(self) -> None:
        """Forget all weights."""
        self._arrays.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


@dataclass(frozen=True, slots=True)
class PackedOps:
    """The verbs over torch tensors for one batch: token tensors are (T, …)."""

    store: Store
    batch: Batch
    packed: PackedAttention | None = None
    _rotations: dict[Rotation, tuple[Array, Array]] = field(default_factory=dict, init=False)
    _biases: dict[object, Array] = field(default_factory=dict, init=False)

    def weight(self, tensor: Tensor) -> Array:
        """Take the weight to the device, once."""
        return self.store[tensor]

    def embedding(self, table: Array, index: Array) -> Array:
        """Look up rows of a table."""
        return functional.embedding(index, table)

    def add(self, x: Array, y: Array) -> Array:
        """Add elementwise."""
        return x + y

    def multiply(self, x: Array, y: Array) -> Array:
        """Multiply elementwise."""
        return x * y

    def activation(self, x: Array, name: Activation) -> Array:
        """Apply a non-linear function."""
        return _ACTIVATIONS[name](x)

    def linear(self, x: Array, weight: Array, bias: Array | None) -> Array:
        """Apply a linear layer, in the precision of ``x``: pooled vectors are float32 whatever the weights are."""
        return functional.linear(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))

    def layer_norm(self, x: Array, weight: Array, bias: Array | None, eps: float) -> Array:
        """Layer norm; torch sums in float32."""
        return functional.layer_norm(
            x, weight.shape, weight.to(x.dtype), None if bias is None else bias.to(x.dtype), eps
        )

    def rms_norm(self, x: Array, weight: Array, eps: float) -> Array:
        """Root-mean-square norm; torch sums in float32."""
        return functional.rms_norm(x, weight.shape, weight.to(x.dtype), eps)

    def normalize(self, x: Array) -> Array:
        """Scale to unit length."""
        return functional.normalize(x, dim=-1)

    def split_heads(self, x: Array, heads: int) -> Array:
        """(T, heads * width) to (T, heads, width)."""
        return x.reshape(*x.shape[:-1], heads, -1)

    def merge_heads(self, x: Array) -> Array:
        """(T, heads, width) to (T, heads * width)."""
        return x.flatten(-2)

    def rope(self, x: Array, positions: Array, rotation: Rotation) -> Array:
        """Rotate by position, in float32; the angles are computed once a batch."""
        if rotation not in self._rotations:
            self._rotations[rotation] = self._waves(positions, rotation)
        cosine, sine = self._rotations[rotation]
        turned = 2 * len(rotation.frequencies)
        first, second = x[..., :turned].float().chunk(2, dim=-1)
        rotated = torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1).to(x.dtype)
        return rotated if turned == x.shape[-1] else torch.cat((rotated, x[..., turned:]), dim=-1)

    def attention(
        self,
        query: Array,
        key: Array,
        value: Array,
        *,
        causal: bool,
        scale: float,
        window: int | None = None,
        bias: Table[Array] | Slopes | None = None,
        relative: Relative[Array] | None = None,
    ) -> Array:
        """Attend within each row. With padding on the right, the causal mask alone hides it from every real token."""
        if self.packed is not None and self.batch.whole and bias is None and relative is None:
            return self.packed(query, key, value, self.batch, causal=causal, scale=scale, window=window)
        q, k, v = (self.batch.pad(x).transpose(1, 2) for x in (query, key, value))
        alone = causal and window is None and bias is None and relative is None
        mask = None if alone else self._mask(window, causal=causal)
        extra = None
        if bias is not None:
            extra = self._bias(bias)
        if relative is not None:
            by_position = self._relative(q, k, relative) * scale
            extra = by_position if extra is None else extra + by_position
        if extra is not None:
            mask = extra.to(q.dtype) if mask is None else extra.to(q.dtype).masked_fill(~mask, -math.inf)
        states = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=alone, scale=scale, enable_gqa=key.shape[1] != query.shape[1]
        )
        return self.batch.pack(states.transpose(1, 2))

    def experts(
        self,
        x: Array,
        router: Array,
        first: Array,
        second: Array,
        bias: Array | None,
        *,
        top: int,
        activation: Activation,
    ) -> Array:
        """Run each expert on the tokens that chose it."""
        shares = functional.linear(x, router).float().softmax(dim=-1)
        best, chosen = shares.topk(top, dim=-1)
        y = torch.zeros_like(x)
        for expert in range(router.shape[0]):
            *where, place = (chosen == expert).nonzero(as_tuple=True)
            token = tuple(where)
            made = _ACTIVATIONS[activation](functional.linear(x[token], first[expert])) @ second[expert]
            y.index_put_(token, made * best[(*token, place)].to(x.dtype)[:, None], accumulate=True)
        return y if bias is None else y + bias

    def convolve(self, x: Array, weight: Array, bias: Array) -> Array:
        """Convolve along slots, those without a token holding zeros."""
        kept = self.batch.pad(x).transpose(1, 2)
        return self.batch.pack(functional.conv1d(kept, weight, bias, padding=weight.shape[2] // 2).transpose(1, 2))

    def pool(self, x: Array, how: Pool) -> Array:
        """(T, features) to float32 (B, features), as sentence-transformers' Pooling computes it."""
        return _POOLS[how](self.batch.pad(x.float()), self.batch.pooled)

    def concatenate(self, parts: Sequence[Array]) -> Array:
        """Join along the last axis."""
        return torch.cat(list(parts), dim=-1)

    def _waves(self, positions: Array, rotation: Rotation) -> tuple[Array, Array]:
        """Cosines and sines (T, 1, width / 2)."""
        frequencies = rotation.frequencies
        if rotation.by_length is not None:
            each = [rotation.by_length(length) for length in self.batch.lengths]
            frequencies = np.repeat(np.stack(each), self.batch.lengths, axis=0)[:, None]
        angles = positions[:, None, None] * torch.from_numpy(frequencies).to(positions.device)
        return angles.cos() * rotation.scale, angles.sin() * rotation.scale

    def _distances(self) -> npt.NDArray[np.int64]:
        column = np.arange(self.batch.valid.shape[1])
        return column[:, None] - column

    def _mask(self, window: int | None, *, causal: bool) -> Array | None:
        """(B, 1, 1 or L, L) and true where a key is seen; None where all are."""
        if window is None and not causal:
            return self.batch.attended[:, None, None, :] if self.batch.padded else None
        away = torch.from_numpy(self._distances()).to(self.batch.valid.device)
        seen = torch.ones_like(away, dtype=torch.bool) if window is None else away.abs() <= window
        if causal:
            seen &= away >= 0
        return self.batch.attended[:, None, None, :] & seen

    def _bias(self, bias: Table[Array] | Slopes) -> Array:
        """(1, heads, L, L), once a batch."""
        if bias not in self._biases:
            device = self.batch.valid.device
            if isinstance(bias, Slopes):
                slopes = torch.from_numpy(bias.slopes.astype(np.float32)).to(device)
                made = (
                    -torch.from_numpy(np.abs(self._distances()).astype(np.float32)).to(device) * slopes[:, None, None]
                )
            else:
                index = torch.from_numpy(bias.index(self._distances()).astype(np.int64)).to(device)
                made = bias.entries.float()[index].permute(2, 0, 1)
            self._biases[bias] = made[None]
        return self._biases[bias]

    def _relative(self, q: Array, k: Array, relative: Relative[Array]) -> Array:
        """(B, heads, L, L): each query and each key times the vector of their distance."""
        index = torch.from_numpy(relative.index(self._distances()).astype(np.int64)).to(q.device)
        total: Array | int = 0
        if relative.keys is not None:
            scores = q @ relative.keys.permute(1, 2, 0)
            total = total + scores.gather(-1, index.expand(*scores.shape[:-1], -1))
        if relative.queries is not None:
            scores = k @ relative.queries.permute(1, 2, 0)
            by_key = scores.gather(-1, index.T.expand(*scores.shape[:-1], -1))
            total = total + by_key.transpose(-1, -2)
        assert isinstance(total, Array)  # noqa: S101 - there is at least one term
        return total


def _first(x: Array, mask: Array) -> Array:
    return x[torch.arange(len(x), device=x.device), mask.int().argmax(dim=1)]


def _last(x: Array, mask: Array) -> Array:
    slots = torch.arange(mask.shape[1], device=x.device)
    return x[torch.arange(len(x), device=x.device), (mask * slots).argmax(dim=1)]


def _max(x: Array, mask: Array) -> Array:
    return x.masked_fill(~mask[:, :, None], -math.inf).amax(dim=1)


def _weighted(x: Array, weights: Array, total: Array) -> Array:
    return (weights[:, None, :] @ x).squeeze(1) / total.clamp(min=1e-9)


def _mean(x: Array, mask: Array) -> Array:
    weights = mask.float()
    return _weighted(x, weights, weights.sum(dim=1, keepdim=True))


def _mean_sqrt(x: Array, mask: Array) -> Array:
    weights = mask.float()
    return _weighted(x, weights, weights.sum(dim=1, keepdim=True).sqrt())


def _position_weighted(x: Array, mask: Array) -> Array:
    weights = mask * torch.arange(1, mask.shape[1] + 1, device=x.device, dtype=torch.float32)
    return _weighted(x, weights, weights.sum(dim=1, keepdim=True))


def _sum(x: Array, mask: Array) -> Array:
    return (mask.float()[:, None, :] @ x).squeeze(1)


_POOLS: dict[Pool, Callable[[Array, Array], Array]] = {
    "cls": _first,
    "mean": _mean,
    "sum": _sum,
    "max": _max,
    "mean_sqrt_len_tokens": _mean_sqrt,
    "weightedmean": _position_weighted,
    "lasttoken": _last,
}


def _device(name: str) -> torch.device:
    kind, _, index = name.partition(":")
    counts = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if not (index.isdecimal() if ":" in name else True) or int(index or 0) >= counts.get(kind, 0):
        here = ", ".join(known for known, count in counts.items() if count)
        msg = f"the torch runtime has no device {name!r} here; it has {here}"
        raise ConfigInvalid(msg)
    return torch.device(name)
