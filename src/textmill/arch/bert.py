"""BERT: Devlin et al., 2018, arXiv:1810.04805. Learned positions, norms after each residual, attention in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from textmill.arch.config import activation, check_divides, check_positive, refuse
from textmill.arch.heads import Dense, Head, LayerNorm, Pooling
from textmill.arch.ops import Inputs, Ops, Tensor
from textmill.arch.weights import Weights

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Config:
    """The keys of config.json that matter to a forward pass, with transformers' defaults; refuses what is not BERT."""

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    position_embedding_type: str = "absolute"
    is_decoder: bool = False

    def __post_init__(self) -> None:
        check_positive(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=self.intermediate_size,
            max_position_embeddings=self.max_position_embeddings,
            type_vocab_size=self.type_vocab_size,
        )
        check_divides(("num_attention_heads", self.num_attention_heads), ("hidden_size", self.hidden_size))
        activation("hidden_act", self.hidden_act)
        if self.position_embedding_type != "absolute":
            refuse("position_embedding_type", self.position_embedding_type, "'absolute'")
        if self.is_decoder:
            refuse("is_decoder", self.is_decoder, "BERT as an encoder")

    @property
    def positions(self) -> int:
        """Entries of the table of positions."""
        return self.max_position_embeddings


OPTIONAL = ("pooler.", "cls.", "classifier.")


def sanitize(_config: Config, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors by today's names: no `bert.` prefix, no TensorFlow names in norms; the head's decoder tied to the words."""
    plain = {
        name.removeprefix("bert.")
        .replace("LayerNorm.gamma", "LayerNorm.weight")
        .replace("LayerNorm.beta", "LayerNorm.bias"): tensor
        for name, tensor in tensors.items()
    }
    plain.pop("embeddings.position_ids", None)
    decoder = "cls.predictions.decoder"
    if "cls.predictions.bias" in plain:
        plain.setdefault(f"{decoder}.bias", plain["cls.predictions.bias"])
    if "embeddings.word_embeddings.weight" in plain:
        plain.setdefault(f"{decoder}.weight", plain["embeddings.word_embeddings.weight"])
    return plain


def classifier(_config: Config) -> tuple[Head, ...]:
    """Scores of a row: the pooler on its first token, then a linear layer."""
    return Pooling(("cls",)), Dense("pooler.dense", "tanh"), Dense("classifier")


def token_classifier(_config: Config) -> tuple[Head, ...]:
    """Scores of each token."""
    return (Dense("classifier"),)


def language_model(config: Config) -> tuple[Head, ...]:
    """Scores of the vocabulary for each token."""
    head = "cls.predictions"
    return (
        Dense(f"{head}.transform.dense", activation("hidden_act", config.hidden_act)),
        LayerNorm(f"{head}.transform.LayerNorm", config.layer_norm_eps),
        Dense(f"{head}.decoder", features=config.vocab_size),
    )


def forward(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:
    """Token states (tokens…, hidden_size) after the last layer."""
    x = _embed(ops, config, weights.at("embeddings"), inputs)
    for index in range(config.num_hidden_layers):
        x = _layer(ops, config, weights.at(f"encoder.layer.{index}"), x)
    return x


def _embed(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:
    width = config.hidden_size
    words = weights.embedding("word_embeddings", inputs.ids, config.vocab_size, width)
    types = weights.embedding("token_type_embeddings", inputs.types, config.type_vocab_size, width)
    positions = weights.embedding("position_embeddings", inputs.positions, config.max_position_embeddings, width)
    return weights.layer_norm("LayerNorm", ops.add(ops.add(words, types), positions), config.layer_norm_eps)


def _layer(ops: Ops[T], config: Config, weights: Weights[T], x: T) -> T:
    attended = weights.linear(
        "attention.output.dense", _attend(ops, config, weights.at("attention.self"), x), config.hidden_size
    )
    x = weights.layer_norm("attention.output.LayerNorm", ops.add(x, attended), config.layer_norm_eps)
    inner = weights.linear("intermediate.dense", x, config.intermediate_size)
    inner = ops.activation(inner, activation("hidden_act", config.hidden_act))
    fed = weights.linear("output.dense", inner, config.hidden_size)
    return weights.layer_norm("output.LayerNorm", ops.add(x, fed), config.layer_norm_eps)


def _attend(ops: Ops[T], config: Config, weights: Weights[T], x: T) -> T:
    heads, width = config.num_attention_heads, config.hidden_size
    query = ops.split_heads(weights.linear("query", x, width), heads)
    key = ops.split_heads(weights.linear("key", x, width), heads)
    value = ops.split_heads(weights.linear("value", x, width), heads)
    return ops.merge_heads(ops.attention(query, key, value, causal=False, scale=(width // heads) ** -0.5))
