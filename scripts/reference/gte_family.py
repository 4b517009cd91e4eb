"""Cases of GTE: transformers' own and that of the original repositories."""

from __future__ import annotations

from scripts.reference.case import Case
from scripts.reference.new_model import Body, Headed

_SMALL = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
_LABELS = {"num_labels": 3}
_GTE = {"model_type": "gte", **_SMALL, "type_vocab_size": 2}
_YARN = {
    "rope_parameters": {"rope_type": "yarn", "rope_theta": 500.0, "factor": 4.0, "original_max_position_embeddings": 16}
}
_NEW = {
    "model_type": "new",
    "auto_map": {"AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel"},
    **_SMALL,
    "hidden_act": "gelu",
    "type_vocab_size": 0,
    "layer_norm_type": "layer_norm",
    "layer_norm_eps": 1e-12,
    "position_embedding_type": "rope",
    "rope_theta": 500.0,
    "rope_scaling": None,
    "pack_qkv": True,
    "unpad_inputs": True,
    "use_memory_efficient_attention": True,
    "logn_attention_scale": False,
    "logn_attention_clip1": False,
}
_TYPES = {"type_vocab_size": 2}
_PLAIN = {"layer_norm_type": "rms_norm", "pack_qkv": False}
_NTK = {"rope_scaling": {"type": "ntk", "factor": 4.0}}
_MIXED = {"rope_scaling": {"type": "ntk", "factor": 4.0, "mixed_b": 0.625}}
_ARCTIC = {"model_type": "gte", "auto_map": {"AutoModel": "modeling_hf_alibaba_nlp_gte.GteModel"}}
_STELLA = {"auto_map": {"AutoModel": "modeling.NewModel"}}

CASES = (
    Case("gte", _GTE, types=True),
    Case("gte_one_type_yarn", _GTE | {"type_vocab_size": 1, "hidden_act": "silu"} | _YARN),
    Case("gte_no_types", _GTE | {"type_vocab_size": 0}),
    Case("gte_logits", _GTE | _LABELS, kind="logits", types=True),
    Case("gte_token_logits", _GTE | _LABELS, kind="token_logits", types=True),
    Case("gte_vocabulary", _GTE, kind="vocabulary", types=True),
    Case("gte_new", _NEW | _TYPES | _NTK, model=Body, types=True),
    Case("gte_new_plain", _NEW | _PLAIN | _STELLA, model=Body),
    Case("gte_new_mixed", _NEW | _MIXED | _ARCTIC, model=Body),
    Case("gte_new_absolute", _NEW | {"position_embedding_type": "absolute"}, model=Body),
    Case("gte_new_logits", _NEW | _LABELS | {"head": "logits"}, kind="logits", model=Headed),
    Case("gte_new_token_logits", _NEW | _LABELS | {"head": "token_logits"}, kind="token_logits", model=Headed),
    Case("gte_new_vocabulary", _NEW | {"head": "vocabulary"}, kind="vocabulary", model=Headed),
)
