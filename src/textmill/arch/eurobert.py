"""EuroBERT: Boizard et al., 2025, arXiv:2503.05500. Llama's blocks with attention in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from textmill.arch.config import activation, check_divides, check_positive, refuse
from textmill.arch.heads import Dense, Head, Pooling
from textmill.arch.ops import Inputs, Ops, Tensor
from textmill.arch.positions import Rotation
from textmill.arch.rope import rotation
from textmill.arch.weights import Weights

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Config:
    """The keys of config.json that matter to a forward pass, with transformers' defaults; refuses what textmill lacks.

    `clf_pooling` is what the model's own repositories called `classifier_pooling`.
    """

    vocab_size: int = 128256
    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    hidden_act: str = "silu"
    max_position_embeddings: int = 8192
    rms_norm_eps: float = 1e-5
    rope_theta: float | None = None
    rope_scaling: Mapping[str, Any] | None = None
    rope_parameters: Mapping[str, Any] | None = None
    classifier_pooling: str | None = None
    clf_pooling: str | None = None
    tie_word_embeddings: bool = False

    def __post_init__(self) -> None:
        check_positive(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            num_key_value_heads=self.key_value_heads,
            max_position_embeddings=self.max_position_embeddings,
        )
        if self.head_dim is None:
            check_divides(("num_attention_heads", self.num_attention_heads), ("hidden_size", self.hidden_size))
        check_divides(("num_key_value_heads", self.key_value_heads), ("num_attention_heads", self.num_attention_heads))
        activation("hidden_act", self.hidden_act)
        if self.pooling not in ("late", "bos", "mean"):
            refuse("classifier_pooling", self.pooling, "'late', 'bos' and 'mean'")
        rotation(self, self.width)

    @property
    def key_value_heads(self) -> int:
        """Heads of keys and values; null means as many as the queries have."""
        return self.num_attention_heads if self.num_key_value_heads is None else self.num_key_value_heads

    @property
    def width(self) -> int:
        """Features of a head."""
        return self.hidden_size // self.num_attention_heads if self.head_dim is None else self.head_dim

    @property
    def pooling(self) -> str:
        """How a classifier makes one vector of a row."""
        return self.classifier_pooling or self.clf_pooling or "late"

    @property
    def positions(self) -> None:
        """There is no table of positions."""


OPTIONAL = ("lm_head.", "dense.", "classifier.")


def sanitize(config: Config, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors without the `model.` prefix; the language model's head tied to the words where config.json says so."""
    plain = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    if config.tie_word_embeddings and "embed_tokens.weight" in plain:
        plain.setdefault("lm_head.weight", plain["embed_tokens.weight"])
    return plain


def classifier(config: Config) -> tuple[Head, ...]:
    """Scores of a row: its first token's, its mean's, or (late) the mean of its tokens' scores."""
    scores: tuple[Head, ...] = (Dense("dense", "gelu"), Dense("classifier"))
    if config.pooling == "late":
        return *scores, Pooling(("mean",))
    return Pooling(("cls",) if config.pooling == "bos" else ("mean",)), *scores


def token_classifier(_config: Config) -> tuple[Head, ...]:
    """Scores of each token."""
    return (Dense("classifier"),)


def language_model(config: Config) -> tuple[Head, ...]:
    """Scores of the vocabulary for each token."""
    return (Dense("lm_head", features=config.vocab_size),)


def forward(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:
    """Token states (tokens…, hidden_size) after the final norm."""
    turn = rotation(config, config.width)
    x = weights.embedding("embed_tokens", inputs.ids, config.vocab_size, config.hidden_size)
    for index in range(config.num_hidden_layers):
        layer = weights.at(f"layers.{index}")
        h = layer.rms_norm("input_layernorm", x, config.rms_norm_eps)
        x = ops.add(x, _attend(ops, config, layer.at("self_attn"), h, inputs.positions, turn))
        h = layer.rms_norm("post_attention_layernorm", x, config.rms_norm_eps)
        x = ops.add(x, _feed(ops, config, layer.at("mlp"), h))
    return weights.rms_norm("norm", x, config.rms_norm_eps)


def _attend(ops: Ops[T], config: Config, weights: Weights[T], x: T, positions: T, turn: Rotation) -> T:
    width, heads, groups = config.width, config.num_attention_heads, config.key_value_heads
    query = ops.rope(ops.split_heads(weights.linear("q_proj", x, heads * width), heads), positions, turn)
    key = ops.rope(ops.split_heads(weights.linear("k_proj", x, groups * width), groups), positions, turn)
    value = ops.split_heads(weights.linear("v_proj", x, groups * width), groups)
    states = ops.merge_heads(ops.attention(query, key, value, causal=False, scale=width**-0.5))
    return weights.linear("o_proj", states, config.hidden_size)


def _feed(ops: Ops[T], config: Config, weights: Weights[T], x: T) -> T:
    gate = weights.linear("gate_proj", x, config.intermediate_size)
    gate = ops.activation(gate, activation("hidden_act", config.hidden_act))
    inner = ops.multiply(gate, weights.linear("up_proj", x, config.intermediate_size))
    return weights.linear("down_proj", inner, config.hidden_size)
