"""JinaBERT, whose code lies in repositories of its own, written anew in torch; and its cases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch  # noqa: TID253 - the reference runs on it
from scripts.reference.case import Case
from scripts.reference.sizes import LABELS, SMALL
from torch import nn  # noqa: TID253 - as above

EPS = 1e-12
_SLOPES = {
    4: [1 / 4, 1 / 16, 1 / 64, 1 / 256],
    6: [1 / 4, 1 / 16, 1 / 64, 1 / 256, 1 / 2, 1 / 8],
}
"""Each head's, by the number of heads; 6 are those of 4 and the first and third of those of 8."""


class JinaBert(nn.Module):
    """Both JinaBERTs: that for text, and that for code with norms of queries and keys; with the head that settings ask for."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.bert = _Body(settings)
        if "num_labels" in settings:
            self.classifier = nn.Linear(settings["hidden_size"], settings["num_labels"])

    def forward(self, input_ids: torch.Tensor, token_type_ids: torch.Tensor) -> torch.Tensor:
        """Token states, or scores of the row."""
        x: torch.Tensor = self.bert(input_ids, token_type_ids)
        if not hasattr(self, "classifier"):
            return x
        scores: torch.Tensor = self.classifier(torch.tanh(self.bert.pooler["dense"](x[:, 0])))
        return scores


class _Body(nn.Module):
    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        width, kind = settings["hidden_size"], _LAYERS[_code(settings)]
        self.embeddings = _Embeddings(settings)
        layers = nn.ModuleList(kind(settings) for _ in range(settings["num_hidden_layers"]))
        self.encoder = nn.ModuleDict({"layer": layers})
        self.pooler = nn.ModuleDict({"dense": nn.Linear(width, width)})

    def forward(self, ids: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        x: torch.Tensor = self.embeddings(ids, types)
        for layer in cast("nn.ModuleList", self.encoder["layer"]):
            x = layer(x)
        return x


class _Embeddings(nn.Module):
    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(settings["vocab_size"], settings["hidden_size"])
        self.token_type_embeddings = nn.Embedding(2, settings["hidden_size"])
        self.LayerNorm = nn.LayerNorm(settings["hidden_size"], EPS)

    def forward(self, ids: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.LayerNorm(self.word_embeddings(ids) + self.token_type_embeddings(types))
        return states


class _Scores(nn.Module):
    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        width, self.heads = settings["hidden_size"], settings["num_attention_heads"]
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        if _code(settings):
            self.layer_norm_q, self.layer_norm_k = nn.LayerNorm(width, EPS), nn.LayerNorm(width, EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.query(x), self.key(x), self.value(x)
        if hasattr(self, "layer_norm_q"):
            q, k = self.layer_norm_q(q), self.layer_norm_k(k)
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in (q, k, v))
        place = torch.arange(x.shape[1])
        away = (place[:, None] - place[None, :]).abs()
        bias = -torch.tensor(_SLOPES[self.heads])[:, None, None] * away
        shares = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5 + bias).softmax(dim=-1)
        states: torch.Tensor = (shares @ v).transpose(1, 2).flatten(2)
        return states


class _Residual(nn.Module):
    """A linear layer, then the norm of its sum with what came before."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(features, width)
        self.LayerNorm = nn.LayerNorm(width, EPS)

    def forward(self, x: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.LayerNorm(self.dense(x) + before)
        return states


class _TextLayer(nn.Module):
    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        width, inner = settings["hidden_size"], settings["intermediate_size"]
        self.kind = settings["feed_forward_type"]
        self.attention = nn.ModuleDict({"self": _Scores(settings), "output": _Residual(width, width)})
        if self.kind == "original":
            self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, inner)})
            self.output = _Residual(inner, width)
        else:
            parts = {
                "gated_layers": nn.Linear(width, 2 * inner, bias=False),
                "wo": nn.Linear(inner, width),
                "layernorm": nn.LayerNorm(width, EPS),
            }
            self.mlp = nn.ModuleDict(parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.attention["output"](self.attention["self"](x), x)
        if self.kind == "original":
            original: torch.Tensor = self.output(nn.functional.gelu(self.intermediate["dense"](x)), x)
            return original
        gate, value = self.mlp["gated_layers"](x).chunk(2, dim=-1)
        states: torch.Tensor = self.mlp["layernorm"](x + self.mlp["wo"](_gate(self.kind, gate) * value))
        return states


class _CodeLayer(nn.Module):
    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        width, inner = settings["hidden_size"], settings["intermediate_size"]
        self.kind = settings["feed_forward_type"]
        self.attention = nn.ModuleDict({"self": _Scores(settings), "output": _Residual(width, width)})
        up = ("up_layer", inner) if self.kind == "original" else ("up_gated_layer", 2 * inner)
        self.mlp = nn.ModuleDict({up[0]: nn.Linear(width, up[1], bias=False), "down_layer": nn.Linear(inner, width)})
        self.layer_norm_1, self.layer_norm_2 = nn.LayerNorm(width, EPS), nn.LayerNorm(width, EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer_norm_1(x + self.attention["output"](self.attention["self"](x), x))
        if self.kind == "original":
            inner = nn.functional.gelu(self.mlp["up_layer"](x))
        else:
            value, gate = self.mlp["up_gated_layer"](x).chunk(2, dim=-1)
            inner = value * _gate(self.kind, gate)
        states: torch.Tensor = self.layer_norm_2(x + self.mlp["down_layer"](inner))
        return states


def _gate(kind: str, x: torch.Tensor) -> torch.Tensor:
    return nn.functional.gelu(x) if kind == "geglu" else nn.functional.relu(x)


def _code(settings: Mapping[str, Any]) -> bool:
    return "qk-post-norm" in settings["auto_map"]["AutoModel"]


_LAYERS = {False: _TextLayer, True: _CodeLayer}


def _settings(repository: str, **more: Any) -> dict[str, Any]:
    owned = f"jinaai/{repository}--"
    mapped = {
        "AutoConfig": f"{owned}configuration_bert.JinaBertConfig",
        "AutoModel": f"{owned}modeling_bert.JinaBertModel",
    }
    own = {"auto_map": mapped, "position_embedding_type": "alibi", "feed_forward_type": "geglu"}
    return {"model_type": "bert", **SMALL, **own, **more}


_TEXT = _settings("jina-bert-implementation", emb_pooler="mean")
_CODE = _settings("jina-bert-v2-qk-post-norm", emb_pooler="mean", attn_implementation="torch")
_SIX = {"num_attention_heads": 6, "hidden_size": 48}

CASES = (
    Case("jina_bert", _TEXT, model=JinaBert, types=True),
    Case("jina_bert_six_heads", _TEXT | _SIX, model=JinaBert, types=True),
    Case("jina_bert_reglu", _TEXT | {"feed_forward_type": "reglu"}, model=JinaBert, types=True),
    Case("jina_bert_original", _TEXT | {"feed_forward_type": "original"}, model=JinaBert, types=True),
    Case("jina_bert_logits", _TEXT | LABELS, model=JinaBert, kind="logits", types=True),
    Case("jina_code", _CODE, model=JinaBert, types=True),
    Case("jina_code_six_heads", _CODE | _SIX | {"feed_forward_type": "reglu"}, model=JinaBert, types=True),
    Case("jina_code_original", _CODE | {"feed_forward_type": "original"}, model=JinaBert, types=True),
)
