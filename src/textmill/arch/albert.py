"""ALBERT: Lan et al., 2019, arXiv:1909.11942. Narrow embeddings, and layers that share their weights within a group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from textmill.arch import bert
from textmill.arch.config import activation, check_positive
from textmill.arch.heads import Dense, Head, LayerNorm, Pooling
from textmill.arch.ops import Inputs, Ops, Tensor
from textmill.arch.weights import Weights

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Config(bert.Config):
    """BERT's keys, with transformers' defaults for ALBERT, the width of the embeddings and the numbers of groups."""

    POSITION_TYPES: ClassVar[tuple[str, ...]] = ("absolute",)

    vocab_size: int = 30000
    embedding_size: int = 128
    hidden_size: int = 4096
    num_hidden_groups: int = 1
    num_attention_heads: int = 64
    intermediate_size: int = 16384
    inner_group_num: int = 1
    hidden_act: str = "gelu_new"

    def __post_init__(self) -> None:
        bert.Config.__post_init__(self)
        check_positive(
            embedding_size=self.embedding_size,
            num_hidden_groups=self.num_hidden_groups,
            inner_group_num=self.inner_group_num,
        )


BIASED = True
OPTIONAL = ("pooler.", "classifier.", "predictions.", "sop_classifier.")


def sanitize(config: Config, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors without the `albert.` prefix; the head's decoder tied to the words."""
    plain = bert.plain_names(config, tensors, ("albert.",))
    return bert.tie(plain, "predictions.decoder", bias="predictions.bias")


def classifier(_config: Config) -> tuple[Head, ...]:
    """Scores of a row: the pooler on its first token, then a linear layer."""
    return Pooling(("cls",)), Dense("pooler", "tanh"), Dense("classifier")


def token_classifier(_config: Config) -> tuple[Head, ...]:
    """Scores of each token."""
    return (Dense("classifier"),)


def language_model(config: Config) -> tuple[Head, ...]:
    """Scores of the vocabulary for each token."""
    return (
        Dense("predictions.dense", activation("hidden_act", config.hidden_act)),
        LayerNorm("predictions.LayerNorm", config.layer_norm_eps),
        Dense("predictions.decoder", features=config.vocab_size),
    )


def forward(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:
    """Token states (tokens…, hidden_size) after the last layer."""
    weights = weights.with_biases()
    x = bert.embed(ops, config, weights.at("embeddings"), inputs, config.embedding_size)
    encoder = weights.at("encoder")
    x = encoder.linear("embedding_hidden_mapping_in", x, config.hidden_size)
    for index in range(config.num_hidden_layers):
        group = int(index / (config.num_hidden_layers / config.num_hidden_groups))
        layers = encoder.at(f"albert_layer_groups.{group}.albert_layers")
        for inner in range(config.inner_group_num):
            x = _layer(ops, config, layers.at(str(inner)), x)
    return x


def _layer(ops: Ops[T], config: Config, weights: Weights[T], x: T) -> T:
    x = _attend(ops, config, weights.at("attention"), x)
    inner = weights.linear("ffn", x, config.intermediate_size)
    inner = ops.activation(inner, activation("hidden_act", config.hidden_act))
    fed = weights.linear("ffn_output", inner, config.hidden_size)
    return weights.layer_norm("full_layer_layer_norm", ops.add(fed, x), config.layer_norm_eps)


def _attend(ops: Ops[T], config: Config, weights: Weights[T], x: T) -> T:
    query, key, value = (
        ops.split_heads(weights.linear(name, x, config.hidden_size), config.num_attention_heads)
        for name in ("query", "key", "value")
    )
    states = ops.merge_heads(ops.attention(query, key, value, causal=False, scale=config.width**-0.5))
    attended = weights.linear("dense", states, config.hidden_size)
    return weights.layer_norm("LayerNorm", ops.add(x, attended), config.layer_norm_eps)
