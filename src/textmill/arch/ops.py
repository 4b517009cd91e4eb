"""The tensor vocabulary that every architecture is written in.

An architecture never sees the axes of batch and sequence: a *token tensor* has shape (tokens…, features), and how the tokens
of several rows lie beside each other (flat, padded, packed) is the runtime's business. Verbs that need to know, such as
`attention` and `pool`, are the runtime's own. `T` is whatever the runtime computes with: a graph node or an array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from textmill.arch.positions import Relative, Rotation, Slopes, Table

T = TypeVar("T")

DType = Literal["float32", "float16", "bfloat16"]
Activation = Literal["gelu", "gelu_tanh", "relu", "silu", "tanh", "sigmoid", "log1p_relu"]
"""`gelu` is the exact one, with erf; `gelu_tanh` the approximation that checkpoints call gelu_new or gelu_pytorch_tanh;
`log1p_relu` is SPLADE's log(1 + max(0, x))."""

Pool = Literal["cls", "mean", "max", "sum", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
"""Ways to make one vector of a row's tokens, by the names sentence-transformers gives them."""


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A weight as it lies in the file, usually a view of mapped memory.

    numpy has no bfloat16: there ``data`` holds the bits as uint16 and ``dtype`` says what they mean. ``name`` is for messages.
    Tensors compare and hash by identity, so that a runtime can keep what it made of one.
    """

    data: npt.NDArray[Any]
    dtype: DType
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape, outermost axis first."""
        return self.data.shape

    def widened(self) -> npt.NDArray[np.float32]:
        """The values as float32; a float32 tensor's own."""
        if self.dtype == "bfloat16":
            return (self.data.astype(np.uint32) << 16).view(np.float32)
        wide: npt.NDArray[np.float32] = self.data.astype(np.float32, copy=False)
        return wide

    @property
    def finite(self) -> bool:
        """Whether no value is NaN or infinity: some 40 ms for 110 million values that are in memory."""
        if not self.data.size:
            return True
        if self.dtype == "float32":
            # NaN and infinity stay in a sum, which is read at the speed of memory; so does what only adds up to too much.
            with np.errstate(all="ignore"):
                return bool(np.isfinite(self.data.sum()) or np.isfinite(self.data).all())
        # As whole numbers, of either sign, those of the highest exponent are the largest.
        highest = 0x7C00 if self.dtype == "float16" else 0x7F80
        return bool(self.data.view(np.int16).max() < highest and self.data.view(np.uint16).max() < 0x8000 | highest)


@dataclass(frozen=True, slots=True)
class Inputs(Generic[T]):
    """What a batch holds for each token: its id, its position in its row (from 0), its segment (0 or 1), its row's adapter.

    Adapters count from 1 in the order that the architecture names them; 0 is none.
    """

    ids: T
    positions: T
    types: T
    adapters: T


class Ops(Protocol[T]):
    """At most 25 verbs; ADR 0001 shows how each family of models is written in them."""

    def weight(self, tensor: Tensor) -> T:
        """Hand a weight to the runtime."""
        ...

    def embedding(self, table: T, index: T) -> T:
        """Rows of ``table`` (entries, features) by the tokens' ``index``: (tokens…, features)."""
        ...

    def add(self, x: T, y: T) -> T:
        """Elementwise sum, broadcasting as numpy does."""
        ...

    def multiply(self, x: T, y: T) -> T:
        """Elementwise product, broadcasting as numpy does."""
        ...

    def activation(self, x: T, name: Activation) -> T:
        """Apply a non-linear function to each value."""
        ...

    def linear(self, x: T, weight: T, bias: T | None) -> T:
        """``x @ weight.T + bias``; ``weight`` is (out, in) as checkpoints keep it."""
        ...

    def layer_norm(self, x: T, weight: T, bias: T | None, eps: float) -> T:
        """Layer norm over the last axis (Ba et al., 2016, arXiv:1607.06450)."""
        ...

    def rms_norm(self, x: T, weight: T, eps: float) -> T:
        """Root-mean-square norm over the last axis (Zhang and Sennrich, 2019, arXiv:1910.07467)."""
        ...

    def normalize(self, x: T) -> T:
        """Scale the last axis to unit Euclidean length; a zero vector stays zero."""
        ...

    def split_heads(self, x: T, heads: int) -> T:
        """(tokens…, heads * width) to (tokens…, heads, width); also of weights (entries, heads * width)."""
        ...

    def merge_heads(self, x: T) -> T:
        """(tokens…, heads, width) to (tokens…, heads * width)."""
        ...

    def rope(self, x: T, positions: T, rotation: Rotation) -> T:
        """Rotate (tokens…, heads, width) by position (Su et al., 2021, arXiv:2104.09864), halves paired as GPT-NeoX does."""
        ...

    def attention(
        self,
        query: T,
        key: T,
        value: T,
        *,
        causal: bool,
        scale: float,
        window: int | None = None,
        bias: Table[T] | Slopes | None = None,
        relative: Relative[T] | None = None,
    ) -> T:
        """Attention of each row's tokens over the same row's tokens; all are (tokens…, heads, width).

        ``key`` and ``value`` may have fewer heads: each then serves a group of neighbouring query heads. ``window`` hides
        keys at a distance of more than that many tokens, ``causal`` those that come later. ``bias`` is added to the scaled
        scores, ``relative`` to those before scaling.
        """
        ...

    def experts(self, x: T, router: T, first: T, second: T, bias: T | None, *, top: int, activation: Activation) -> T:
        """A mixture of feed-forward experts: the ``top`` best of them for each token, weighted by a softmax over all.

        ``router`` is (experts, features), ``first`` (experts, inner, features), ``second`` (experts, inner, features), of
        which each is ``activation(x @ first[e].T) @ second[e]``; ``bias`` (features,) is added once.
        """
        ...

    def convolve(self, x: T, weight: T, bias: T) -> T:
        """Convolve each row along its tokens, as if zeros stood around it; ``weight`` is (out, in, width), width odd."""
        ...

    def pool(self, x: T, how: Pool) -> T:
        """One vector a row of its tokens' states: (rows, features)."""
        ...

    def concatenate(self, parts: Sequence[T]) -> T:
        """Join along the last axis."""
        ...
