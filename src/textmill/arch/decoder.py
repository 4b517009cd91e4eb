"""What causal language models of Llama's line share: their keys of config.json, their names, and their blocks.

Norms before each block, rotary positions, grouped keys, gated feed-forward layers (Touvron et al., 2023, arXiv:2302.13971).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from textmill.arch.config import activation, check_divides, check_positive, refuse
from textmill.arch.heads import Dense, Head, Pooling
from textmill.arch.ops import Inputs, Ops, Tensor
from textmill.arch.positions import Rotation
from textmill.arch.rope import rotation
from textmill.arch.weights import Weights
from textmill.errors import ModelBroken

T = TypeVar("T")
LayerType = Literal["full_attention", "sliding_attention"]

OPTIONAL = ("lm_head.", "score.")


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """The keys of config.json that matter to a forward pass; families change the defaults.

    A causal model embeds in both directions where ``is_causal`` is false or ``use_bidirectional_attention`` is true.
    """

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    hidden_act: str = "silu"
    max_position_embeddings: int = 2048
    rms_norm_eps: float = 1e-6
    rope_theta: float | None = None
    rope_scaling: Mapping[str, Any] | None = None
    rope_parameters: Mapping[str, Any] | None = None
    sliding_window: int | None = None
    layer_types: list[Any] | None = None
    is_causal: bool = True
    use_bidirectional_attention: bool = False

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
        if len(self.kinds) != self.num_hidden_layers:
            msg = f"config.json says num_hidden_layers {self.num_hidden_layers}, but layer_types names {len(self.kinds)} layers"
            raise ModelBroken(msg)
        for kind in self.kinds:
            if kind not in ("full_attention", "sliding_attention"):
                refuse("layer_types", kind, "'full_attention' and 'sliding_attention'")
        if "sliding_attention" in self.kinds and (self.sliding_window is None or self.sliding_window < 1):
            refuse(
                "sliding_window", self.sliding_window, "a number of tokens above zero in layers of sliding attention"
            )
        for kind in set(self.kinds):
            self.turn(kind)

    @property
    def key_value_heads(self) -> int:
        """Heads of keys and values; null means as many as the queries have."""
        return self.num_attention_heads if self.num_key_value_heads is None else self.num_key_value_heads

    @property
    def width(self) -> int:
        """Features of a head."""
        return self.hidden_size // self.num_attention_heads if self.head_dim is None else self.head_dim

    @property
    def scale(self) -> float:
        """What attention scores are multiplied with."""
        return float(self.width**-0.5)

    @property
    def causal(self) -> bool:
        """Whether a token sees only those before it."""
        return self.is_causal and not self.use_bidirectional_attention

    @property
    def kinds(self) -> list[Any]:
        """The kind of attention in each layer."""
        return ["full_attention"] * self.num_hidden_layers if self.layer_types is None else self.layer_types

    @property
    def reach(self) -> int | None:
        """How far a token sees in layers of sliding attention; causal models count the token itself into the window."""
        return self.sliding_window if self.sliding_window is None or not self.causal else self.sliding_window - 1

    @property
    def positions(self) -> None:
        """There is no table of positions."""

    def turn(self, kind: LayerType) -> Rotation:
        """The rotation in layers of a kind."""
        return rotation(self, self.width, layer_type=kind)


def sanitize(_config: DecoderConfig, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors without the `model.` prefix; the language model's head tied to the words where it has none."""
    plain = {name.removeprefix("model."): tensor for name, tensor in tensors.items() if "rotary_emb" not in name}
    if "embed_tokens.weight" in plain:
        plain.setdefault("lm_head.weight", plain["embed_tokens.weight"])
    return plain


def classifier(_config: DecoderConfig) -> tuple[Head, ...]:
    """Scores of a row, from its last token."""
    return Pooling(("lasttoken",)), Dense("score")


def token_classifier(_config: DecoderConfig) -> tuple[Head, ...]:
    """Scores of each token."""
    return (Dense("score"),)


def language_model(config: DecoderConfig) -> tuple[Head, ...]:
    """Scores of the vocabulary for each token."""
    return (Dense("lm_head", features=config.vocab_size),)


def forward(
    ops: Ops[T],
    config: DecoderConfig,
    weights: Weights[T],
    inputs: Inputs[T],
    *,
    normed: bool = False,
    scaled: bool = False,
) -> T:
    """Token states (tokens…, hidden_size) after the final norm.

    ``normed`` norms queries and keys head by head, ``scaled`` multiplies embeddings with the tensor embed_scale.
    """
    turns = {kind: config.turn(kind) for kind in set(config.kinds)}
    x = weights.embedding("embed_tokens", inputs.ids, config.vocab_size, config.hidden_size)
    x = ops.multiply(x, weights["embed_scale"]) if scaled else x
    for index, kind in enumerate(config.kinds):
        layer = weights.at(f"layers.{index}")
        h = layer.rms_norm("input_layernorm", x, config.rms_norm_eps)
        h = attend(ops, config, layer.at("self_attn"), h, inputs, kind, turns[kind], normed=normed)
        x = ops.add(x, h)
        h = layer.rms_norm("post_attention_layernorm", x, config.rms_norm_eps)
        x = ops.add(x, feed(ops, config, layer.at("mlp"), h))
    return weights.rms_norm("norm", x, config.rms_norm_eps)


def attend(
    ops: Ops[T],
    config: DecoderConfig,
    weights: Weights[T],
    x: T,
    inputs: Inputs[T],
    kind: LayerType,
    turn: Rotation,
    *,
    normed: bool,
) -> T:
    """The attention block of a layer of that kind."""
    width, heads, groups = config.width, config.num_attention_heads, config.key_value_heads
    query = ops.split_heads(weights.linear("q_proj", x, heads * width), heads)
    key = ops.split_heads(weights.linear("k_proj", x, groups * width), groups)
    value = ops.split_heads(weights.linear("v_proj", x, groups * width), groups)
    if normed:
        query = weights.rms_norm("q_norm", query, config.rms_norm_eps)
        key = weights.rms_norm("k_norm", key, config.rms_norm_eps)
    states = ops.attention(
        ops.rope(query, inputs.positions, turn),
        ops.rope(key, inputs.positions, turn),
        value,
        causal=config.causal,
        scale=config.scale,
        window=config.reach if kind == "sliding_attention" else None,
    )
    return weights.linear("o_proj", ops.merge_heads(states), config.hidden_size)


def feed(ops: Ops[T], config: DecoderConfig, weights: Weights[T], x: T, function: str | None = None) -> T:
    """The gated feed-forward block; ``function`` is hidden_act where it is None."""
    gate = weights.linear("gate_proj", x, config.intermediate_size)
    gate = ops.activation(gate, activation("hidden_act", function or config.hidden_act))
    inner = ops.multiply(gate, weights.linear("up_proj", x, config.intermediate_size))
    return weights.linear("down_proj", inner, config.hidden_size)
