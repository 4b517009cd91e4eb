"""The `new` architecture of Alibaba-NLP/new-impl in plain torch, by its checkpoints' names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch  # noqa: TID253 - the reference runs on it
from scripts.reference import rotary
from torch import nn  # noqa: TID253

Settings = Mapping[str, Any]


class Embeddings(nn.Module):
    """Words, segments and, in some, positions; then a norm."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        features = settings["hidden_size"]
        self.word_embeddings = nn.Embedding(settings["vocab_size"], features)
        if settings["position_embedding_type"] == "absolute":
            self.position_embeddings = nn.Embedding(settings["max_position_embeddings"], features)
        if settings["type_vocab_size"]:
            self.token_type_embeddings = nn.Embedding(settings["type_vocab_size"], features)
        self.LayerNorm = nn.LayerNorm(features, settings["layer_norm_eps"])

    def forward(self, ids: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        """(rows, tokens, features)."""
        x = self.word_embeddings(ids)
        if hasattr(self, "token_type_embeddings"):
            x = x + self.token_type_embeddings(types)
        if hasattr(self, "position_embeddings"):
            x = x + self.position_embeddings.weight[: ids.shape[1]]
        normed: torch.Tensor = self.LayerNorm(x)
        return normed


class Layer(nn.Module):
    """Attention and a gated feed-forward part, each followed by a norm of the sum."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        features, inner = settings["hidden_size"], settings["intermediate_size"]
        norm = nn.RMSNorm if settings["layer_norm_type"] == "rms_norm" else nn.LayerNorm
        self.heads = settings["num_attention_heads"]
        self.attention = nn.ModuleDict({"o_proj": nn.Linear(features, features)})
        if settings["pack_qkv"]:
            self.attention["qkv_proj"] = nn.Linear(features, 3 * features)
        else:
            self.attention.update({f"{part}_proj": nn.Linear(features, features) for part in "qkv"})
        self.mlp = nn.ModuleDict(
            {"up_gate_proj": nn.Linear(features, 2 * inner, bias=False), "down_proj": nn.Linear(inner, features)}
        )
        self.attn_ln = norm(features, settings["layer_norm_eps"])
        self.mlp_ln = norm(features, settings["layer_norm_eps"])

    def forward(self, x: torch.Tensor, angles: torch.Tensor | None) -> torch.Tensor:
        """To the same shape."""
        own = self.attention
        packed = own["qkv_proj"](x) if "qkv_proj" in own else torch.cat([own[f"{part}_proj"](x) for part in "qkv"], -1)
        x = self.attn_ln(x + own["o_proj"](rotary.attend(packed, self.heads, angles)))
        up, gate = self.mlp["up_gate_proj"](x).chunk(2, dim=-1)
        y: torch.Tensor = self.mlp_ln(x + self.mlp["down_proj"](nn.functional.gelu(gate) * up))
        return y


class Stack(nn.Module):
    """All layers."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.layer = nn.ModuleList([Layer(settings) for _ in range(settings["num_hidden_layers"])])

    def forward(self, x: torch.Tensor, angles: torch.Tensor | None) -> torch.Tensor:
        """To the same shape."""
        for layer in self.layer:
            x = layer(x, angles)
        return x


class Body(nn.Module):
    """Token states, and where the settings name a head over rows, its pooler."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.embeddings = Embeddings(settings)
        self.encoder = Stack(settings)
        self.pooler = nn.ModuleDict()
        if settings.get("head") == "logits":
            self.pooler["dense"] = nn.Linear(settings["hidden_size"], settings["hidden_size"])

    def forward(self, input_ids: torch.Tensor, token_type_ids: torch.Tensor | None = None) -> torch.Tensor:
        """(rows, tokens, features)."""
        types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        rotates = self.settings["position_embedding_type"] == "rope"
        angles = rotary.angles(frequencies(self.settings), input_ids.shape[1]) if rotates else None
        states: torch.Tensor = self.encoder(self.embeddings(input_ids, types), angles)
        return states


class Headed(nn.Module):
    """The body as `new`, with the head that the settings' ``head`` names; what it gives is its scores."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        features, entries, self.head = settings["hidden_size"], settings["vocab_size"], settings["head"]
        self.new = Body(settings)
        self.lm_head = nn.ModuleDict()
        if self.head == "vocabulary":
            norm = nn.LayerNorm(features, settings["layer_norm_eps"])
            decoder = nn.Linear(features, entries)
            decoder.weight = self.new.embeddings.word_embeddings.weight
            self.lm_head.update({"dense": nn.Linear(features, features), "norm": norm, "decoder": decoder})
        else:
            self.classifier = nn.Linear(features, settings["num_labels"])

    def forward(self, input_ids: torch.Tensor, token_type_ids: torch.Tensor | None = None) -> torch.Tensor:
        """(rows, labels), (rows, tokens, labels) or (rows, tokens, entries)."""
        x: torch.Tensor = self.new(input_ids, token_type_ids)
        if self.head == "logits":
            x = torch.tanh(self.new.pooler["dense"](x[:, 0]))
        if self.head == "vocabulary":
            x = self.lm_head["norm"](nn.functional.gelu(self.lm_head["dense"](x)))
        last = self.lm_head["decoder"] if self.head == "vocabulary" else self.classifier
        scores: torch.Tensor = last(x)
        return scores


def frequencies(settings: Settings) -> torch.Tensor:
    """Angles a step, with fixed or mixed NTK scaling, computed in double precision."""
    width = settings["hidden_size"] // settings["num_attention_heads"]
    pair = torch.arange(width // 2, dtype=torch.float64)
    base, scaling = settings["rope_theta"], settings["rope_scaling"]
    if scaling is None:
        plain: torch.Tensor = base ** (-2 * pair / width)
        return plain.float()
    factor, mixed = scaling["factor"], scaling.get("mixed_b")
    if mixed is None:
        fixed: torch.Tensor = (base * factor) ** (-2 * pair / width) * factor ** (-2 / width)
        return fixed.float()
    slope = math.log(factor) / (width / 2) ** mixed
    slower: torch.Tensor = base ** (-2 * pair / width) * torch.exp(-slope * (pair + 1) ** mixed)
    return slower.float()
