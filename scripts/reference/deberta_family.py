"""Cases of DeBERTa-v2 and v3."""

from __future__ import annotations

from scripts.reference.case import Case
from scripts.reference.sizes import LABELS, SMALL

_PLAIN = {"model_type": "deberta-v2", **SMALL}
_V3 = _PLAIN | {
    "relative_attention": True,
    "max_relative_positions": -1,
    "position_buckets": 8,
    "pos_att_type": "p2c|c2p",
    "share_att_key": True,
    "norm_rel_ebd": "layer_norm",
    "position_biased_input": False,
    "max_position_embeddings": 32,
}
"""As Microsoft's checkpoints have it; rows may be longer than max_position_embeddings."""
_XLARGE = _V3 | {"conv_kernel_size": 3, "conv_act": "gelu", "attention_head_size": 8, "position_buckets": 5}
_OWN = {"share_att_key": False, "norm_rel_ebd": "none", "position_buckets": -1, "max_relative_positions": 20}
_NARROW = {"embedding_size": 16, "type_vocab_size": 2, "position_biased_input": True, "max_position_embeddings": 64}

CASES = (
    Case("deberta_v2_plain", _PLAIN),
    Case("deberta_v3", _V3),
    Case("deberta_v2_xlarge", _XLARGE),
    Case("deberta_v2_groups", _XLARGE | {"conv_kernel_size": 5, "conv_groups": 4, "conv_act": "tanh"}),
    Case("deberta_v2_own_projections", _V3 | _OWN | {"pos_att_type": ["c2p", "p2c"]}),
    Case("deberta_v2_c2p", _V3 | _OWN | {"pos_att_type": ["c2p"], "position_buckets": 6}),
    Case("deberta_v2_p2c", _V3 | _OWN | {"pos_att_type": "p2c"}),
    Case("deberta_v2_narrow", _V3 | _NARROW, types=True),
    Case("deberta_v3_logits", _V3 | LABELS, kind="logits"),
    Case("deberta_v3_logits_relu", _V3 | {"num_labels": 1, "pooler_hidden_act": "relu"}, kind="logits"),
    Case("deberta_v3_token_logits", _V3 | LABELS, kind="token_logits"),
    Case("deberta_v3_vocabulary", _V3 | {"legacy": False}, kind="vocabulary"),
    Case("deberta_v2_vocabulary", _V3 | _NARROW, kind="vocabulary", types=True),
)
