"""The tensor verbs in PyTorch: token tensors are (T, …), the rows' tokens end to end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch  # noqa: TID253 - one of the files that own the framework
from torch import Tensor as Array  # noqa: TID253 - as above
from torch.nn import functional  # noqa: TID253 - as above

from textmill.arch.ops import Activation, Pool, Tensor
from textmill.arch.positions import Relative, Rotation, Slopes, Table
from textmill.runtimes.torch_attention import BLOCK_BYTES, Attention, Constants, Kernel, Scores
from textmill.runtimes.torch_batch import Batch
from textmill.runtimes.torch_pool import pool
from textmill.runtimes.torch_weights import Store

_ACTIVATIONS: dict[Activation, Callable[[Array], Array]] = {
    "gelu": functional.gelu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "relu": functional.relu,
    "silu": functional.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "log1p_relu": lambda x: torch.log1p(torch.relu(x)),
}


class PackedOps:
    """The verbs for one batch."""

    def __init__(
        self,
        store: Store,
        batch: Batch,
        *,
        constants: Constants | None = None,
        kernel: Kernel | None = None,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self._store = store
        self._batch = batch
        self._constants = constants or Constants(store.device)
        self._attention = Attention(batch, self._constants, kernel, block_bytes)
        self._rotations: dict[Rotation, tuple[Array, Array]] = {}

    def weight(self, tensor: Tensor) -> Array:
        """Take the weight to the device, once."""
        return self._store[tensor]

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
        return x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads)

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
        """Attend within each row."""
        return self._attention(query, key, value, Scores(causal, scale, window, bias, relative))

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
        """Run each expert on the tokens that chose it; on all, with a share of 0, where only the device knows which."""
        shares = functional.linear(x, router).float().softmax(dim=-1)
        best, chosen = shares.topk(top, dim=-1)
        act = _ACTIVATIONS[activation]
        y = torch.zeros_like(x)
        if self._batch.groups is None:
            kept = torch.zeros_like(shares).scatter_(1, chosen, best).to(x.dtype)
            for expert in range(router.shape[0]):
                y += (act(functional.linear(x, first[expert])) @ second[expert]) * kept[:, expert, None]
            return y if bias is None else y + bias
        for expert in range(router.shape[0]):
            token, place = (chosen == expert).nonzero(as_tuple=True)
            made = act(functional.linear(x[token], first[expert])) @ second[expert]
            y.index_add_(0, token, made * best[token, place].to(x.dtype)[:, None])
        return y if bias is None else y + bias

    def convolve(self, x: Array, weight: Array, bias: Array) -> Array:
        """Convolve along all tokens, with zeros between rows."""
        gap = weight.shape[2] // 2
        tokens = x.shape[0]
        place = torch.arange(tokens, device=x.device) + gap * (self._batch.row + 1)
        spread = x.new_zeros((tokens + gap * (self._batch.rows + 1), x.shape[1])).index_copy_(0, place, x)
        made = functional.conv1d(spread.T[None], weight, bias, padding=gap)[0]
        return made.T[place]

    def pool(self, x: Array, how: Pool) -> Array:
        """(T, features) to float32 (B, features)."""
        return pool(x, self._batch, how)

    def concatenate(self, parts: Sequence[Array]) -> Array:
        """Join along the last axis."""
        return torch.cat(list(parts), dim=-1)

    def _waves(self, positions: Array, rotation: Rotation) -> tuple[Array, Array]:
        """Cosines and sines (T, 1, width / 2)."""
        batch = self._batch
        if rotation.by_length is None:
            frequencies = self._constants(rotation.frequencies)
        elif batch.groups is None:
            table = self._constants(np.stack([rotation.by_length(max(n, 1)) for n in range(batch.longest + 1)]))
            frequencies = table[(batch.ends[1:] - batch.ends[:-1])[batch.row].long()]
        else:
            each = np.stack([rotation.by_length(group.length) for group in batch.groups])
            sizes = [group.rows * group.length for group in batch.groups]
            frequencies = self._constants(np.repeat(each, sizes, axis=0))
        angles = (positions[:, None].float() * frequencies)[:, None]
        return angles.cos() * rotation.scale, angles.sin() * rotation.scale
