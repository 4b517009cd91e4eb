"""JinaBERT v2 for code, `jinaai/jina-embeddings-v2-base-code`: norms on queries and keys, and one more residual around attention.

Written anew after what `jinaai/jina-bert-v2-qk-post-norm` computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from textmill.arch import bert, jina_bert
from textmill.arch.bert import BIASED, OPTIONAL, classifier, language_model, token_classifier
from textmill.arch.config import activation
from textmill.arch.ops import Inputs, Ops, Tensor
from textmill.arch.positions import Slopes
from textmill.arch.weights import Weights

__all__ = ["BIASED", "OPTIONAL", "Config", "classifier", "forward", "language_model", "sanitize", "token_classifier"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Config(jina_bert.Config):
    """JinaBERT's keys."""


def sanitize(config: Config, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors by BERT's names; the gate, which is the second half here, and what it lets through apart."""
    plain = bert.sanitize(config, tensors)
    return jina_bert.halve(plain, "mlp.up_gated_layer", ("value", "gate"))


def forward(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:
    """Token states (tokens…, hidden_size) after the last layer."""
    weights = weights.with_biases()
    x = bert.embed(ops, config, weights.at("embeddings"), inputs, config.hidden_size)
    slopes = Slopes(jina_bert.head_slopes(config.num_attention_heads))
    for index in range(config.num_hidden_layers):
        layer = weights.at(f"encoder.layer.{index}")
        attended = bert.attend(ops, config, layer.at("attention"), x, slopes=slopes, norm_keys=True)
        x = layer.layer_norm("layer_norm_1", ops.add(x, attended), config.layer_norm_eps)
        fed = _feed(ops, config, layer.at("mlp"), x)
        x = layer.layer_norm("layer_norm_2", ops.add(x, fed), config.layer_norm_eps)
    return x


def _feed(ops: Ops[T], config: Config, weights: Weights[T], x: T) -> T:
    if config.gate is None:
        inner = weights.product("up_layer", x, config.intermediate_size)
        inner = ops.activation(inner, activation("hidden_act", config.hidden_act))
    else:
        inner = jina_bert.open_gate(ops, config, weights.at("up_gated_layer"), x)
    return weights.linear("down_layer", inner, config.hidden_size)
