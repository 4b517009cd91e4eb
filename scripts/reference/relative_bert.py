"""BERT and RoBERTa with relative positions, which transformers dropped in version 5: its models, with attention as it was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch  # noqa: TID253 - the reference runs on it
import transformers  # noqa: TID253 - it is the reference
from torch import nn  # noqa: TID253 - as above


class RelativeBert(nn.Module):
    """The model of a configuration with ``position_embedding_type``; its table of absolute positions is there and not used."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        configuration = transformers.AutoConfig.for_model(**settings)
        self.bert = transformers.AutoModel.from_config(configuration, attn_implementation="eager")
        self.bert.embeddings.position_embeddings = _Unused(settings["max_position_embeddings"], settings["hidden_size"])
        for layer in self.bert.encoder.layer:
            layer.attention.self = _RelativeAttention(settings)

    def forward(self, input_ids: torch.Tensor, token_type_ids: torch.Tensor | None = None) -> Any:
        """Token states."""
        return self.bert(input_ids=input_ids, token_type_ids=token_type_ids)


class _Unused(nn.Embedding):
    def forward(self, index: torch.Tensor) -> torch.Tensor:
        return super().forward(index) * 0


class _RelativeAttention(nn.Module):
    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        width, self.heads = settings["hidden_size"], settings["num_attention_heads"]
        self.longest = settings["max_position_embeddings"]
        self.by_query_too = settings["position_embedding_type"] == "relative_key_query"
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.distance_embedding = nn.Embedding(2 * self.longest - 1, width // self.heads)

    def forward(self, x: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, None]:
        tokens, features = x.shape[1], x.shape[2] // self.heads
        q, k, v = (
            layer(x)[0].view(tokens, self.heads, features).transpose(0, 1)
            for layer in (self.query, self.key, self.value)
        )
        place = torch.arange(tokens)
        vectors = self.distance_embedding(place[:, None] - place[None, :] + self.longest - 1)  # (query, key, features)
        scores = q @ k.transpose(1, 2) + torch.einsum("hqd,qkd->hqk", q, vectors)
        if self.by_query_too:
            scores = scores + torch.einsum("hkd,qkd->hqk", k, vectors)
        states = (scores / features**0.5).softmax(dim=-1) @ v
        return states.transpose(0, 1).reshape(1, tokens, -1), None
