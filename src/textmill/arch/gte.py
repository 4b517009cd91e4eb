"""GTE: Zhang et al., 2024, arXiv:2407.19669. BERT's blocks with rotary positions and gated feed-forward layers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from textmill.arch.config import activation, check_divides, check_positive, refuse
from textmill.arch.fused import cut_layers
from textmill.arch.heads import Dense, Head, LayerNorm, Pooling
from textmill.arch.ops import Inputs, Ops, Tensor
from textmill.arch.positions import Rotation
from textmill.arch.rope import frequencies, rotation
from textmill.arch.weights import Weights
from textmill.errors import ModelBroken

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Config:
    """The keys of config.json that matter to a forward pass, with transformers' defaults; refuses what textmill lacks.

    model_type is `gte` in transformers 5 and `new` in the repositories that brought code of their own. What those say about
    packing and unpadding is about speed alone.
    """

    model_type: str = "gte"
    vocab_size: int = 250048
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    max_position_embeddings: int = 8192
    type_vocab_size: int = 1
    layer_norm_type: str = "layer_norm"
    layer_norm_eps: float = 1e-12
    position_embedding_type: str = "rope"
    rope_theta: float | None = None
    rope_scaling: Mapping[str, Any] | None = None
    rope_parameters: Mapping[str, Any] | None = None
    logn_attention_scale: bool = False

    def __post_init__(self) -> None:
        check_positive(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=self.intermediate_size,
            max_position_embeddings=self.max_position_embeddings,
        )
        check_divides(("num_attention_heads", self.num_attention_heads), ("hidden_size", self.hidden_size))
        activation("hidden_act", self.hidden_act)
        if self.layer_norm_type not in ("layer_norm", "rms_norm"):
            refuse("layer_norm_type", self.layer_norm_type, "'layer_norm' and 'rms_norm'")
        if self.position_embedding_type not in ("rope", "absolute"):
            refuse("position_embedding_type", self.position_embedding_type, "'rope' and 'absolute'")
        if self.logn_attention_scale:
            refuse("logn_attention_scale", self.logn_attention_scale, "false")
        self.rotation()

    @property
    def positions(self) -> int | None:
        """Entries of the table of positions, where there is one."""
        return self.max_position_embeddings if self.position_embedding_type == "absolute" else None

    def rotation(self) -> Rotation | None:
        """How positions rotate, where they do."""
        if self.position_embedding_type == "absolute":
            return None
        width = self.hidden_size // self.num_attention_heads
        theta = 10_000.0 if self.model_type == "new" else 160_000.0
        scaling = self.rope_scaling or {}
        if "ntk" in (scaling.get("type"), scaling.get("rope_type")):
            return _ntk(scaling, self.rope_theta or theta, width)
        return rotation(self, width, theta=theta)


def _ntk(scaling: Mapping[str, Any], base: float, width: int) -> Rotation:
    """Fixed NTK scaling, or mixed where there is a `mixed_b` (https://kexue.fm/archives/9706)."""
    factor, mixed = scaling.get("factor"), scaling.get("mixed_b")
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in (factor, mixed or 0)):
        msg = f"config.json says rope_scaling {dict(scaling)!r}; ntk scaling needs numbers as factor and mixed_b"
        raise ModelBroken(msg)
    if not factor or factor <= 1:  # then no row is longer than what it was trained for
        return Rotation(frequencies(base, width))
    if mixed is None:
        return Rotation(frequencies(base * factor, width) / np.float32(factor ** (2 / width)))
    pairs = np.arange(1, width // 2 + 1, dtype=np.float32)
    slower = np.exp(np.float32(math.log(factor) / (width / 2) ** mixed) * pairs ** np.float32(mixed))
    return Rotation(frequencies(base, width) / slower)


BIASED = True
OPTIONAL = ("pooler.", "lm_head.", "classifier.")

_FUSED = {
    "self_attn.qkv_proj": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "mlp.up_gate_proj": ("mlp.up_proj", "mlp.gate_proj"),
}


def sanitize(_config: Config, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors by transformers' names, fused layers cut apart, the language model's decoder tied to the words."""
    renamed = {
        name.removeprefix("new.")
        .removeprefix("gte.")
        .replace("encoder.layer.", "layers.")
        .replace(".attention.", ".self_attn.")
        .replace(".attn_ln.", ".post_attention_layernorm.")
        .replace(".mlp_ln.", ".post_mlp_layernorm.")
        .replace("lm_head.norm.", "lm_head.layer_norm."): tensor
        for name, tensor in tensors.items()
    }
    plain = cut_layers(renamed, _FUSED)
    if "embeddings.word_embeddings.weight" in plain:
        plain.setdefault("lm_head.decoder.weight", plain["embeddings.word_embeddings.weight"])
    return plain


def classifier(_config: Config) -> tuple[Head, ...]:
    """Scores of a row: the pooler on its first token, then a linear layer."""
    return Pooling(("cls",)), Dense("pooler.dense", "tanh"), Dense("classifier")


def token_classifier(_config: Config) -> tuple[Head, ...]:
    """Scores of each token."""
    return (Dense("classifier"),)


def language_model(config: Config) -> tuple[Head, ...]:
    """Scores of the vocabulary for each token; transformers has the exact GELU here whatever `hidden_act` is."""
    act = activation("hidden_act", config.hidden_act) if config.model_type == "new" else "gelu"
    return (
        Dense("lm_head.dense", act),
        LayerNorm("lm_head.layer_norm", config.layer_norm_eps),
        Dense("lm_head.decoder", features=config.vocab_size),
    )


def forward(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:
    """Token states (tokens…, hidden_size) after the last layer."""
    turn = config.rotation()
    x = _embed(ops, config, weights.at("embeddings"), inputs)
    for index in range(config.num_hidden_layers):
        layer = weights.at(f"layers.{index}")
        attended = _attend(ops, config, layer.at("self_attn"), x, inputs.positions, turn)
        x = _norm(config, layer, "post_attention_layernorm", ops.add(x, attended))
        x = _norm(config, layer, "post_mlp_layernorm", ops.add(x, _feed(ops, config, layer.at("mlp"), x)))
    return x


def _embed(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:
    width = config.hidden_size
    x = weights.embedding("word_embeddings", inputs.ids, config.vocab_size, width)
    if config.type_vocab_size > 0:
        x = ops.add(x, weights.embedding("token_type_embeddings", inputs.types, config.type_vocab_size, width))
    if config.positions is not None:
        x = ops.add(x, weights.embedding("position_embeddings", inputs.positions, config.positions, width))
    return weights.layer_norm("LayerNorm", x, config.layer_norm_eps)


def _norm(config: Config, weights: Weights[T], name: str, x: T) -> T:
    norm = weights.rms_norm if config.layer_norm_type == "rms_norm" else weights.layer_norm
    return norm(name, x, config.layer_norm_eps)


def _attend(ops: Ops[T], config: Config, weights: Weights[T], x: T, positions: T, turn: Rotation | None) -> T:
    heads, width = config.num_attention_heads, config.hidden_size
    query = ops.split_heads(weights.linear("q_proj", x, width), heads)
    key = ops.split_heads(weights.linear("k_proj", x, width), heads)
    value = ops.split_heads(weights.linear("v_proj", x, width), heads)
    if turn is not None:
        query, key = ops.rope(query, positions, turn), ops.rope(key, positions, turn)
    states = ops.merge_heads(ops.attention(query, key, value, causal=False, scale=(width // heads) ** -0.5))
    return weights.linear("o_proj", states, width)


def _feed(ops: Ops[T], config: Config, weights: Weights[T], x: T) -> T:
    gate = weights.linear("gate_proj", x, config.intermediate_size)
    gate = ops.activation(gate, activation("hidden_act", config.hidden_act))
    inner = ops.multiply(gate, weights.linear("up_proj", x, config.intermediate_size))
    return weights.linear("down_proj", inner, config.hidden_size)
