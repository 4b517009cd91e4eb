"""jina-embeddings-v3: Sturua et al., 2024, arXiv:2409.10173. XLM-RoBERTa's blocks with rotary positions and an adapter a task.

An adapter (LoRA, Hu et al., 2021, arXiv:2106.09685) adds ``(x @ A.T) @ B.T`` to a linear layer, and to a table of embeddings
likewise. All tasks' A lie below each other here and all B beside each other; between the two products a mask for each token
leaves its own row's task, so that rows of different tasks share a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np

from textmill.arch.config import activation, check_divides, check_positive, refuse
from textmill.arch.fused import cut_layers
from textmill.arch.heads import Dense, Head, LayerNorm, Pooling
from textmill.arch.ops import Activation, Inputs, Ops, Tensor
from textmill.arch.positions import Rotation
from textmill.arch.rope import frequencies, rotation
from textmill.arch.weights import Weights
from textmill.errors import ModelBroken

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Config:
    """The keys of config.json that matter to a forward pass, with transformers' defaults; refuses what textmill lacks.

    model_type is `xlm-roberta` in the original, whose own code also runs models with a table of positions and without
    adapters; `jina_embeddings_v3` in transformers 5, which has no adapters.
    """

    model_type: str = "jina_embeddings_v3"
    vocab_size: int = 250002
    hidden_size: int = 1024
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    intermediate_size: int = 4096
    hidden_act: str = "gelu"
    max_position_embeddings: int = 8194
    type_vocab_size: int = 1
    layer_norm_eps: float = 1e-5
    pad_token_id: int = 1
    position_embedding_type: str = "rotary"
    rotary_emb_base: float = 10_000.0
    rotary_emb_interleaved: bool = False
    rotary_emb_scale_base: float | None = None
    rope_theta: float | None = None
    rope_scaling: Mapping[str, Any] | None = None
    rope_parameters: Mapping[str, Any] | None = None
    lora_adaptations: list[Any] | None = None
    lora_rank: int = 4
    lora_alpha: float = 1.0

    def __post_init__(self) -> None:
        check_positive(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=self.intermediate_size,
            max_position_embeddings=self.max_position_embeddings,
            rotary_emb_base=self.rotary_emb_base,
            lora_rank=self.lora_rank,
        )
        check_divides(("num_attention_heads", self.num_attention_heads), ("hidden_size", self.hidden_size))
        activation("hidden_act", self.hidden_act)
        if self.original and self.act not in ("gelu", "gelu_tanh"):
            refuse("hidden_act", self.hidden_act, "the two GELUs")
        if self.position_embedding_type not in ("rotary", "absolute"):
            refuse("position_embedding_type", self.position_embedding_type, "'rotary' and 'absolute'")
        if self.rotary_emb_interleaved:
            refuse("rotary_emb_interleaved", self.rotary_emb_interleaved, "false")
        if self.rotary_emb_scale_base is not None:
            refuse("rotary_emb_scale_base", self.rotary_emb_scale_base, "null")
        if not all(isinstance(name, str) for name in self.lora_adaptations or ()):
            refuse("lora_adaptations", self.lora_adaptations, "a list of names")
        self.rotation()

    @property
    def original(self) -> bool:
        """Whether config.json is in the original's spelling."""
        return self.model_type != "jina_embeddings_v3"

    @property
    def act(self) -> Activation:
        """The activation of feed-forward layers."""
        return activation("hidden_act", self.hidden_act)

    @property
    def adapters(self) -> tuple[str, ...]:
        """The tasks that have an adapter, in the order that `Inputs.adapters` counts them."""
        return tuple(self.lora_adaptations or ())

    @property
    def stacked(self) -> int:
        """The ranks of all tasks' adapters together."""
        return len(self.adapters) * self.lora_rank

    @property
    def positions(self) -> int | None:
        """Entries of the table of positions that rows can reach, where there is one; the first ones are for padding."""
        return self.max_position_embeddings - self.pad_token_id - 1 if self.absolute else None

    @property
    def absolute(self) -> bool:
        """Whether there is a table of positions."""
        return self.original and self.position_embedding_type == "absolute"

    def rotation(self) -> Rotation | None:
        """How positions rotate, where they do."""
        width = self.hidden_size // self.num_attention_heads
        if self.absolute:
            return None
        if not self.original:
            return rotation(self, width, theta=20_000.0)
        if width % 2:
            refuse("num_attention_heads", self.num_attention_heads, "heads of an even number of features")
        return Rotation(frequencies(self.rotary_emb_base, width))


BIASED = True
OPTIONAL = ("pooler.", "lm_head.", "classifier.")

_FUSED = {
    "self_attn.Wqkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attn.Wqkv.lora_B": ("self_attn.q_proj.lora_B", "self_attn.k_proj.lora_B", "self_attn.v_proj.lora_B"),
}
_RENAMED = (
    ("encoder.layers.", "layers."),
    (".mixer.", ".self_attn."),
    (".out_proj.", ".o_proj."),
    (".norm1.", ".post_attention_layernorm."),
    (".norm2.", ".post_mlp_layernorm."),
    (".parametrizations.weight.original", ".weight"),
    (".parametrizations.weight.0.lora_A", ".lora_A.weight"),
    (".parametrizations.weight.0.lora_B", ".lora_B.weight"),
)


def sanitize(config: Config, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors by transformers' names, fused layers cut apart, adapters side by side, the decoder tied to the words."""
    renamed = {_rename(name): tensor for name, tensor in tensors.items()}
    beside = {name: _beside(config, name, tensor) if ".lora_" in name else tensor for name, tensor in renamed.items()}
    named = cut_layers(beside, _FUSED)
    if config.adapters:
        named["adapters.mask"] = _mask(config)
    if config.absolute and "embeddings.position_embeddings.weight" in named:
        table = named["embeddings.position_embeddings.weight"]
        named["embeddings.position_embeddings.weight"] = replace(table, data=table.data[config.pad_token_id + 1 :])
    decoder = "lm_head.decoder"
    if "lm_head.bias" in named:
        named.setdefault(f"{decoder}.bias", named["lm_head.bias"])
    if "embeddings.word_embeddings.weight" in named:
        named.setdefault(f"{decoder}.weight", named["embeddings.word_embeddings.weight"])
    return named


def _rename(name: str) -> str:
    plain = name.removeprefix("roberta.")
    if plain.startswith("emb_ln."):
        plain = f"embeddings.LayerNorm.{plain.removeprefix('emb_ln.')}"
    if plain.startswith("classifier."):  # whose out_proj is not an attention's
        return plain
    for old, new in _RENAMED:
        plain = plain.replace(old, new)
    return plain


def _beside(config: Config, name: str, tensor: Tensor) -> Tensor:
    """One half of all tasks' adapters as the weight of one linear layer, or of a table for the words' A.

    A linear layer's A is (tasks, rank, in), its B (tasks, out, rank); a table's A is (tasks, entries, rank), its B
    (tasks, rank, features).
    """
    table, first = "_embeddings.lora_" in name, name.endswith("lora_A.weight")
    tasks, axis = len(config.adapters), 2 if table == first else 1
    if len(tensor.shape) != 3 or tensor.shape[0] != tasks or tensor.shape[axis] != config.lora_rank:  # noqa: PLR2004
        msg = (
            f"the checkpoint's tensor {tensor.name} has shape {tensor.shape}, but config.json names {tasks} lora_adaptations "
            f"and lora_rank {config.lora_rank}"
        )
        raise ModelBroken(msg)
    entries = config.vocab_size if "word_embeddings" in name else config.type_vocab_size
    if table and first and tensor.shape[1] != entries:
        msg = f"the checkpoint's tensor {tensor.name} has shape {tensor.shape}, but its config.json makes it {entries} entries"
        raise ModelBroken(msg)
    data = tensor.data
    if axis == 1:
        stacked = data.reshape(config.stacked, data.shape[2])
        return replace(tensor, data=np.ascontiguousarray(stacked.T if table else stacked))
    stacked = data.transpose(1, 0, 2).reshape(data.shape[1], config.stacked)
    return replace(tensor, data=np.ascontiguousarray(stacked))


def _mask(config: Config) -> Tensor:
    """(1 + tasks, tasks * rank): which of the products with all A count for a task, scaled; none for no task."""
    tasks, rank = len(config.adapters), config.lora_rank
    rows = np.repeat(np.eye(1 + tasks, dtype=np.float32)[:, 1:], rank, axis=1) * np.float32(config.lora_alpha / rank)
    return Tensor(rows, "float32", "adapters.mask")


def classifier(_config: Config) -> tuple[Head, ...]:
    """Scores of a row, from its first token."""
    return Pooling(("cls",)), Dense("classifier.dense", "tanh"), Dense("classifier.out_proj")


def token_classifier(_config: Config) -> tuple[Head, ...]:
    """Scores of each token."""
    return (Dense("classifier"),)


def language_model(config: Config) -> tuple[Head, ...]:
    """Scores of the vocabulary for each token."""
    return (
        Dense("lm_head.dense", "gelu"),
        LayerNorm("lm_head.layer_norm", config.layer_norm_eps),
        Dense("lm_head.decoder", features=config.vocab_size),
    )


def forward(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:
    """Token states (tokens…, hidden_size) after the last layer."""
    turn, eps = config.rotation(), config.layer_norm_eps
    tasks = (
        Tasks(ops, config.stacked, ops.embedding(weights["adapters.mask"], inputs.adapters))
        if config.adapters
        else None
    )
    x = _embed(ops, config, weights.at("embeddings"), inputs, tasks)
    for index in range(config.num_hidden_layers):
        layer = weights.at(f"layers.{index}")
        attended = _attend(ops, config, layer.at("self_attn"), x, inputs.positions, turn, tasks)
        x = layer.layer_norm("post_attention_layernorm", ops.add(x, attended), eps)
        fed = _feed(ops, config, layer.at("mlp"), x, tasks)
        x = layer.layer_norm("post_mlp_layernorm", ops.add(x, fed), eps)
    return x


def _embed(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T], tasks: Tasks[T] | None) -> T:
    width = config.hidden_size
    x = _adapted_embedding(weights, "word_embeddings", inputs.ids, (config.vocab_size, width), tasks)
    if config.type_vocab_size > 0:
        entries = (config.type_vocab_size, width)
        x = ops.add(x, _adapted_embedding(weights, "token_type_embeddings", inputs.types, entries, tasks))
    if config.positions is not None:
        x = ops.add(x, weights.embedding("position_embeddings", inputs.positions, config.positions, width))
    return weights.layer_norm("LayerNorm", x, config.layer_norm_eps)


def _attend(
    ops: Ops[T],
    config: Config,
    weights: Weights[T],
    x: T,
    positions: T,
    turn: Rotation | None,
    tasks: Tasks[T] | None,
) -> T:
    heads, width = config.num_attention_heads, config.hidden_size
    low = None if tasks is None else tasks.low(weights, "Wqkv", x)
    query = ops.split_heads(_adapted(weights, "q_proj", x, width, low), heads)
    key = ops.split_heads(_adapted(weights, "k_proj", x, width, low), heads)
    value = ops.split_heads(_adapted(weights, "v_proj", x, width, low), heads)
    if turn is not None:
        query, key = ops.rope(query, positions, turn), ops.rope(key, positions, turn)
    states = ops.merge_heads(ops.attention(query, key, value, causal=False, scale=(width // heads) ** -0.5))
    return _adapted(weights, "o_proj", states, width, None if tasks is None else tasks.low(weights, "o_proj", states))


def _feed(ops: Ops[T], config: Config, weights: Weights[T], x: T, tasks: Tasks[T] | None) -> T:
    low = None if tasks is None else tasks.low(weights, "fc1", x)
    inner = ops.activation(_adapted(weights, "fc1", x, config.intermediate_size, low), config.act)
    low = None if tasks is None else tasks.low(weights, "fc2", inner)
    return _adapted(weights, "fc2", inner, config.hidden_size, low)


@dataclass(frozen=True, slots=True)
class Tasks(Generic[T]):
    """All tasks' adapters: their ranks together, and which of those count for each token."""

    ops: Ops[T]
    ranks: int
    mask: T

    def low(self, weights: Weights[T], name: str, x: T) -> T:
        """The product with all tasks' A, of which each token's own is left."""
        return self.ops.multiply(weights.linear(f"{name}.lora_A", x, self.ranks), self.mask)


def _adapted(weights: Weights[T], name: str, x: T, features: int, low: T | None) -> T:
    y = weights.linear(name, x, features)
    return y if low is None else weights.ops.add(y, weights.linear(f"{name}.lora_B", low, features))


def _adapted_embedding(weights: Weights[T], name: str, index: T, entries: tuple[int, int], tasks: Tasks[T] | None) -> T:
    x = weights.embedding(name, index, *entries)
    if tasks is None:
        return x
    low = weights.ops.multiply(weights.embedding(f"{name}.lora_A", index, entries[0], tasks.ranks), tasks.mask)
    return weights.ops.add(x, weights.linear(f"{name}.lora_B", low, entries[1]))
