"""The architecture of jinaai/xlm-roberta-flash-implementation in plain torch; each task's adapter is added to the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch  # noqa: TID253 - the reference runs on it
from scripts.reference import rotary
from torch import nn  # noqa: TID253

Settings = Mapping[str, Any]


class Adapters(nn.Module):
    """For each task two factors of what is added to a weight."""

    def __init__(self, settings: Settings, shape: torch.Size, *, table: bool) -> None:
        super().__init__()
        tasks, rank = len(settings["lora_adaptations"]), settings["lora_rank"]
        rows, columns = shape
        self.table, self.scaling = table, settings["lora_alpha"] / rank
        self.lora_A = nn.Parameter(torch.zeros((tasks, rows, rank) if table else (tasks, rank, columns)))
        self.lora_B = nn.Parameter(torch.zeros((tasks, rank, columns) if table else (tasks, rows, rank)))

    def forward(self, task: int) -> torch.Tensor:
        """What that task adds, in the weight's shape."""
        first, second = self.lora_A[task], self.lora_B[task]
        product: torch.Tensor = first @ second if self.table else second @ first
        added: torch.Tensor = product * self.scaling
        return added


class Adapted(nn.Module):
    """A linear layer or a table of embeddings; `task` counts from 1, 0 is none."""

    def __init__(self, settings: Settings, layer: nn.Linear | nn.Embedding) -> None:
        super().__init__()
        self.layer, self.task = layer, settings["task"]
        if settings.get("lora_adaptations"):
            self.adapters = Adapters(settings, layer.weight.shape, table=isinstance(layer, nn.Embedding))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What the layer makes of x with the adapter in its weight."""
        weight: torch.Tensor = self.layer.weight
        if self.task:
            weight = weight + self.adapters(self.task - 1)
        if isinstance(self.layer, nn.Embedding):
            return weight[x]
        return nn.functional.linear(x, weight, self.layer.bias)


class Layer(nn.Module):
    """Attention and a feed-forward part, each followed by a norm of the sum."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        features, inner = settings["hidden_size"], settings["intermediate_size"]
        self.heads = settings["num_attention_heads"]
        self.mixer = nn.ModuleDict(
            {
                "Wqkv": Adapted(settings, nn.Linear(features, 3 * features)),
                "out_proj": Adapted(settings, nn.Linear(features, features)),
            }
        )
        self.mlp = nn.ModuleDict(
            {
                "fc1": Adapted(settings, nn.Linear(features, inner)),
                "fc2": Adapted(settings, nn.Linear(inner, features)),
            }
        )
        self.norm1 = nn.LayerNorm(features, settings["layer_norm_eps"])
        self.norm2 = nn.LayerNorm(features, settings["layer_norm_eps"])

    def forward(self, x: torch.Tensor, angles: torch.Tensor | None) -> torch.Tensor:
        """To the same shape."""
        x = self.norm1(x + self.mixer["out_proj"](rotary.attend(self.mixer["Wqkv"](x), self.heads, angles)))
        y: torch.Tensor = self.norm2(x + self.mlp["fc2"](nn.functional.gelu(self.mlp["fc1"](x))))
        return y


class Stack(nn.Module):
    """All layers."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Layer(settings) for _ in range(settings["num_hidden_layers"])])

    def forward(self, x: torch.Tensor, angles: torch.Tensor | None) -> torch.Tensor:
        """To the same shape."""
        for layer in self.layers:
            x = layer(x, angles)
        return x


class Body(nn.Module):
    """Token states; with the settings' ``num_labels`` the classifier's scores of the first token."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        features = settings["hidden_size"]
        self.settings = settings
        words, types = (
            nn.Embedding(settings["vocab_size"], features),
            nn.Embedding(settings["type_vocab_size"], features),
        )
        self.embeddings = nn.ModuleDict(
            {"word_embeddings": Adapted(settings, words), "token_type_embeddings": Adapted(settings, types)}
        )
        self.absolute = settings["position_embedding_type"] == "absolute"
        if self.absolute:
            self.embeddings["position_embeddings"] = nn.Embedding(settings["max_position_embeddings"], features)
        self.emb_ln = nn.LayerNorm(features, settings["layer_norm_eps"])
        self.encoder = Stack(settings)
        self.classifier = nn.ModuleDict()
        if "num_labels" in settings:
            self.classifier["dense"] = nn.Linear(features, features)
            self.classifier["out_proj"] = nn.Linear(features, settings["num_labels"])

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """(rows, tokens, features) or (rows, labels)."""
        settings, tokens = self.settings, input_ids.shape[1]
        x = self.embeddings["word_embeddings"](input_ids)
        x = x + self.embeddings["token_type_embeddings"](torch.zeros_like(input_ids))
        angles = None
        if self.absolute:
            first = settings["pad_token_id"] + 1
            x = x + self.embeddings["position_embeddings"](torch.arange(first, first + tokens))
        else:
            width = settings["hidden_size"] // settings["num_attention_heads"]
            angles = rotary.angles(rotary.frequencies(settings["rotary_emb_base"], width), tokens)
        x = self.encoder(self.emb_ln(x), angles)
        if self.classifier:
            x = self.classifier["out_proj"](torch.tanh(self.classifier["dense"](x[:, 0])))
        states: torch.Tensor = x
        return states


def stored_adapted(name: str) -> str:
    """The name in a checkpoint with adapters."""
    plain = name.replace(".layer.weight", ".parametrizations.weight.original").replace(".layer.bias", ".bias")
    return "roberta." + plain.replace(".adapters.lora_", ".parametrizations.weight.0.lora_")


def stored_plain(name: str) -> str:
    """The name in a checkpoint without adapters."""
    plain = name.replace(".layer.", ".")
    return plain if plain.startswith("classifier.") else f"roberta.{plain}"
