"""Cases of Nomic BERT: transformers' own and that of the original repositories."""

from __future__ import annotations

from scripts.reference.case import Case
from scripts.reference.nomic_model import Body, Headed

_LABELS = {"num_labels": 3}
_NATIVE = {
    "model_type": "nomic_bert",
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
_DYNAMIC = {
    "rope_parameters": {"rope_type": "dynamic", "rope_theta": 100.0, "factor": 2.0},
    "max_position_embeddings": 16,
}
_ORIGINAL = {
    "model_type": "nomic_bert",
    "auto_map": {"AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel"},
    "vocab_size": 60,
    "pad_vocab_size_multiple": 1,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "n_inner": 48,
    "n_positions": 64,
    "activation_function": "swiglu",
    "layer_norm_epsilon": 1e-12,
    "type_vocab_size": 2,
    "qkv_proj_bias": False,
    "mlp_fc1_bias": False,
    "mlp_fc2_bias": False,
    "prenorm": False,
    "causal": False,
    "use_rms_norm": False,
    "rotary_emb_base": 100,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "rotary_scaling_factor": None,
}
_BIASES = {"qkv_proj_bias": True, "mlp_fc1_bias": True, "mlp_fc2_bias": True}
_STRETCHED = {"rotary_scaling_factor": 2, "max_trained_positions": 10}
_GEGLU = {"activation_function": "geglu", "rotary_emb_fraction": 0.5, "pad_vocab_size_multiple": 64}
_EXPERTS = {
    "activation_function": "gelu",
    "type_vocab_size": 1,
    "moe_every_n_layers": 2,
    "num_experts": 4,
    "moe_top_k": 2,
    "moe_normalize_expert_weights": False,
    "num_shared_experts": 0,
    "expert_choice_router": False,
}

CASES = (
    Case("nomic", _NATIVE, types=True),
    Case("nomic_dynamic", _NATIVE | _DYNAMIC, types=True),
    Case("nomic_logits", _NATIVE | _LABELS, kind="logits", types=True),
    Case("nomic_token_logits", _NATIVE | _LABELS, kind="token_logits", types=True),
    Case("nomic_vocabulary", _NATIVE, kind="vocabulary", types=True),
    Case("nomic_original", _ORIGINAL, model=Body, types=True),
    Case("nomic_original_stretched", _ORIGINAL | _STRETCHED | _BIASES, model=Body, types=True),
    Case("nomic_original_geglu", _ORIGINAL | _GEGLU, model=Body, types=True),
    Case("nomic_original_glu", _ORIGINAL | {"activation_function": "glu", "type_vocab_size": 0}, model=Body),
    Case("nomic_original_experts", _ORIGINAL | _BIASES | _EXPERTS, model=Body),
    Case("nomic_original_logits", _ORIGINAL | _LABELS | {"head": "logits"}, kind="logits", model=Headed, types=True),
    Case(
        "nomic_original_vocabulary",
        _ORIGINAL | {"head": "vocabulary", "mlp_fc1_bias": True},
        kind="vocabulary",
        model=Headed,
        types=True,
    ),
)
