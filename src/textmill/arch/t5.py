"""The encoder of T5: Raffel et al., 2019, arXiv:1910.10683; also of mT5 and UMT5. A bias by distance in place of positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from textmill.arch.buckets import HalfLogarithmic
from textmill.arch.config import activation, check_positive
from textmill.arch.ops import Inputs, Ops, Tensor
from textmill.arch.positions import Table
from textmill.arch.weights import Weights

T = TypeVar("T")

OPTIONAL = ("decoder.", "lm_head.")


@dataclass(frozen=True, slots=True)
class Config:
    """The keys of config.json that matter to a forward pass, with transformers' defaults."""

    vocab_size: int = 32128
    d_model: int = 512
    d_kv: int = 64
    d_ff: int = 2048
    num_layers: int = 6
    num_heads: int = 8
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    layer_norm_epsilon: float = 1e-6
    feed_forward_proj: str = "relu"
    model_type: str = "t5"

    def __post_init__(self) -> None:
        check_positive(
            vocab_size=self.vocab_size,
            d_model=self.d_model,
            d_kv=self.d_kv,
            d_ff=self.d_ff,
            num_layers=self.num_layers,
            num_heads=self.num_heads,
            relative_attention_num_buckets=self.relative_attention_num_buckets,
            relative_attention_max_distance=self.relative_attention_max_distance,
        )
        activation("feed_forward_proj", self.function)

    @property
    def hidden_size(self) -> int:
        """The width of token states."""
        return self.d_model

    @property
    def positions(self) -> None:
        """There is no table of positions."""

    @property
    def gated(self) -> bool:
        """Whether feed-forward layers have a gate."""
        return self.feed_forward_proj.startswith("gated-")

    @property
    def function(self) -> str:
        """The activation's name; what is called gated-gelu is the tanh approximation."""
        name = self.feed_forward_proj.removeprefix("gated-")
        return "gelu_new" if self.gated and name == "gelu" else name


def sanitize(_config: Config, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors by their own names; the words are shared by encoder and decoder, under either name."""
    plain = dict(tensors)
    words = plain.pop("encoder.embed_tokens.weight", None)
    if words is not None:
        plain.setdefault("shared.weight", words)
    return plain


def forward(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:
    """Token states (tokens…, d_model) after the final norm."""
    x = weights.embedding("shared", inputs.ids, config.vocab_size, config.d_model)
    bias = _bias(config, weights.at("encoder.block.0.layer.0.SelfAttention"))
    for index in range(config.num_layers):
        if index and config.model_type == "umt5":  # the only one whose layers have a bias each (arXiv:2304.09151)
            bias = _bias(config, weights.at(f"encoder.block.{index}.layer.0.SelfAttention"))
        layer = weights.at(f"encoder.block.{index}.layer")
        h = layer.rms_norm("0.layer_norm", x, config.layer_norm_epsilon)
        x = ops.add(x, _attend(ops, config, layer.at("0.SelfAttention"), h, bias))
        h = layer.rms_norm("1.layer_norm", x, config.layer_norm_epsilon)
        x = ops.add(x, _feed(ops, config, layer.at("1.DenseReluDense"), h))
    return weights.rms_norm("encoder.final_layer_norm", x, config.layer_norm_epsilon)


def _bias(config: Config, weights: Weights[T]) -> Table[T]:
    """A layer's bias by distance."""
    buckets = config.relative_attention_num_buckets
    entries = weights.table("relative_attention_bias", buckets, config.num_heads)
    return Table(entries, HalfLogarithmic(buckets, config.relative_attention_max_distance))


def _attend(ops: Ops[T], config: Config, weights: Weights[T], x: T, bias: Table[T]) -> T:
    heads, inner = config.num_heads, config.num_heads * config.d_kv
    query, key, value = (ops.split_heads(weights.product(name, x, inner), heads) for name in ("q", "k", "v"))
    states = ops.attention(query, key, value, causal=False, scale=1.0, bias=bias)
    return weights.product("o", ops.merge_heads(states), config.d_model)


def _feed(ops: Ops[T], config: Config, weights: Weights[T], x: T) -> T:
    function = activation("feed_forward_proj", config.function)
    if not config.gated:
        return weights.product("wo", ops.activation(weights.product("wi", x, config.d_ff), function), config.d_model)
    gate = ops.activation(weights.product("wi_0", x, config.d_ff), function)
    return weights.product("wo", ops.multiply(gate, weights.product("wi_1", x, config.d_ff)), config.d_model)
