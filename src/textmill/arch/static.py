"""Static embeddings: each token has one vector, whatever stands around it (model2vec; StaticEmbedding of sentence-transformers)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from textmill.arch.config import check_positive
from textmill.arch.ops import Inputs, Ops, Tensor
from textmill.arch.weights import Weights

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Config:
    """The table's size; such checkpoints have no config.json that says it, so whoever opens them reads it off the table."""

    vocab_size: int
    hidden_size: int
    positions: int | None = None

    def __post_init__(self) -> None:
        check_positive(vocab_size=self.vocab_size, hidden_size=self.hidden_size)


OPTIONAL = ()


def sanitize(_config: Config, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors as they are."""
    return tensors


def forward(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:  # noqa: ARG001 - as every architecture
    """Token states (tokens…, hidden_size): the rows of the table."""
    return weights.embedding("embedding", inputs.ids, config.vocab_size, config.hidden_size)
