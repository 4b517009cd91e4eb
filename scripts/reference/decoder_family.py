"""Cases of causal language models, and of T5's encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch  # noqa: TID253 - the reference runs on it
import transformers  # noqa: TID253 - it is the reference
from scripts.reference.case import Case

_SMALL: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_LABELS = {"num_labels": 3}
_LLAMA = {"model_type": "llama", **_SMALL}
_MISTRAL = {"model_type": "mistral", **_SMALL, "sliding_window": 6}
_QWEN2 = {"model_type": "qwen2", **_SMALL}
_QWEN3 = {"model_type": "qwen3", **_SMALL, "head_dim": 12}
_GEMMA = {"model_type": "gemma", **_SMALL, "head_dim": 12}
_GEMMA3 = {
    "model_type": "gemma3_text",
    **_SMALL,
    "num_hidden_layers": 3,
    "head_dim": 12,
    "query_pre_attn_scalar": 10,
    "sliding_window": 6,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}
_T5 = {
    "model_type": "t5",
    "vocab_size": 60,
    "d_model": 32,
    "d_kv": 12,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 20,
}
_FAR = {"max_position_embeddings": 16}
_LM: dict[str, Any] = {"kind": "vocabulary", "auto": "AutoModelForCausalLM"}


_ADDED: dict[str, Any] = {"around": 0.0}
"""Of models that add 1 to the weights of their norms."""


def _rope(kind: str, **values: float) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **values}}


def _old(kind: str, **values: float) -> dict[str, Any]:
    """The spelling of config.json before transformers 5."""
    return {"rope_parameters": None, "rope_theta": 10000.0, "rope_scaling": {"type": kind, **values}}


_YARN = {"factor": 4.0, "original_max_position_embeddings": 16}
_LLAMA3 = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}


def _t5_words(name: str) -> str | None:
    """T5's checkpoints have its words once, as `shared.weight`."""
    return None if name == "encoder.embed_tokens.weight" else name


def _umt5(settings: Mapping[str, Any]) -> torch.nn.Module:
    model: torch.nn.Module = transformers.UMT5EncoderModel(transformers.UMT5Config(**settings))
    return model


def _t5(settings: Mapping[str, Any]) -> torch.nn.Module:
    model: torch.nn.Module = transformers.T5EncoderModel(transformers.T5Config(**settings))
    return model


CASES = (
    Case("llama", _LLAMA),
    Case("llama_biases", _LLAMA | {"attention_bias": True, "mlp_bias": True, "num_key_value_heads": None}),
    Case("llama_linear", _LLAMA | _rope("linear", factor=2.5)),
    Case("llama_linear_old", _LLAMA | _rope("linear", factor=2.5), written=_old("linear", factor=2.5)),
    Case("llama_dynamic", _LLAMA | _FAR | _rope("dynamic", factor=2.0)),
    Case("llama_yarn", _LLAMA | _rope("yarn", **_YARN)),
    Case("llama_llama3", _LLAMA | _rope("llama3", **_LLAMA3)),
    Case("llama_both_ways", _LLAMA | {"is_causal": False}, written={"is_causal": None, "model_type": "llama_bidirec"}),
    Case("llama_logits", _LLAMA | _LABELS, kind="logits"),
    Case("llama_token_logits", _LLAMA | _LABELS, kind="token_logits"),
    Case("llama_vocabulary", _LLAMA, **_LM),
    Case("mistral", _MISTRAL),
    Case("mistral_no_window", _MISTRAL | {"sliding_window": None, "head_dim": 12}),
    Case("mistral_logits", _MISTRAL | _LABELS, kind="logits"),
    Case("qwen2", _QWEN2),
    Case(
        "qwen2_window",
        _QWEN2 | {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1},
        written={"layer_types": None},
    ),
    Case(
        "qwen2_both_ways",
        _QWEN2 | {"is_causal": False},
        written={"auto_map": {"AutoModel": "modeling_qwen.Qwen2Model"}},
    ),
    Case("qwen2_tied", _QWEN2 | {"tie_word_embeddings": True}, **_LM),
    Case("qwen2_logits", _QWEN2 | _LABELS, kind="logits"),
    Case("qwen3", _QWEN3 | {"attention_bias": True}),
    Case("qwen3_window", _QWEN3 | {"use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1}),
    Case("qwen3_yarn", _QWEN3 | _rope("yarn", **_YARN, attention_factor=1.3)),
    Case("qwen3_logits", _QWEN3 | _LABELS, kind="logits"),
    Case("qwen3_vocabulary", _QWEN3, **_LM),
    Case("gemma", _GEMMA, **_ADDED),
    Case("gemma_vocabulary", _GEMMA, **_LM, **_ADDED),
    Case("gemma_logits", _GEMMA | _LABELS, kind="logits", **_ADDED),
    Case("gemma3", _GEMMA3, **_ADDED),
    Case("gemma3_both_ways", _GEMMA3 | {"use_bidirectional_attention": True}, **_ADDED),
    Case(
        "gemma3_old",
        _GEMMA3 | {"layer_types": None, "sliding_window_pattern": 3},
        written={
            "layer_types": None,
            "rope_parameters": None,
            "rope_theta": 1000000.0,
            "rope_local_base_freq": 10000.0,
            "sliding_window_pattern": 3,
        },
        **_ADDED,
    ),
    Case("gemma3_vocabulary", _GEMMA3, **_LM, **_ADDED),
    Case("gemma3_logits", _GEMMA3 | _LABELS, kind="logits", **_ADDED),
    Case("t5", _T5, model=_t5, rename=_t5_words),
    Case("umt5", _T5 | {"model_type": "umt5", "feed_forward_proj": "gated-gelu"}, model=_umt5, rename=_t5_words),
    Case("t5_gated", _T5 | {"feed_forward_proj": "gated-gelu"}, model=_t5, rename=_t5_words),
)
