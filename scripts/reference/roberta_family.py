"""Cases of RoBERTa and its namesakes, of DistilBERT and of MPNet."""

from __future__ import annotations

from scripts.reference.case import Case
from scripts.reference.relative_bert import RelativeBert
from scripts.reference.sizes import LABELS, SMALL

_ROBERTA = {"model_type": "roberta", **SMALL, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
_CAMEMBERT = _ROBERTA | {"model_type": "camembert"}
_XLM = _ROBERTA | {"model_type": "xlm-roberta"}
_MPNET = {"model_type": "mpnet", **SMALL}
_LONG = (1, 3, 40, 150)
"""Far enough for every bucket of MPNet's bias."""
_DISTILBERT = {
    "model_type": "distilbert",
    "vocab_size": 60,
    "dim": 32,
    "hidden_dim": 48,
    "n_layers": 2,
    "n_heads": 4,
    "max_position_embeddings": 64,
}

CASES = (
    Case("roberta", _ROBERTA),
    Case("roberta_logits", _ROBERTA | LABELS, kind="logits"),
    Case("roberta_token_logits", _ROBERTA | LABELS, kind="token_logits"),
    Case("roberta_vocabulary", _ROBERTA, kind="vocabulary"),
    Case("roberta_segments", _ROBERTA | {"type_vocab_size": 2, "pad_token_id": 3, "hidden_act": "relu"}, types=True),
    Case(
        "roberta_relative_key_query",
        _ROBERTA | {"position_embedding_type": "relative_key_query", "pad_token_id": 1, "max_position_embeddings": 42},
        model=RelativeBert,
        rename=lambda name: name.replace("bert", "roberta", 1),
    ),
    Case("camembert", _CAMEMBERT),
    Case("camembert_logits", _CAMEMBERT | LABELS, kind="logits"),
    Case("camembert_vocabulary", _CAMEMBERT, kind="vocabulary"),
    Case("xlm_roberta", _XLM),
    Case("xlm_roberta_logits", _XLM | {"num_labels": 1}, kind="logits"),
    Case("xlm_roberta_token_logits", _XLM | LABELS, kind="token_logits"),
    Case("xlm_roberta_vocabulary", _XLM, kind="vocabulary"),
    Case("distilbert", _DISTILBERT),
    Case("distilbert_logits", _DISTILBERT | LABELS | {"activation": "relu"}, kind="logits"),
    Case("distilbert_token_logits", _DISTILBERT | LABELS, kind="token_logits"),
    Case("distilbert_vocabulary", _DISTILBERT, kind="vocabulary"),
    Case("mpnet", _MPNET),
    Case("mpnet_far", _MPNET | {"max_position_embeddings": 160}, lengths=_LONG),
    Case("mpnet_logits", _MPNET | LABELS, kind="logits"),
    Case("mpnet_token_logits", _MPNET | LABELS, kind="token_logits"),
    Case("mpnet_vocabulary", _MPNET, kind="vocabulary"),
)
