"""MPNet: Song et al., 2020, arXiv:2004.09297. BERT's layers with T5's bias by distance, which all layers share; no segments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from textmill.arch import bert, roberta
from textmill.arch.buckets import HalfLogarithmic
from textmill.arch.config import check_positive, refuse
from textmill.arch.ops import Inputs, Ops, Tensor
from textmill.arch.positions import Table
from textmill.arch.roberta import BIASED, OPTIONAL, classifier, language_model, token_classifier
from textmill.arch.weights import Weights

__all__ = ["BIASED", "OPTIONAL", "Config", "classifier", "forward", "language_model", "sanitize", "token_classifier"]

T = TypeVar("T")

SKIPPED = 2
"""Entries of the table of positions that no token has: the padding's id is 1 whatever config.json says."""
BUCKETS, MAX_DISTANCE = 32, 128
"""Of the bias; the reference takes these whatever config.json says."""


@dataclass(frozen=True, slots=True)
class Config(bert.Config):
    """BERT's keys, with transformers' defaults for MPNet."""

    POSITION_TYPES: ClassVar[tuple[str, ...]] = ("absolute",)

    vocab_size: int = 30527
    relative_attention_num_buckets: int = BUCKETS

    def __post_init__(self) -> None:
        bert.Config.__post_init__(self)
        check_positive(**{"max_position_embeddings without the first two": self.entries})
        if self.relative_attention_num_buckets != BUCKETS:
            refuse("relative_attention_num_buckets", self.relative_attention_num_buckets, str(BUCKETS))

    @property
    def entries(self) -> int:
        """Entries of the table of positions from the first token's on."""
        return self.max_position_embeddings - SKIPPED


def sanitize(config: Config, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors without the `mpnet.` prefix, the table of positions from the first token's on, the decoder tied to the words."""
    plain = roberta.cut_positions(bert.plain_names(config, tensors, ("mpnet.",)), SKIPPED)
    return bert.tie(plain, "lm_head.decoder", bias="lm_head.bias")


def forward(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:
    """Token states (tokens…, hidden_size) after the last layer."""
    weights = weights.with_biases()
    table = weights.at("embeddings")
    words = table.embedding("word_embeddings", inputs.ids, config.vocab_size, config.hidden_size)
    positions = table.embedding("position_embeddings", inputs.positions, config.entries, config.hidden_size)
    x = table.layer_norm("LayerNorm", ops.add(words, positions), config.layer_norm_eps)
    entries = weights.table("encoder.relative_attention_bias", BUCKETS, config.num_attention_heads)
    bias = Table(entries, HalfLogarithmic(BUCKETS, MAX_DISTANCE))
    for index in range(config.num_hidden_layers):
        layer = weights.at(f"encoder.layer.{index}")
        x = bert.feed(ops, config, layer, _attend(ops, config, layer.at("attention"), x, bias))
    return x


def _attend(ops: Ops[T], config: Config, weights: Weights[T], x: T, bias: Table[T]) -> T:
    query, key, value = (
        ops.split_heads(weights.linear(f"attn.{name}", x, config.hidden_size), config.num_attention_heads)
        for name in ("q", "k", "v")
    )
    states = ops.merge_heads(ops.attention(query, key, value, causal=False, scale=config.width**-0.5, bias=bias))
    attended = weights.linear("attn.o", states, config.hidden_size)
    return weights.layer_norm("LayerNorm", ops.add(attended, x), config.layer_norm_eps)
