"""The architecture of nomic-ai/nomic-bert-2048 in plain torch, by its checkpoints' names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch  # noqa: TID253 - the reference runs on it
from scripts.reference import rotary
from torch import nn  # noqa: TID253

Settings = Mapping[str, Any]
Function = Callable[[torch.Tensor], torch.Tensor]

_GATES: Mapping[str, Function] = {"glu": torch.sigmoid, "swiglu": nn.functional.silu, "geglu": nn.functional.gelu}


class Gated(nn.Module):
    """fc2(fc11(x) * act(fc12(x)))."""

    def __init__(self, settings: Settings, gate: Function) -> None:
        super().__init__()
        features, bias = settings["n_embd"], settings["mlp_fc1_bias"]
        inner = (settings["n_inner"] + 255) // 256 * 256
        self.gate = gate
        self.fc11 = nn.Linear(features, inner, bias=bias)
        self.fc12 = nn.Linear(features, inner, bias=bias)
        self.fc2 = nn.Linear(inner, features, bias=settings["mlp_fc2_bias"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """To the same shape."""
        y: torch.Tensor = self.fc2(self.fc11(x) * self.gate(self.fc12(x)))
        return y


class Plain(nn.Module):
    """fc2(gelu(fc1(x)))."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.fc1 = nn.Linear(settings["n_embd"], settings["n_inner"], bias=settings["mlp_fc1_bias"])
        self.fc2 = nn.Linear(settings["n_inner"], settings["n_embd"], bias=settings["mlp_fc2_bias"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """To the same shape."""
        y: torch.Tensor = self.fc2(nn.functional.gelu(self.fc1(x)))
        return y


class ExpertLayers(nn.Module):
    """All experts' weights, one below the other."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        shape = (settings["num_experts"] * settings["n_inner"], settings["n_embd"])
        self.w1, self.w2 = nn.Parameter(torch.zeros(shape)), nn.Parameter(torch.zeros(shape))


class Experts(nn.Module):
    """Experts and the bias that they share."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.mlp = ExpertLayers(settings)
        self.bias = nn.Parameter(torch.zeros(settings["n_embd"]))


class Mixture(nn.Module):
    """Each token's best experts, weighted by a softmax over all."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.count, self.top = settings["num_experts"], settings["moe_top_k"]
        self.router = nn.ModuleDict({"layer": nn.Linear(settings["n_embd"], self.count, bias=False)})
        self.experts = Experts(settings)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """To the same shape, a token at a time."""
        shares = self.router["layer"](x).softmax(dim=-1)
        first = self.experts.mlp.w1.chunk(self.count)
        second = self.experts.mlp.w2.chunk(self.count)
        y = torch.zeros_like(x)
        for row in range(x.shape[0]):
            for token in range(x.shape[1]):
                for expert in shares[row, token].argsort(descending=True)[: self.top].tolist():
                    made = nn.functional.gelu(first[expert] @ x[row, token]) @ second[expert]
                    y[row, token] += shares[row, token, expert] * made
        return y + self.experts.bias


class Layer(nn.Module):
    """Attention and a feed-forward part, each followed by a norm of the sum."""

    def __init__(self, settings: Settings, index: int) -> None:
        super().__init__()
        features, bias = settings["n_embd"], settings["qkv_proj_bias"]
        every, name = settings.get("moe_every_n_layers", 0), settings["activation_function"]
        self.heads = settings["n_head"]
        self.attn = nn.ModuleDict(
            {"Wqkv": nn.Linear(features, 3 * features, bias=bias), "out_proj": nn.Linear(features, features, bias=bias)}
        )
        if every and index % every == 1:
            self.mlp: nn.Module = Mixture(settings)
        else:
            self.mlp = Gated(settings, _GATES[name]) if name in _GATES else Plain(settings)
        self.norm1 = nn.LayerNorm(features, settings["layer_norm_epsilon"])
        self.norm2 = nn.LayerNorm(features, settings["layer_norm_epsilon"])

    def forward(self, x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
        """To the same shape."""
        x = self.norm1(x + self.attn["out_proj"](rotary.attend(self.attn["Wqkv"](x), self.heads, angles)))
        y: torch.Tensor = self.norm2(x + self.mlp(x))
        return y


class Stack(nn.Module):
    """All layers."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Layer(settings, index) for index in range(settings["n_layer"])])

    def forward(self, x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
        """To the same shape."""
        for layer in self.layers:
            x = layer(x, angles)
        return x


class Body(nn.Module):
    """Token states, and where the settings name a head over rows, its pooler."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        features, multiple = settings["n_embd"], settings["pad_vocab_size_multiple"]
        entries = (settings["vocab_size"] + multiple - 1) // multiple * multiple
        self.settings = settings
        self.embeddings = nn.ModuleDict({"word_embeddings": nn.Embedding(entries, features)})
        if settings["type_vocab_size"]:
            self.embeddings["token_type_embeddings"] = nn.Embedding(settings["type_vocab_size"], features)
        self.emb_ln = nn.LayerNorm(features, settings["layer_norm_epsilon"])
        self.encoder = Stack(settings)
        self.pooler = nn.ModuleDict()
        if settings.get("head") == "logits":
            self.pooler["dense"] = nn.Linear(features, features)

    def forward(self, input_ids: torch.Tensor, token_type_ids: torch.Tensor | None = None) -> torch.Tensor:
        """(rows, tokens, features)."""
        x = self.embeddings["word_embeddings"](input_ids)
        if "token_type_embeddings" in self.embeddings:
            types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
            x = x + self.embeddings["token_type_embeddings"](types)
        states: torch.Tensor = self.encoder(self.emb_ln(x), angles(self.settings, input_ids.shape[1]))
        return states


class Predictions(nn.Module):
    """Scores of the vocabulary, their weight the words'."""

    def __init__(self, settings: Settings, words: nn.Parameter) -> None:
        super().__init__()
        features, bias = settings["n_embd"], settings["mlp_fc1_bias"]
        norm = nn.LayerNorm(features, settings["layer_norm_epsilon"])
        self.transform = nn.ModuleDict({"dense": nn.Linear(features, features, bias=bias), "layer_norm": norm})
        self.decoder = nn.Linear(features, settings["vocab_size"], bias=bias)
        self.decoder.weight = words

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(rows, tokens, entries)."""
        x = self.transform["layer_norm"](nn.functional.silu(self.transform["dense"](x)))
        scores: torch.Tensor = self.decoder(x)
        return scores


class Headed(nn.Module):
    """The body as `bert`, with the head that the settings' ``head`` names; what it gives is its scores."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.bert = Body(settings)
        self.cls = nn.ModuleDict()
        if settings["head"] == "logits":
            self.classifier = nn.Linear(settings["n_embd"], settings["num_labels"])
        else:
            words = self.bert.get_parameter("embeddings.word_embeddings.weight")
            self.cls["predictions"] = Predictions(settings, words)

    def forward(self, input_ids: torch.Tensor, token_type_ids: torch.Tensor | None = None) -> torch.Tensor:
        """(rows, labels) or (rows, tokens, entries)."""
        x: torch.Tensor = self.bert(input_ids, token_type_ids)
        if "predictions" in self.cls:
            scores: torch.Tensor = self.cls["predictions"](x)
        else:
            scores = self.classifier(torch.tanh(self.bert.pooler["dense"](x[:, 0])))
        return scores


def angles(settings: Settings, tokens: int) -> torch.Tensor:
    """(tokens, pairs), the base raised where the row is longer than what the model was trained for."""
    width = int(settings["n_embd"] // settings["n_head"] * settings["rotary_emb_fraction"])
    base, factor, trained = (
        settings["rotary_emb_base"],
        settings.get("rotary_scaling_factor"),
        settings.get("max_trained_positions", 2048),
    )
    if factor and tokens > trained:
        base *= (factor * tokens / trained - (factor - 1)) ** (width / (width - 2))
    return rotary.angles(rotary.frequencies(base, width), tokens)
