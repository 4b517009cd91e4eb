"""JinaBERT v2: Günther et al., 2023, arXiv:2310.19923. BERT with ALiBi in place of positions and a gated feed-forward.

Written anew after what `jinaai/jina-bert-implementation` computes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from textmill.arch import bert
from textmill.arch.bert import BIASED, OPTIONAL, classifier, language_model, token_classifier
from textmill.arch.config import refuse
from textmill.arch.ops import Activation, Inputs, Ops, Tensor
from textmill.arch.positions import Slopes
from textmill.arch.weights import Weights

__all__ = ["BIASED", "OPTIONAL", "Config", "classifier", "forward", "language_model", "sanitize", "token_classifier"]

T = TypeVar("T")

GATES: Mapping[str, Activation] = {"geglu": "gelu", "reglu": "relu"}
"""`feed_forward_type` to the activation of its gate; the only other type is "original", BERT's own."""


@dataclass(frozen=True, slots=True)
class Config(bert.Config):
    """BERT's keys and the kind of feed-forward; `attn_implementation` and `emb_pooler` change no token state."""

    POSITION_TYPES: ClassVar[tuple[str, ...]] = ("alibi",)

    feed_forward_type: str = "original"

    def __post_init__(self) -> None:
        bert.Config.__post_init__(self)
        if self.feed_forward_type not in ("original", *GATES):
            refuse("feed_forward_type", self.feed_forward_type, ", ".join(map(repr, ("original", *GATES))))

    @property
    def gate(self) -> Activation | None:
        """The activation of the feed-forward's gate, or None where it has none."""
        return GATES.get(self.feed_forward_type)

    @property
    def positions(self) -> None:
        """There is no table of positions; a bias reaches any distance."""


def sanitize(config: Config, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors by BERT's names; the gate and what it lets through, one layer in the checkpoint, apart."""
    return halve(bert.sanitize(config, tensors), "mlp.gated_layers", ("gate", "value"))


def halve(tensors: Mapping[str, Tensor], layer: str, parts: tuple[str, str]) -> dict[str, Tensor]:
    """The same tensors, the weights of the layers of that name cut into two layers below it: their first and last rows."""
    plain = dict(tensors)
    for name in [name for name, tensor in plain.items() if name.endswith(f"{layer}.weight") and tensor.shape]:
        whole = plain.pop(name)
        middle = whole.shape[0] // 2
        for part, rows in zip(parts, (slice(middle), slice(middle, None)), strict=True):
            plain[f"{name.removesuffix('weight')}{part}.weight"] = replace(whole, data=whole.data[rows])
    return plain


def forward(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:
    """Token states (tokens…, hidden_size) after the last layer."""
    weights = weights.with_biases()
    x = bert.embed(ops, config, weights.at("embeddings"), inputs, config.hidden_size)
    slopes = Slopes(head_slopes(config.num_attention_heads))
    for index in range(config.num_hidden_layers):
        layer = weights.at(f"encoder.layer.{index}")
        x = bert.attend(ops, config, layer.at("attention"), x, slopes=slopes)
        x = bert.feed(ops, config, layer, x) if config.gate is None else _feed(ops, config, layer.at("mlp"), x)
    return x


def head_slopes(heads: int) -> npt.NDArray[np.float32]:
    """ALiBi's slopes (Press et al., 2021, arXiv:2108.12409), (heads,): a geometric series down to 1/256.

    Where the heads are no power of two, those beyond the greatest one below take every second slope of the series for twice
    as many heads as that.
    """
    whole = 2 ** int(math.log2(heads))
    series = [2 ** (-8 * (index + 1) / whole) for index in range(whole)]
    between = [2 ** (-4 * (index + 1) / whole) for index in range(0, 2 * (heads - whole), 2)]
    return np.array(series + between, np.float32)


def open_gate(ops: Ops[T], config: Config, weights: Weights[T], x: T) -> T:
    """What the gate lets through, (tokens…, intermediate_size)."""
    gate = weights.product("gate", x, config.intermediate_size)
    return ops.multiply(
        ops.activation(gate, GATES[config.feed_forward_type]), weights.product("value", x, config.intermediate_size)
    )


def _feed(ops: Ops[T], config: Config, weights: Weights[T], x: T) -> T:
    fed = weights.linear("wo", open_gate(ops, config, weights.at("gated_layers"), x), config.hidden_size)
    return weights.layer_norm("layernorm", ops.add(fed, x), config.layer_norm_eps)
