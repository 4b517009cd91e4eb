"""Heads: the last steps from token states to an answer, each reading its own tensors of the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from textmill.arch.ops import Activation, Pool, Tensor
from textmill.arch.weights import Weights

T = TypeVar("T")

Output = Literal["dense", "sparse", "logits", "tokens", "lexical", "multi", "token_logits"]
"""What a program can answer.

For each row: ``dense``, an embedding; ``sparse``, a weight for each entry of the vocabulary, most of them 0; ``logits``, a score
for each class. For each token: ``tokens``, its state; ``lexical``, its weight; ``multi``, its vector for late interaction;
``token_logits``, a score for each class.
"""
PER_TOKEN: frozenset[str] = frozenset({"tokens", "lexical", "multi", "token_logits"})


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
    """A linear layer with an optional activation; its tensors are `{name}.weight` and, where there is one, `{name}.bias`.

    ``features`` is the width of its output, where something else than the weight says so. ``biased``: it must have a bias.
    """

    name: str
    activation: Activation | None = None
    features: int | None = None
    biased: bool = False

    def apply(self, weights: Weights[T], x: T) -> T:
        """(…, in_features) to (…, out_features)."""
        weights = weights.with_biases() if self.biased else weights
        y = weights.linear(self.name, x, self.features)
        return y if self.activation is None else weights.ops.activation(y, self.activation)


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """A layer norm; its tensors are `{name}.weight` and, where there is one or it is ``biased``, `{name}.bias`."""

    name: str
    eps: float = 1e-5
    biased: bool = False

    def apply(self, weights: Weights[T], x: T) -> T:
        """(…, features) to the same shape."""
        weights = weights.with_biases() if self.biased else weights
        return weights.layer_norm(self.name, x, self.eps)


@dataclass(frozen=True, slots=True)
class Activate:
    """A non-linear function of each value."""

    activation: Activation

    def apply(self, weights: Weights[T], x: T) -> T:
        """To the same shape."""
        return weights.ops.activation(x, self.activation)


@dataclass(frozen=True, slots=True)
class Normalize:
    """Scale each vector to unit length."""

    def apply(self, weights: Weights[T], x: T) -> T:
        """(…, features) to the same shape."""
        return weights.ops.normalize(x)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The scores of a few entries of the vocabulary, by the rows ``ids`` of `{name}.weight` and `{name}.bias`."""

    name: str
    ids: tuple[int, ...]

    @property
    def _picked(self) -> str:
        return f"{self.name}[{', '.join(map(str, self.ids))}]"

    def pick(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors that `apply` reads, made of the checkpoint's; none where it lacks them, which `apply` reports."""
        return {
            f"{self._picked}.{part}": replace(tensor, data=tensor.data[list(self.ids)])
            for part in ("weight", "bias")
            if (tensor := tensors.get(f"{self.name}.{part}")) is not None and max(self.ids) < len(tensor.data)
        }

    def apply(self, weights: Weights[T], x: T) -> T:
        """(…, features) to (…, ids)."""
        return weights.linear(self._picked, x)


Head = Pooling | Dense | LayerNorm | Activate | Normalize | Vocabulary
