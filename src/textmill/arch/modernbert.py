"""ModernBERT: Warner et al., 2024, arXiv:2412.13663. Norms before each block, rotary positions, most layers see a window only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from textmill.arch.config import activation, check_divides, check_positive, refuse
from textmill.arch.fused import cut_layers
from textmill.arch.heads import Dense, Head, LayerNorm, Pooling
from textmill.arch.ops import Inputs, Ops, Tensor
from textmill.arch.positions import Rotation
from textmill.arch.rope import rotation
from textmill.arch.weights import Weights

T = TypeVar("T")

FULL, SLIDING = "full_attention", "sliding_attention"


@dataclass(frozen=True, slots=True)
class Config:
    """The keys of config.json that matter to a forward pass, with transformers' defaults; refuses what textmill lacks.

    transformers 5 writes `layer_types` and `rope_parameters`; before, `global_attn_every_n_layers` and two thetas said the same.
    """

    vocab_size: int = 50368
    hidden_size: int = 768
    intermediate_size: int = 1152
    num_hidden_layers: int = 22
    num_attention_heads: int = 12
    hidden_activation: str = "gelu"
    max_position_embeddings: int = 8192
    norm_eps: float = 1e-5
    layer_types: list[Any] | None = None
    global_attn_every_n_layers: int = 3
    local_attention: int = 128
    rope_scaling: Mapping[str, Any] | None = None
    rope_parameters: Mapping[str, Any] | None = None
    global_rope_theta: float = 160_000.0
    local_rope_theta: float = 10_000.0
    classifier_pooling: str = "cls"
    classifier_activation: str = "gelu"

    def __post_init__(self) -> None:
        check_positive(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            max_position_embeddings=self.max_position_embeddings,
            global_attn_every_n_layers=self.global_attn_every_n_layers,
        )
        check_divides(("num_attention_heads", self.num_attention_heads), ("hidden_size", self.hidden_size))
        activation("hidden_activation", self.hidden_activation)
        activation("classifier_activation", self.classifier_activation)
        if len(self.kinds) != self.num_hidden_layers or set(self.kinds) - {FULL, SLIDING}:
            refuse("layer_types", self.layer_types, f"{FULL!r} or {SLIDING!r} for each of num_hidden_layers")
        if self.classifier_pooling not in ("cls", "mean"):
            refuse("classifier_pooling", self.classifier_pooling, "'cls' and 'mean'")
        for kind in set(self.kinds):
            self.rotation(kind)

    @property
    def rope_theta(self) -> None:
        """There is no base for all layers."""

    @property
    def positions(self) -> None:
        """There is no table of positions."""

    @property
    def kinds(self) -> list[str]:
        """The type of each layer."""
        every = self.global_attn_every_n_layers
        return self.layer_types or [SLIDING if index % every else FULL for index in range(self.num_hidden_layers)]

    def rotation(self, kind: str) -> Rotation:
        """How positions rotate in layers of that type."""
        theta = self.global_rope_theta if kind == FULL else self.local_rope_theta
        return rotation(self, self.hidden_size // self.num_attention_heads, theta=theta, layer_type=kind)


OPTIONAL = ("head.", "decoder.", "classifier.")

_FUSED = {"attn.Wqkv": ("attn.Wq", "attn.Wk", "attn.Wv"), "mlp.Wi": ("mlp.Wi_input", "mlp.Wi_gate")}


def sanitize(_config: Config, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors without the `model.` prefix, fused layers cut apart, the language model's decoder tied to the words."""
    plain = cut_layers({name.removeprefix("model."): tensor for name, tensor in tensors.items()}, _FUSED)
    if "embeddings.tok_embeddings.weight" in plain:
        plain.setdefault("decoder.weight", plain["embeddings.tok_embeddings.weight"])
    return plain


def classifier(config: Config) -> tuple[Head, ...]:
    """Scores of a row, from its first token or the mean of all."""
    pooling = Pooling(("cls",) if config.classifier_pooling == "cls" else ("mean",))
    return pooling, *_head(config), Dense("classifier")


def token_classifier(config: Config) -> tuple[Head, ...]:
    """Scores of each token."""
    return *_head(config), Dense("classifier")


def language_model(config: Config) -> tuple[Head, ...]:
    """Scores of the vocabulary for each token."""
    return *_head(config), Dense("decoder", features=config.vocab_size)


def _head(config: Config) -> tuple[Head, ...]:
    act = activation("classifier_activation", config.classifier_activation)
    return Dense("head.dense", act), LayerNorm("head.norm", config.norm_eps)


def forward(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:
    """Token states (tokens…, hidden_size) after the final norm."""
    kinds = config.kinds
    rotations = {kind: config.rotation(kind) for kind in sorted(set(kinds))}
    x = weights.embedding("embeddings.tok_embeddings", inputs.ids, config.vocab_size, config.hidden_size)
    x = weights.layer_norm("embeddings.norm", x, config.norm_eps)
    for index, kind in enumerate(kinds):
        layer = weights.at(f"layers.{index}")
        # The embeddings' norm stands in for the first layer's.
        h = x if index == 0 else layer.layer_norm("attn_norm", x, config.norm_eps)
        window = None if kind == FULL else config.local_attention // 2
        x = ops.add(x, _attend(ops, config, layer.at("attn"), h, inputs.positions, rotations[kind], window))
        x = ops.add(x, _feed(ops, config, layer.at("mlp"), layer.layer_norm("mlp_norm", x, config.norm_eps)))
    return weights.layer_norm("final_norm", x, config.norm_eps)


def _attend(
    ops: Ops[T], config: Config, weights: Weights[T], x: T, positions: T, turn: Rotation, window: int | None
) -> T:
    heads, width = config.num_attention_heads, config.hidden_size
    query = ops.rope(ops.split_heads(weights.linear("Wq", x, width), heads), positions, turn)
    key = ops.rope(ops.split_heads(weights.linear("Wk", x, width), heads), positions, turn)
    value = ops.split_heads(weights.linear("Wv", x, width), heads)
    scale = (width // heads) ** -0.5
    states = ops.attention(query, key, value, causal=False, scale=scale, window=window)
    return weights.linear("Wo", ops.merge_heads(states), width)


def _feed(ops: Ops[T], config: Config, weights: Weights[T], x: T) -> T:
    act = activation("hidden_activation", config.hidden_activation)
    inner = ops.activation(weights.linear("Wi_input", x, config.intermediate_size), act)
    inner = ops.multiply(inner, weights.linear("Wi_gate", x, config.intermediate_size))
    return weights.linear("Wo", inner, config.hidden_size)
