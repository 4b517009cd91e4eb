"""Cases of ModernBERT and EuroBERT."""

from __future__ import annotations

from scripts.reference.case import Case

_LABELS = {"num_labels": 3}
_MODERN = {
    "model_type": "modernbert",
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "local_attention": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "cls_token_id": 1,
    "sep_token_id": 2,
}
_BIASES = {"norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True}
_OLD_KEYS = {
    "global_attn_every_n_layers": 2,
    "global_rope_theta": 80_000.0,
    "local_rope_theta": 500.0,
    "layer_types": None,
    "rope_parameters": None,
}
_NEW_KEYS = {
    "layer_types": ["full_attention", "sliding_attention"] * 2,
    "rope_parameters": {
        "full_attention": {"rope_type": "default", "rope_theta": 80_000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
    },
}
_SCALED = {
    "rope_parameters": {
        "full_attention": {
            "rope_type": "yarn",
            "rope_theta": 500.0,
            "factor": 4.0,
            "original_max_position_embeddings": 16,
        },
        "sliding_attention": {"rope_type": "linear", "rope_theta": 100.0, "factor": 2.0},
    },
}
_EURO = {
    "model_type": "eurobert",
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "mask_token_id": 3,
}
_DYNAMIC = {
    "rope_parameters": {"rope_type": "dynamic", "rope_theta": 500.0, "factor": 2.0},
    "max_position_embeddings": 16,
}
_LLAMA3 = {
    "rope_parameters": {
        "rope_type": "llama3",
        "rope_theta": 500.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    },
}

CASES = (
    Case("modernbert", _MODERN),
    Case("modernbert_biases", _MODERN | _BIASES),
    Case("modernbert_old_keys", _MODERN | _NEW_KEYS, written=_OLD_KEYS),
    Case("modernbert_scaled", _MODERN | _SCALED),
    Case("modernbert_logits", _MODERN | _LABELS, kind="logits"),
    Case("modernbert_logits_mean", _MODERN | _LABELS | _BIASES | {"classifier_pooling": "mean"}, kind="logits"),
    Case("modernbert_token_logits", _MODERN | _LABELS, kind="token_logits"),
    Case("modernbert_vocabulary", _MODERN, kind="vocabulary"),
    Case("eurobert", _EURO | {"num_key_value_heads": 2}),
    Case("eurobert_dynamic", _EURO | _DYNAMIC),
    Case("eurobert_llama3", _EURO | _LLAMA3 | {"head_dim": 16, "attention_bias": True, "mlp_bias": True}),
    Case("eurobert_logits", _EURO | _LABELS, kind="logits"),
    Case("eurobert_logits_bos", _EURO | _LABELS | {"classifier_pooling": "bos"}, kind="logits"),
    Case(
        "eurobert_logits_mean",
        _EURO | _LABELS | {"classifier_pooling": "mean"},
        kind="logits",
        written={"classifier_pooling": None, "clf_pooling": "mean"},
    ),
    Case("eurobert_token_logits", _EURO | _LABELS, kind="token_logits"),
    Case("eurobert_vocabulary", _EURO, kind="vocabulary"),
)
