"""Qwen3: Yang et al., 2025, arXiv:2505.09388. Norms before each block, rotary positions, grouped keys, normed queries and keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from textmill.arch.config import activation, check_divides, check_positive, refuse
from textmill.arch.heads import Dense, Head, Pooling
from textmill.arch.ops import Inputs, Ops, Tensor
from textmill.arch.positions import Rotation
from textmill.arch.weights import Weights
from textmill.errors import ModelBroken

T = TypeVar("T")

ROPE_THETA = 10_000.0
"""The base of the rotation's frequencies where config.json names none; transformers' default."""


@dataclass(frozen=True, slots=True)
class Config:
    """The keys of config.json that matter to a forward pass, with transformers' defaults; refuses what textmill lacks.

    transformers 5 writes `rope_parameters`; before, `rope_theta` and `rope_scaling` said the same.
    """

    vocab_size: int = 151936
    hidden_size: int = 4096
    intermediate_size: int = 22016
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int | None = 32
    head_dim: int = 128
    hidden_act: str = "silu"
    max_position_embeddings: int = 32768
    rms_norm_eps: float = 1e-6
    rope_theta: float | None = None
    rope_scaling: Mapping[str, Any] | None = None
    rope_parameters: Mapping[str, Any] | None = None
    use_sliding_window: bool = False
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
            head_dim=self.head_dim,
            max_position_embeddings=self.max_position_embeddings,
            rope_theta=self.theta,
        )
        check_divides(("num_key_value_heads", self.key_value_heads), ("num_attention_heads", self.num_attention_heads))
        if self.head_dim % 2:
            refuse("head_dim", self.head_dim, "even ones, since rotation pairs the halves of a head")
        activation("hidden_act", self.hidden_act)
        if self.use_sliding_window:
            refuse("use_sliding_window", self.use_sliding_window, "full attention in every layer")
        if any(kind != "full_attention" for kind in self.layer_types or ()):
            refuse("layer_types", self.layer_types, "'full_attention' in every layer")
        self._check_rope()

    def _check_rope(self) -> None:
        for key in ("rope_scaling", "rope_parameters"):
            rope = getattr(self, key) or {}
            kind = rope.get("rope_type", rope.get("type", "default"))
            if kind not in ("default", None):
                refuse(f"{key}.rope_type", kind, "'default'")
            if rope.get("partial_rotary_factor") not in (None, 1):
                refuse(f"{key}.partial_rotary_factor", rope["partial_rotary_factor"], "1.0")

    @property
    def key_value_heads(self) -> int:
        """Heads of keys and values; null means as many as the queries have."""
        return self.num_attention_heads if self.num_key_value_heads is None else self.num_key_value_heads

    @property
    def theta(self) -> float:
        """The base of the rotation's frequencies."""
        rope = self.rope_scaling or self.rope_parameters or {}
        value = rope.get("rope_theta") or self.rope_theta or ROPE_THETA
        if isinstance(value, bool) or not isinstance(value, int | float):
            msg = f"config.json says rope_theta {value!r}; it must be a number"
            raise ModelBroken(msg)
        return value

    @property
    def frequencies(self) -> npt.NDArray[np.float32]:
        """Angles per position step, (head_dim / 2,); rounded in the same steps as transformers rounds them."""
        exponents = np.arange(0, self.head_dim, 2, dtype=np.float32) / np.float32(self.head_dim)
        frequencies: npt.NDArray[np.float32] = np.float32(1) / np.float32(self.theta) ** exponents
        return frequencies

    @property
    def causal(self) -> bool:
        """Whether a token sees only those before it; embedding models may look both ways."""
        return self.is_causal and not self.use_bidirectional_attention

    @property
    def positions(self) -> None:
        """There is no table of positions."""


OPTIONAL = ("lm_head.", "score.")


def sanitize(_config: Config, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The decoder's tensors without the `model.` prefix; the language model's head tied to the words where it has none."""
    plain = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    if "embed_tokens.weight" in plain:
        plain.setdefault("lm_head.weight", plain["embed_tokens.weight"])
    return plain


def classifier(_config: Config) -> tuple[Head, ...]:
    """Scores of a row, from its last token."""
    return Pooling(("lasttoken",)), Dense("score")


def token_classifier(_config: Config) -> tuple[Head, ...]:
    """Scores of each token."""
    return (Dense("score"),)


def language_model(_config: Config) -> tuple[Head, ...]:
    """Scores of the vocabulary for each token."""
    return (Dense("lm_head"),)


def forward(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:
    """Token states (tokens…, hidden_size) after the final norm."""
    rotation = Rotation(config.frequencies)
    x = weights.embedding("embed_tokens", inputs.ids, config.vocab_size, config.hidden_size)
    for index in range(config.num_hidden_layers):
        layer = weights.at(f"layers.{index}")
        h = layer.rms_norm("input_layernorm", x, config.rms_norm_eps)
        x = ops.add(x, _attend(ops, config, layer.at("self_attn"), h, inputs.positions, rotation))
        h = layer.rms_norm("post_attention_layernorm", x, config.rms_norm_eps)
        x = ops.add(x, _feed(ops, config, layer.at("mlp"), h))
    return weights.rms_norm("norm", x, config.rms_norm_eps)


def _attend(ops: Ops[T], config: Config, weights: Weights[T], x: T, positions: T, rotation: Rotation) -> T:
    width, eps = config.head_dim, config.rms_norm_eps
    heads, groups = config.num_attention_heads, config.key_value_heads
    query = ops.split_heads(weights.linear("q_proj", x, heads * width), heads)
    key = ops.split_heads(weights.linear("k_proj", x, groups * width), groups)
    value = ops.split_heads(weights.linear("v_proj", x, groups * width), groups)
    query = ops.rope(weights.rms_norm("q_norm", query, eps), positions, rotation)
    key = ops.rope(weights.rms_norm("k_norm", key, eps), positions, rotation)
    states = ops.merge_heads(ops.attention(query, key, value, causal=config.causal, scale=width**-0.5))
    return weights.linear("o_proj", states, config.hidden_size)


def _feed(ops: Ops[T], config: Config, weights: Weights[T], x: T) -> T:
    gate = ops.activation(
        weights.linear("gate_proj", x, config.intermediate_size), activation("hidden_act", config.hidden_act)
    )
    inner = ops.multiply(gate, weights.linear("up_proj", x, config.intermediate_size))
    return weights.linear("down_proj", inner, config.hidden_size)
