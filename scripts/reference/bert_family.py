"""Cases of BERT and its near relatives."""

from __future__ import annotations

from scripts.reference.case import Case

_SMALL = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
_LABELS = {"num_labels": 3}
_BERT = {"model_type": "bert", **_SMALL}

CASES = (
    Case("bert", _BERT, types=True),
    Case("bert_logits", _BERT | _LABELS, kind="logits", types=True),
    Case("bert_token_logits", _BERT | _LABELS, kind="token_logits", types=True),
    Case("bert_vocabulary", _BERT, kind="vocabulary", types=True),
)
