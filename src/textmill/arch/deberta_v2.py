"""DeBERTa-v2 and v3: He et al., 2020, arXiv:2006.03654, and 2021, arXiv:2111.09543. Attention that scores content and distance apart.

`relative_attention` adds, as `pos_att_type` says, how a query matches a key's distance (c2p) and how a key matches a query's
(p2c). The vectors of distances are one table for all layers, projected by each layer anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from textmill.arch.bert import strip, tie
from textmill.arch.buckets import MiddleOut
from textmill.arch.config import activation, check_divides, check_positive, refuse
from textmill.arch.heads import Dense, Head, LayerNorm, Pooling
from textmill.arch.ops import Inputs, Ops, Tensor
from textmill.arch.positions import Relative
from textmill.arch.weights import Weights

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Config:
    """The keys of config.json that matter to a forward pass, with transformers' defaults; refuses what textmill lacks.

    ``embedding_size`` is None where it is ``hidden_size``, ``conv_kernel_size`` 0 where there is no convolution.
    """

    vocab_size: int = 128100
    hidden_size: int = 1536
    embedding_size: int | None = None
    num_hidden_layers: int = 24
    num_attention_heads: int = 24
    attention_head_size: int | None = None
    intermediate_size: int = 6144
    hidden_act: str = "gelu"
    max_position_embeddings: int = 512
    type_vocab_size: int = 0
    layer_norm_eps: float = 1e-7
    relative_attention: bool = False
    max_relative_positions: int = -1
    position_buckets: int = -1
    position_biased_input: bool = True
    pos_att_type: str | list[Any] | None = None
    share_att_key: bool = False
    norm_rel_ebd: str = "none"
    conv_kernel_size: int = 0
    conv_groups: int = 1
    conv_act: str = "tanh"
    pooler_hidden_act: str = "gelu"

    def __post_init__(self) -> None:
        check_positive(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            embedding_size=self.embedding_width,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=self.intermediate_size,
            max_position_embeddings=self.max_position_embeddings,
            conv_groups=self.conv_groups,
        )
        check_divides(("num_attention_heads", self.num_attention_heads), ("hidden_size", self.hidden_size))
        check_divides(("conv_groups", self.conv_groups), ("hidden_size", self.hidden_size))
        for key in ("hidden_act", "conv_act", "pooler_hidden_act"):
            activation(key, getattr(self, key))
        if self.attention_head_size not in (None, self.width):
            refuse(
                "attention_head_size", self.attention_head_size, f"hidden_size over num_attention_heads, {self.width}"
            )
        if self.conv_kernel_size > 0 and self.conv_kernel_size % 2 == 0:
            refuse("conv_kernel_size", self.conv_kernel_size, "odd ones")
        self._check_relative()

    def _check_relative(self) -> None:
        if not set(self.terms) <= {"c2p", "p2c"} or (self.relative_attention and not self.terms):
            refuse("pos_att_type", self.pos_att_type, "'c2p', 'p2c' and both, and needs one for relative_attention")
        if not set(self.rel_norms) <= {"none", "layer_norm"}:
            refuse("norm_rel_ebd", self.norm_rel_ebd, "'none' and 'layer_norm'")
        if self.relative_attention and self.position_buckets > 0 and self.position_buckets // 2 >= self.reach - 1:
            refuse("position_buckets", self.position_buckets, f"fewer than twice max_relative_positions, {self.reach}")
        if self.position_buckets == 1:
            refuse("position_buckets", self.position_buckets, "at least 2, or -1 for none")

    @property
    def positions(self) -> int | None:
        """Entries of the table of absolute positions, where there is one."""
        return self.max_position_embeddings if self.position_biased_input else None

    @property
    def width(self) -> int:
        """Features of a head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def embedding_width(self) -> int:
        """Features of the table of words."""
        return self.hidden_size if self.embedding_size is None else self.embedding_size

    @property
    def terms(self) -> tuple[str, ...]:
        """What scores beside content: "c2p", "p2c"."""
        named = self.pos_att_type or ()
        return tuple(x.strip() for x in named.lower().split("|")) if isinstance(named, str) else tuple(map(str, named))

    @property
    def rel_norms(self) -> tuple[str, ...]:
        """What the vectors of distances go through."""
        return tuple(x.strip() for x in self.norm_rel_ebd.lower().split("|"))

    @property
    def scale(self) -> float:
        """What scores are multiplied with: one over the root of the features of all terms."""
        return float((self.width * (1 + len(set(self.terms)))) ** -0.5)

    @property
    def reach(self) -> int:
        """The distance that the last bucket begins with, or where there are no buckets, the distances of either side."""
        return self.max_position_embeddings if self.max_relative_positions < 1 else self.max_relative_positions

    @property
    def index(self) -> MiddleOut:
        """From distances to the table's entries."""
        return MiddleOut(self.position_buckets, self.reach) if self.position_buckets > 0 else MiddleOut(self.reach)


BIASED = True
OPTIONAL = ("pooler.", "classifier.", "cls.", "lm_predictions.", "mask_predictions.")


def sanitize(config: Config, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors without the `deberta.` prefix and tables that are not read; the head for words by its older names, tied to them.

    A convolution in groups becomes one over all features.
    """
    plain = {
        strip(name, ("deberta.",)).replace("lm_predictions.lm_head.", "cls.predictions.transform."): tensor
        for name, tensor in tensors.items()
    }
    plain.pop("embeddings.position_ids", None)
    if not config.position_biased_input:
        plain.pop("embeddings.position_embeddings.weight", None)
    if "cls.predictions.transform.bias" in plain:
        plain.setdefault("cls.predictions.bias", plain.pop("cls.predictions.transform.bias"))
    kernel = plain.get("encoder.conv.conv.weight")
    if config.conv_groups > 1 and kernel is not None:
        plain["encoder.conv.conv.weight"] = _ungroup(kernel, config.conv_groups)
    return tie(plain, "cls.predictions.decoder", bias="cls.predictions.bias")


def _ungroup(kernel: Tensor, groups: int) -> Tensor:
    """(out, in / groups, width) to (out, in, width), with zeros between groups."""
    if len(kernel.shape) != 3:  # noqa: PLR2004 - what has other axes is refused where it is used
        return kernel
    out, features, width = kernel.shape
    whole = np.zeros((out, features * groups, width), kernel.data.dtype)
    rows, columns = out // groups, features
    for group in range(groups):
        block = slice(group * rows, (group + 1) * rows)
        whole[block, group * columns : (group + 1) * columns] = kernel.data[block]
    return replace(kernel, data=whole)


def classifier(config: Config) -> tuple[Head, ...]:
    """Scores of a row: the pooler on its first token, then a linear layer."""
    return (
        Pooling(("cls",)),
        Dense("pooler.dense", activation("pooler_hidden_act", config.pooler_hidden_act)),
        Dense("classifier"),
    )


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
    embedded = x = _embed(ops, config, weights.at("embeddings"), inputs)
    encoder = weights.at("encoder")
    distances = _distances(config, encoder) if config.relative_attention else None
    for index in range(config.num_hidden_layers):
        x = _layer(ops, config, encoder.at(f"layer.{index}"), x, distances)
        if index == 0 and config.conv_kernel_size > 0:
            near = encoder.convolve("conv.conv", embedded, config.hidden_size, config.conv_kernel_size)
            near = ops.activation(near, activation("conv_act", config.conv_act))
            x = encoder.layer_norm("conv.LayerNorm", ops.add(x, near), config.layer_norm_eps)
    return x


def _embed(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:
    width = config.embedding_width
    x = weights.embedding("word_embeddings", inputs.ids, config.vocab_size, width)
    if config.position_biased_input:
        table = config.max_position_embeddings
        x = ops.add(x, weights.embedding("position_embeddings", inputs.positions, table, width))
    if config.type_vocab_size > 0:
        x = ops.add(x, weights.embedding("token_type_embeddings", inputs.types, config.type_vocab_size, width))
    if width != config.hidden_size:
        x = weights.product("embed_proj", x, config.hidden_size)
    return weights.layer_norm("LayerNorm", x, config.layer_norm_eps)


def _distances(config: Config, weights: Weights[T]) -> T:
    """The vectors of distances, (2 * span, hidden_size)."""
    table = weights.table("rel_embeddings", 2 * config.index.span, config.hidden_size)
    if "layer_norm" in config.rel_norms:
        return weights.layer_norm("LayerNorm", table, config.layer_norm_eps)
    return table


def _layer(ops: Ops[T], config: Config, weights: Weights[T], x: T, distances: T | None) -> T:
    attended = _attend(ops, config, weights.at("attention.self"), x, distances)
    attended = weights.linear("attention.output.dense", attended, config.hidden_size)
    x = weights.layer_norm("attention.output.LayerNorm", ops.add(attended, x), config.layer_norm_eps)
    inner = weights.linear("intermediate.dense", x, config.intermediate_size)
    inner = ops.activation(inner, activation("hidden_act", config.hidden_act))
    fed = weights.linear("output.dense", inner, config.hidden_size)
    return weights.layer_norm("output.LayerNorm", ops.add(fed, x), config.layer_norm_eps)


def _attend(ops: Ops[T], config: Config, weights: Weights[T], x: T, distances: T | None) -> T:
    def heads(name: str, values: T) -> T:
        return ops.split_heads(weights.linear(name, values, config.hidden_size), config.num_attention_heads)

    relative = None
    if distances is not None:
        key, query = ("key_proj", "query_proj") if config.share_att_key else ("pos_key_proj", "pos_query_proj")
        relative = Relative(
            keys=heads(key, distances) if "c2p" in config.terms else None,
            queries=heads(query, distances) if "p2c" in config.terms else None,
            index=config.index,
        )
    states = ops.attention(
        heads("query_proj", x),
        heads("key_proj", x),
        heads("value_proj", x),
        causal=False,
        scale=config.scale,
        relative=relative,
    )
    return ops.merge_heads(states)
