"""BERT: Devlin et al., 2018, arXiv:1810.04805. Learned positions, norms after each residual, attention in both directions.

Positions may also be distances: a key's alone (Shaw et al., 2018, arXiv:1803.02155) or a key's and a query's (method 4 of Huang
et al., 2020, arXiv:2009.13658). Several families are this encoder with other names, embeddings or heads, and build on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from textmill.arch.buckets import EachDistance
from textmill.arch.config import activation, check_divides, check_positive, refuse
from textmill.arch.heads import Dense, Head, LayerNorm, Pooling
from textmill.arch.ops import Inputs, Ops, Tensor
from textmill.arch.positions import Relative, Slopes
from textmill.arch.weights import Weights

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Config:
    """The keys of config.json that matter to a forward pass, with transformers' defaults; refuses what is not BERT."""

    POSITION_TYPES: ClassVar[tuple[str, ...]] = ("absolute", "relative_key", "relative_key_query")

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
        if self.position_embedding_type not in self.POSITION_TYPES:
            refuse("position_embedding_type", self.position_embedding_type, ", ".join(map(repr, self.POSITION_TYPES)))
        if self.is_decoder:
            refuse("is_decoder", self.is_decoder, "BERT as an encoder")

    @property
    def positions(self) -> int | None:
        """How many tokens a row can have, where the positions are a table's."""
        return self.entries

    @property
    def entries(self) -> int:
        """Entries of the table of positions that tokens have."""
        return self.max_position_embeddings

    @property
    def width(self) -> int:
        """Features of a head."""
        return self.hidden_size // self.num_attention_heads


BIASED = True
OPTIONAL = ("pooler.", "cls.", "classifier.")


def sanitize(config: Config, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors by today's names: no `bert.` prefix, no TensorFlow names in norms; the head's decoder tied to the words."""
    plain = plain_names(config, tensors, ("bert.",))
    return tie(plain, "cls.predictions.decoder", bias="cls.predictions.bias")


def plain_names(config: Config, tensors: Mapping[str, Tensor], prefixes: tuple[str, ...]) -> dict[str, Tensor]:
    """The tensors without a prefix, TensorFlow names and what is not read: the positions' ids, and their table where distances count."""
    plain = {
        strip(name, prefixes)
        .replace("LayerNorm.gamma", "LayerNorm.weight")
        .replace("LayerNorm.beta", "LayerNorm.bias"): tensor
        for name, tensor in tensors.items()
    }
    plain.pop("embeddings.position_ids", None)
    if config.position_embedding_type != "absolute":
        plain.pop("embeddings.position_embeddings.weight", None)
    return plain


def strip(name: str, prefixes: tuple[str, ...]) -> str:
    """A tensor's name without the first of the prefixes that it has."""
    for prefix in prefixes:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def tie(tensors: dict[str, Tensor], decoder: str, *, bias: str | None = None) -> dict[str, Tensor]:
    """The same tensors, in which the decoder to the vocabulary and the table of words are each the other's for want of an own.

    ``bias`` names the decoder's, where checkpoints keep it elsewhere.
    """
    words = "embeddings.word_embeddings.weight"
    for missing, other in ((f"{decoder}.weight", words), (words, f"{decoder}.weight"), (f"{decoder}.bias", bias)):
        if other in tensors:
            tensors.setdefault(missing, tensors[other])
    return tensors


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
    weights = weights.with_biases()
    return encode(ops, config, weights, embed(ops, config, weights.at("embeddings"), inputs, config.hidden_size))


def embed(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T], width: int) -> T:
    """Words, segments and absolute positions, (tokens…, width), under one norm."""
    words = weights.embedding("word_embeddings", inputs.ids, config.vocab_size, width)
    x = ops.add(words, weights.embedding("token_type_embeddings", inputs.types, config.type_vocab_size, width))
    if config.position_embedding_type == "absolute":
        x = ops.add(x, weights.embedding("position_embeddings", inputs.positions, config.entries, width))
    return weights.layer_norm("LayerNorm", x, config.layer_norm_eps)


def encode(ops: Ops[T], config: Config, weights: Weights[T], x: T) -> T:
    """All layers on embeddings (tokens…, hidden_size)."""
    for index in range(config.num_hidden_layers):
        layer = weights.at(f"encoder.layer.{index}")
        x = feed(ops, config, layer, attend(ops, config, layer.at("attention"), x))
    return x


def attend(
    ops: Ops[T], config: Config, weights: Weights[T], x: T, *, slopes: Slopes | None = None, norm_keys: bool = False
) -> T:
    """Attention, its residual and norm; ``norm_keys`` puts a norm on queries and keys, over all heads at once."""
    own, heads, width = weights.at("self"), config.num_attention_heads, config.hidden_size
    query, key = own.linear("query", x, width), own.linear("key", x, width)
    if norm_keys:
        query = own.layer_norm("layer_norm_q", query, config.layer_norm_eps)
        key = own.layer_norm("layer_norm_k", key, config.layer_norm_eps)
    states = ops.attention(
        ops.split_heads(query, heads),
        ops.split_heads(key, heads),
        ops.split_heads(own.linear("value", x, width), heads),
        causal=False,
        scale=config.width**-0.5,
        bias=slopes,
        relative=_relative(ops, config, own) if "relative" in config.position_embedding_type else None,
    )
    attended = weights.linear("output.dense", ops.merge_heads(states), width)
    return weights.layer_norm("output.LayerNorm", ops.add(x, attended), config.layer_norm_eps)


def feed(ops: Ops[T], config: Config, weights: Weights[T], x: T) -> T:
    """Feed forward, its residual and norm."""
    inner = weights.linear("intermediate.dense", x, config.intermediate_size)
    inner = ops.activation(inner, activation("hidden_act", config.hidden_act))
    fed = weights.linear("output.dense", inner, config.hidden_size)
    return weights.layer_norm("output.LayerNorm", ops.add(x, fed), config.layer_norm_eps)


def _relative(ops: Ops[T], config: Config, weights: Weights[T]) -> Relative[T]:
    """The layer's vectors of distances, one for all heads; those of keys and of queries are the same."""
    longest = config.max_position_embeddings
    table = weights.table("distance_embedding", 2 * longest - 1, config.width)
    shared = ops.split_heads(ops.concatenate([table] * config.num_attention_heads), config.num_attention_heads)
    both = config.position_embedding_type == "relative_key_query"
    return Relative(keys=shared, queries=shared if both else None, index=EachDistance(longest))
