"""Gemma 3, its text part: Kamath et al., 2025, arXiv:2503.19786; EmbeddingGemma (arXiv:2509.20354) sees in both directions.

Norms before and after each block, normed queries and keys, and layers with a window between those without.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from textmill.arch import decoder, gemma
from textmill.arch.config import activation, check_positive, refuse
from textmill.arch.decoder import OPTIONAL, DecoderConfig, LayerType, classifier, language_model, token_classifier
from textmill.arch.ops import Inputs, Ops, Tensor
from textmill.arch.positions import Rotation
from textmill.arch.rope import frequencies, rotation
from textmill.arch.weights import Weights

T = TypeVar("T")

__all__ = ["OPTIONAL", "Config", "classifier", "forward", "language_model", "sanitize", "token_classifier"]

_GLOBAL_THETA, _LOCAL_THETA = 1_000_000.0, 10_000.0


@dataclass(frozen=True, slots=True)
class Config(DecoderConfig):
    """Gemma 3's keys; every ``sliding_window_pattern``-th layer is without a window where ``layer_types`` is absent.

    ``rope_theta`` and ``rope_scaling`` are the spelling before transformers 5, for the layers without a window alone.
    """

    vocab_size: int = 262208
    hidden_size: int = 2304
    intermediate_size: int = 9216
    num_hidden_layers: int = 26
    num_attention_heads: int = 8
    num_key_value_heads: int | None = 4
    head_dim: int | None = 256
    hidden_activation: str = "gelu_pytorch_tanh"
    max_position_embeddings: int = 131072
    query_pre_attn_scalar: float = 256
    sliding_window: int | None = 4096
    sliding_window_pattern: int | None = None
    _sliding_window_pattern: int | None = None
    rope_local_base_freq: float | None = None
    attn_logit_softcapping: float | None = None
    final_logit_softcapping: float | None = None

    def __post_init__(self) -> None:
        check_positive(query_pre_attn_scalar=self.query_pre_attn_scalar, sliding_window_pattern=self.pattern)
        activation("hidden_activation", self.hidden_activation)
        for key in ("attn_logit_softcapping", "final_logit_softcapping"):
            if getattr(self, key) is not None:
                refuse(key, getattr(self, key), "Gemma 3 without capping")
        DecoderConfig.__post_init__(self)

    @property
    def pattern(self) -> int:
        """Of so many layers the last has no window."""
        return self.sliding_window_pattern or self._sliding_window_pattern or 6

    @property
    def scale(self) -> float:
        """What attention scores are multiplied with."""
        return float(self.query_pre_attn_scalar**-0.5)

    @property
    def kinds(self) -> list[Any]:
        """The kind of attention in each layer."""
        if self.layer_types is not None:
            return self.layer_types
        layers = range(1, self.num_hidden_layers + 1)
        return ["sliding_attention" if index % self.pattern else "full_attention" for index in layers]

    @property
    def reach(self) -> int | None:
        """How far a token sees in layers with a window: to both sides, half of it each."""
        if self.sliding_window is None:
            return None
        return self.sliding_window - 1 if self.causal else self.sliding_window // 2

    def turn(self, kind: LayerType) -> Rotation:
        """The rotation in layers of a kind."""
        if kind == "sliding_attention" and self.rope_parameters is None:
            return Rotation(frequencies(self.rope_local_base_freq or _LOCAL_THETA, self.width))
        theta = _GLOBAL_THETA if kind == "full_attention" else _LOCAL_THETA
        return rotation(self, self.width, theta=theta, layer_type=kind)


def sanitize(config: Config, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Gemma's tensors; those of a model for pictures too, which has its text part under `language_model.`."""
    return gemma.sanitize(config, {name.removeprefix("language_model."): tensor for name, tensor in tensors.items()})


def forward(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:
    """Token states (tokens…, hidden_size) after the final norm."""
    eps, turns = config.rms_norm_eps, {kind: config.turn(kind) for kind in set(config.kinds)}
    x = weights.embedding("embed_tokens", inputs.ids, config.vocab_size, config.hidden_size)
    x = ops.multiply(x, weights["embed_scale"])
    for index, kind in enumerate(config.kinds):
        layer = weights.at(f"layers.{index}")
        h = layer.rms_norm("input_layernorm", x, eps)
        h = decoder.attend(ops, config, layer.at("self_attn"), h, inputs, kind, turns[kind], normed=True)
        x = ops.add(x, layer.rms_norm("post_attention_layernorm", h, eps))
        h = layer.rms_norm("pre_feedforward_layernorm", x, eps)
        h = decoder.feed(ops, config, layer.at("mlp"), h, config.hidden_activation)
        x = ops.add(x, layer.rms_norm("post_feedforward_layernorm", h, eps))
    return weights.rms_norm("norm", x, eps)
