"""Gemma: Mesnard et al., 2024, arXiv:2403.08295. Llama's blocks with scaled embeddings and norms that scale by one more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from textmill.arch import decoder
from textmill.arch.decoder import OPTIONAL, DecoderConfig, classifier, language_model, token_classifier
from textmill.arch.ops import Inputs, Ops, Tensor
from textmill.arch.weights import Weights

T = TypeVar("T")

__all__ = ["OPTIONAL", "Config", "classifier", "forward", "language_model", "sanitize", "token_classifier"]


@dataclass(frozen=True, slots=True)
class Config(DecoderConfig):
    """Gemma's defaults; what its first releases call gelu is the tanh approximation."""

    vocab_size: int = 256000
    hidden_size: int = 3072
    intermediate_size: int = 24576
    num_hidden_layers: int = 28
    num_attention_heads: int = 16
    num_key_value_heads: int | None = 16
    head_dim: int | None = 256
    hidden_act: str = "gelu_pytorch_tanh"
    max_position_embeddings: int = 8192


def sanitize(config: DecoderConfig, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The decoder's tensors, the one added to the norms' weights, and the embeddings' scale as a tensor."""
    plain = dict(decoder.sanitize(config, tensors))
    for name, tensor in plain.items():
        if name.endswith("norm.weight"):
            plain[name] = replace(tensor, data=1 + tensor.widened(), dtype="float32")
    scale = np.array(config.hidden_size**0.5, np.float32)
    return plain | {"embed_scale": Tensor(scale, "float32", "embed_scale")}


def forward(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:
    """Token states (tokens…, hidden_size) after the final norm."""
    if config.hidden_act == "gelu":
        config = replace(config, hidden_act="gelu_pytorch_tanh")
    return decoder.forward(ops, config, weights, inputs, scaled=True)
