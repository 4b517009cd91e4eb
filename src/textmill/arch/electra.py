"""ELECTRA: Clark et al., 2020, arXiv:2003.10555. BERT's encoder behind embeddings that may be narrower than it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from textmill.arch import bert
from textmill.arch.config import check_positive
from textmill.arch.heads import Dense, Head, LayerNorm, Pooling
from textmill.arch.ops import Inputs, Ops, Tensor
from textmill.arch.weights import Weights

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Config(bert.Config):
    """BERT's keys, with transformers' defaults for ELECTRA, and the width of the embeddings."""

    embedding_size: int = 128
    hidden_size: int = 256
    num_attention_heads: int = 4
    intermediate_size: int = 1024

    def __post_init__(self) -> None:
        bert.Config.__post_init__(self)
        check_positive(embedding_size=self.embedding_size)


BIASED = True
OPTIONAL = ("classifier.", "generator_predictions.", "generator_lm_head.", "discriminator_predictions.")


def sanitize(config: Config, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors without the `electra.` prefix; the generator's decoder tied to the words."""
    return bert.tie(bert.plain_names(config, tensors, ("electra.",)), "generator_lm_head")


def classifier(_config: Config) -> tuple[Head, ...]:
    """Scores of a row, from its first token."""
    return Pooling(("cls",)), Dense("classifier.dense", "gelu"), Dense("classifier.out_proj")


def token_classifier(_config: Config) -> tuple[Head, ...]:
    """Scores of each token."""
    return (Dense("classifier"),)


def language_model(config: Config) -> tuple[Head, ...]:
    """The generator's scores of the vocabulary for each token."""
    return (
        Dense("generator_predictions.dense", "gelu"),
        LayerNorm("generator_predictions.LayerNorm", config.layer_norm_eps),
        Dense("generator_lm_head", features=config.vocab_size),
    )


def forward(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:
    """Token states (tokens…, hidden_size) after the last layer."""
    weights = weights.with_biases()
    x = bert.embed(ops, config, weights.at("embeddings"), inputs, config.embedding_size)
    if config.embedding_size != config.hidden_size:
        x = weights.linear("embeddings_project", x, config.hidden_size)
    return bert.encode(ops, config, weights, x)
