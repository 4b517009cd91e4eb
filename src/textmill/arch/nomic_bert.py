"""Nomic BERT: Nussbaum et al., 2024, arXiv:2402.01613; with experts, arXiv:2502.07972. BERT's blocks with rotary positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from textmill.arch.config import activation, check_divides, check_positive, refuse
from textmill.arch.fused import cut_layers
from textmill.arch.heads import Dense, Head, LayerNorm, Pooling
from textmill.arch.ops import Activation, Inputs, Ops, Tensor
from textmill.arch.positions import Rotation
from textmill.arch.rope import by_length, frequencies, rotation
from textmill.arch.weights import Weights
from textmill.errors import ModelBroken

T = TypeVar("T")

_GATES: Mapping[str, Activation] = {"glu": "sigmoid", "swiglu": "silu", "geglu": "gelu"}
_PLAIN = ("gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh")
_ROUND = 256
"""The original makes gated layers a multiple of this wide."""


@dataclass(frozen=True, slots=True)
class Config:
    """The keys of config.json that matter to a forward pass; refuses what textmill lacks.

    transformers 5 names them as BERT does; where there is an `n_embd`, the names and defaults are those of the original's
    own code, GPT-2's names among them.
    """

    vocab_size: int = 30528
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    head_dim: int | None = None
    hidden_act: str = "silu"
    max_position_embeddings: int = 2048
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    rope_theta: float | None = None
    rope_scaling: Mapping[str, Any] | None = None
    rope_parameters: Mapping[str, Any] | None = None

    n_embd: int | None = None
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None
    activation_function: str = "gelu_new"
    layer_norm_epsilon: float = 1e-5
    pad_vocab_size_multiple: int = 1
    max_trained_positions: int = 2048
    rotary_emb_base: float = 10_000.0
    rotary_emb_fraction: float = 0.0
    rotary_emb_interleaved: bool = False
    rotary_emb_scale_base: float | None = None
    rotary_scaling_factor: float | None = None
    rotary_head_dim: bool = False
    num_heads_kv: int | None = None
    causal: bool = False
    prenorm: bool = False
    parallel_block: bool = False
    use_rms_norm: bool = False
    norm_mlp: bool = False
    moe_every_n_layers: int = 0
    num_experts: int = 0
    num_shared_experts: int = 0
    moe_top_k: int = 1
    moe_normalize_expert_weights: bool | float = False
    expert_choice_router: bool = False

    def __post_init__(self) -> None:
        if self.n_embd is not None:
            self._take_original(self.n_embd)
        check_positive(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=self.intermediate_size,
            max_position_embeddings=self.max_position_embeddings,
        )
        if self.head_dim is None:
            check_divides(("num_attention_heads", self.num_attention_heads), ("hidden_size", self.hidden_size))
        if not self.original:
            activation("hidden_act", self.hidden_act)
        self.rotation()

    def _take_original(self, features: int) -> None:
        """Write the original's values over transformers' names."""
        self._check_original()
        multiple = self.pad_vocab_size_multiple
        inner = self.n_inner
        if self.gated:
            inner = -(-(8 * features // 3 if inner is None else inner) // _ROUND) * _ROUND
        for name, value in {
            "vocab_size": -(-self.vocab_size // multiple) * multiple,
            "hidden_size": features,
            "num_hidden_layers": self.n_layer,
            "num_attention_heads": self.n_head,
            "intermediate_size": 4 * features if inner is None else inner,
            "head_dim": None,
            "layer_norm_eps": self.layer_norm_epsilon,
        }.items():
            object.__setattr__(self, name, value)

    def _check_original(self) -> None:
        if self.activation_function not in (*_GATES, *_PLAIN):
            refuse("activation_function", self.activation_function, ", ".join((*_GATES, *_PLAIN)))
        if not 0 < self.rotary_emb_fraction <= 1:
            refuse("rotary_emb_fraction", self.rotary_emb_fraction, "rotary positions, fractions above 0 and up to 1")
        if self.num_heads_kv not in (None, self.n_head):
            refuse("num_heads_kv", self.num_heads_kv, "as many as n_head")
        if self.rotary_emb_scale_base is not None:
            refuse("rotary_emb_scale_base", self.rotary_emb_scale_base, "null")
        for key in (
            *("rotary_emb_interleaved", "rotary_head_dim", "causal", "prenorm", "parallel_block", "use_rms_norm"),
            *("norm_mlp", "num_shared_experts", "moe_normalize_expert_weights", "expert_choice_router"),
        ):
            if getattr(self, key):
                refuse(key, getattr(self, key), "none" if key == "num_shared_experts" else "false")
        check_positive(
            n_head=self.n_head,
            pad_vocab_size_multiple=self.pad_vocab_size_multiple,
            max_trained_positions=self.max_trained_positions,
            rotary_emb_base=self.rotary_emb_base,
        )
        if self.moe_every_n_layers > 0:
            check_positive(num_experts=self.num_experts, moe_top_k=self.moe_top_k)

    @property
    def original(self) -> bool:
        """Whether config.json is in the original's spelling."""
        return self.n_embd is not None

    @property
    def gated(self) -> bool:
        """Whether feed-forward layers have a gate."""
        return not self.original or self.activation_function in _GATES

    @property
    def act(self) -> Activation:
        """The activation of feed-forward layers; the original's plain ones are all the exact GELU."""
        if not self.original:
            return activation("hidden_act", self.hidden_act)
        return _GATES.get(self.activation_function, "gelu")

    @property
    def positions(self) -> None:
        """There is no table of positions."""

    @property
    def width(self) -> int:
        """Features of a head."""
        return self.hidden_size // self.num_attention_heads if self.head_dim is None else self.head_dim

    def has_experts(self, index: int) -> bool:
        """Whether that layer's feed-forward part is a mixture of experts."""
        return self.original and self.moe_every_n_layers > 0 and index % self.moe_every_n_layers == 1

    def rotation(self) -> Rotation:
        """How positions rotate: in the original, rows beyond what it was trained for stretch their own base."""
        if not self.original:
            return rotation(self, self.width, theta=1000.0)
        turned = int(self.width * self.rotary_emb_fraction)
        if turned % 2 or not turned:
            refuse("rotary_emb_fraction", self.rotary_emb_fraction, "fractions that leave pairs to rotate")
        base = self.rotary_emb_base
        if not self.rotary_scaling_factor:
            return Rotation(frequencies(base, turned))
        stretched = by_length(base, turned, self.rotary_scaling_factor, self.max_trained_positions)
        return Rotation(frequencies(base, turned), by_length=stretched)


OPTIONAL = ("pooler.", "cls.", "classifier.")

_FUSED = {"self_attn.Wqkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")}
_RENAMED = (
    ("encoder.layers.", "layers."),
    (".attn.", ".self_attn."),
    (".out_proj.", ".o_proj."),
    (".mlp.fc11.", ".mlp.up_proj."),
    (".mlp.fc12.", ".mlp.gate_proj."),
    (".mlp.fc1.", ".mlp.up_proj."),
    (".mlp.fc2.", ".mlp.down_proj."),
    (".norm1.", ".post_attention_layernorm."),
    (".norm2.", ".post_mlp_layernorm."),
)


def sanitize(config: Config, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors by transformers' names, fused layers and experts cut apart, the decoder tied to the words."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        plain = name.removeprefix("bert.").removeprefix("nomic_bert.")
        if plain.startswith("emb_ln."):
            plain = f"embeddings.LayerNorm.{plain.removeprefix('emb_ln.')}"
        for old, new in _RENAMED:
            plain = plain.replace(old, new)
        experts = plain.endswith((".experts.mlp.w1", ".experts.mlp.w2"))
        renamed[plain] = _apart(tensor, config.num_experts) if experts else tensor
    named = cut_layers(renamed, _FUSED)
    decoder = "cls.predictions.decoder"
    if "cls.predictions.bias" in named:
        named.setdefault(f"{decoder}.bias", named["cls.predictions.bias"])
    if "embeddings.word_embeddings.weight" in named:
        named.setdefault(f"{decoder}.weight", named["embeddings.word_embeddings.weight"])
    return named


def _apart(tensor: Tensor, experts: int) -> Tensor:
    """All experts' layers (experts * inner, features) as (experts, inner, features)."""
    if len(tensor.shape) != 2 or experts < 1 or tensor.shape[0] % experts:  # noqa: PLR2004 - as above
        msg = f"the checkpoint's tensor {tensor.name} has shape {tensor.shape}; config.json says num_experts {experts}"
        raise ModelBroken(msg)
    return replace(tensor, data=tensor.data.reshape(experts, tensor.shape[0] // experts, tensor.shape[1]))


def classifier(_config: Config) -> tuple[Head, ...]:
    """Scores of a row: the pooler on its first token, then a linear layer."""
    return Pooling(("cls",)), Dense("pooler.dense", "tanh"), Dense("classifier")


def token_classifier(_config: Config) -> tuple[Head, ...]:
    """Scores of each token."""
    return (Dense("classifier"),)


def language_model(config: Config) -> tuple[Head, ...]:
    """Scores of the vocabulary for each token."""
    act = config.act
    if config.original:
        name = config.activation_function
        act = "silu" if name == "swiglu" else "gelu_tanh" if name in _PLAIN[1:] else "gelu"
    head = "cls.predictions"
    return (
        Dense(f"{head}.transform.dense", act),
        LayerNorm(f"{head}.transform.layer_norm", config.layer_norm_eps),
        Dense(f"{head}.decoder", features=config.vocab_size),
    )


def forward(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:
    """Token states (tokens…, hidden_size) after the last layer."""
    turn, eps = config.rotation(), config.layer_norm_eps
    x = _embed(ops, config, weights.at("embeddings"), inputs)
    for index in range(config.num_hidden_layers):
        layer = weights.at(f"layers.{index}")
        attended = _attend(ops, config, layer.at("self_attn"), x, inputs.positions, turn)
        x = layer.layer_norm("post_attention_layernorm", ops.add(x, attended), eps)
        feed = _choose if config.has_experts(index) else _feed
        x = layer.layer_norm("post_mlp_layernorm", ops.add(x, feed(ops, config, layer.at("mlp"), x)), eps)
    return x


def _embed(ops: Ops[T], config: Config, weights: Weights[T], inputs: Inputs[T]) -> T:
    x = weights.embedding("word_embeddings", inputs.ids, config.vocab_size, config.hidden_size)
    if config.type_vocab_size > 0:
        types = weights.embedding("token_type_embeddings", inputs.types, config.type_vocab_size, config.hidden_size)
        x = ops.add(x, types)
    return weights.layer_norm("LayerNorm", x, config.layer_norm_eps)


def _attend(ops: Ops[T], config: Config, weights: Weights[T], x: T, positions: T, turn: Rotation) -> T:
    heads, width = config.num_attention_heads, config.width
    query = ops.rope(ops.split_heads(weights.linear("q_proj", x, heads * width), heads), positions, turn)
    key = ops.rope(ops.split_heads(weights.linear("k_proj", x, heads * width), heads), positions, turn)
    value = ops.split_heads(weights.linear("v_proj", x, heads * width), heads)
    states = ops.merge_heads(ops.attention(query, key, value, causal=False, scale=width**-0.5))
    return weights.linear("o_proj", states, config.hidden_size)


def _feed(ops: Ops[T], config: Config, weights: Weights[T], x: T) -> T:
    inner = weights.linear("up_proj", x, config.intermediate_size)
    if config.gated:
        gate = ops.activation(weights.linear("gate_proj", x, config.intermediate_size), config.act)
        inner = ops.multiply(inner, gate)
    else:
        inner = ops.activation(inner, config.act)
    return weights.linear("down_proj", inner, config.hidden_size)


def _choose(ops: Ops[T], config: Config, weights: Weights[T], x: T) -> T:
    experts = weights.at("experts")
    return ops.experts(
        x,
        weights["router.layer.weight"],
        experts["mlp.w1"],
        experts["mlp.w2"],
        experts.get("bias"),
        top=config.moe_top_k,
        activation=config.act,
    )
