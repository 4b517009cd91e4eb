"""Qwen3: Yang et al., 2025, arXiv:2505.09388. Qwen2's blocks with normed queries and keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from textmill.arch import decoder, qwen2
from textmill.arch.decoder import OPTIONAL, classifier, language_model, sanitize, token_classifier
from textmill.arch.ops import Inputs, Ops
from textmill.arch.weights import Weights

T = TypeVar("T")

__all__ = ["OPTIONAL", "Config", "classifier", "forward", "language_model", "sanitize", "token_classifier"]


@dataclass(frozen=True, slots=True)
class Config(qwen2.Config):
    """Qwen2's keys, and heads of their own width."""

    head_dim: int | None = 128


def forward(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:
    """Token states (tokens…, hidden_size) after the final norm."""
    return decoder.forward(ops, config, weights, inputs, normed=True)
