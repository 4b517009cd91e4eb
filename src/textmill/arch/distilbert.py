"""DistilBERT: Sanh et al., 2019, arXiv:1910.01108. BERT with half its layers, without segments and pooler, under other names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from textmill.arch.bert import strip, tie
from textmill.arch.config import activation, check_divides, check_positive
from textmill.arch.heads import Dense, Head, LayerNorm, Pooling
from textmill.arch.ops import Inputs, Ops, Tensor
from textmill.arch.weights import Weights

T = TypeVar("T")

EPS = 1e-12
"""Of every norm; config.json does not say it."""


@dataclass(frozen=True, slots=True)
class Config:
    """The keys of config.json that matter to a forward pass, with transformers' defaults.

    Positions are a table in the checkpoint whether they were learned or computed (`sinusoidal_pos_embds`).
    """

    vocab_size: int = 30522
    max_position_embeddings: int = 512
    n_layers: int = 6
    n_heads: int = 12
    dim: int = 768
    hidden_dim: int = 3072
    activation: str = "gelu"

    def __post_init__(self) -> None:
        check_positive(
            vocab_size=self.vocab_size,
            max_position_embeddings=self.max_position_embeddings,
            n_layers=self.n_layers,
            n_heads=self.n_heads,
            dim=self.dim,
            hidden_dim=self.hidden_dim,
        )
        check_divides(("n_heads", self.n_heads), ("dim", self.dim))
        activation("activation", self.activation)

    @property
    def hidden_size(self) -> int:
        """The width of token states."""
        return self.dim

    @property
    def positions(self) -> int:
        """Entries of the table of positions."""
        return self.max_position_embeddings


BIASED = True
OPTIONAL = ("pre_classifier.", "classifier.", "vocab_transform.", "vocab_layer_norm.", "vocab_projector.")


def sanitize(_config: Config, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors without the `distilbert.` prefix, layers below `transformer`; the head's decoder tied to the words."""
    plain = {strip(name, ("distilbert.",)): tensor for name, tensor in tensors.items()}
    plain = {
        f"transformer.{name.removeprefix('encoder.')}" if name.startswith("encoder.") else name: tensor
        for name, tensor in plain.items()
    }
    plain.pop("embeddings.position_ids", None)
    return tie(plain, "vocab_projector")


def classifier(_config: Config) -> tuple[Head, ...]:
    """Scores of a row, from its first token."""
    return Pooling(("cls",)), Dense("pre_classifier", "relu"), Dense("classifier")


def token_classifier(_config: Config) -> tuple[Head, ...]:
    """Scores of each token."""
    return (Dense("classifier"),)


def language_model(config: Config) -> tuple[Head, ...]:
    """Scores of the vocabulary for each token."""
    return (
        Dense("vocab_transform", activation("activation", config.activation)),
        LayerNorm("vocab_layer_norm", EPS),
        Dense("vocab_projector", features=config.vocab_size),
    )


def forward(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:
    """Token states (tokens…, dim) after the last layer."""
    weights = weights.with_biases()
    table = weights.at("embeddings")
    words = table.embedding("word_embeddings", inputs.ids, config.vocab_size, config.dim)
    positions = table.embedding("position_embeddings", inputs.positions, config.positions, config.dim)
    x = table.layer_norm("LayerNorm", ops.add(words, positions), EPS)
    for index in range(config.n_layers):
        x = _layer(ops, config, weights.at(f"transformer.layer.{index}"), x)
    return x


def _layer(ops: Ops[T], config: Config, weights: Weights[T], x: T) -> T:
    x = weights.layer_norm("sa_layer_norm", ops.add(_attend(ops, config, weights.at("attention"), x), x), EPS)
    inner = ops.activation(
        weights.linear("ffn.lin1", x, config.hidden_dim), activation("activation", config.activation)
    )
    fed = weights.linear("ffn.lin2", inner, config.dim)
    return weights.layer_norm("output_layer_norm", ops.add(fed, x), EPS)


def _attend(ops: Ops[T], config: Config, weights: Weights[T], x: T) -> T:
    query, key, value = (
        ops.split_heads(weights.linear(name, x, config.dim), config.n_heads) for name in ("q_lin", "k_lin", "v_lin")
    )
    scale = (config.dim // config.n_heads) ** -0.5
    states = ops.merge_heads(ops.attention(query, key, value, causal=False, scale=scale))
    return weights.linear("out_lin", states, config.dim)
