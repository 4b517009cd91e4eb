"""The sizes that tiny models of BERT's kin have."""

from __future__ import annotations

SMALL = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
LABELS = {"num_labels": 3}
