"""Heads: the last steps from token states to one vector a row, as modules.json of sentence-transformers lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from textmill.arch.ops import Activation, Pool
from textmill.arch.weights import Weights

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pooling:
    """Pool token states in one or several ways, side by side in this order."""

    modes: tuple[Pool, ...]
    include_prompt: bool = True

    def apply(self, weights: Weights[T], x: T) -> T:
        """(tokens…, features) to (rows, modes * features)."""
        parts = [weights.ops.pool(x, mode) for mode in self.modes]
        return parts[0] if len(parts) == 1 else weights.ops.concatenate(parts)


@dataclass(frozen=True, slots=True)
class Dense:
    """A linear layer with an optional activation; its tensors are `{path}.linear.weight` and `.bias`."""

    path: str
    activation: Activation | None

    def apply(self, weights: Weights[T], x: T) -> T:
        """(rows, in_features) to (rows, out_features)."""
        y = weights.at(self.path).linear("linear", x)
        return y if self.activation is None else weights.ops.activation(y, self.activation)


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """A layer norm; its tensors are `{path}.norm.weight` and `.bias`."""

    path: str
    eps: float = 1e-5

    def apply(self, weights: Weights[T], x: T) -> T:
        """(rows, features) to the same shape."""
        return weights.at(self.path).layer_norm("norm", x, self.eps)


@dataclass(frozen=True, slots=True)
class Normalize:
    """Scale each vector to unit length."""

    def apply(self, weights: Weights[T], x: T) -> T:
        """(rows, features) to the same shape."""
        return weights.ops.normalize(x)


Head = Pooling | Dense | LayerNorm | Normalize
