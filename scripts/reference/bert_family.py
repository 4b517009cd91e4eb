"""Cases of BERT, and of the families that are its encoder with other embeddings or with shared layers."""

from __future__ import annotations

from scripts.reference.case import Case
from scripts.reference.relative_bert import RelativeBert
from scripts.reference.sizes import LABELS, SMALL

_BERT = {"model_type": "bert", **SMALL}
_RELATIVE = _BERT | {"max_position_embeddings": 40}
_ELECTRA = {"model_type": "electra", **SMALL, "embedding_size": 16}
_ALBERT = {"model_type": "albert", **SMALL, "embedding_size": 16, "num_hidden_layers": 3}
_GROUPS = {"num_hidden_layers": 4, "num_hidden_groups": 2, "inner_group_num": 2, "hidden_act": "gelu"}

CASES = (
    Case("bert", _BERT, types=True),
    Case("bert_logits", _BERT | LABELS, kind="logits", types=True),
    Case("bert_token_logits", _BERT | LABELS, kind="token_logits", types=True),
    Case("bert_vocabulary", _BERT, kind="vocabulary", types=True),
    Case("bert_relative_key", _RELATIVE | {"position_embedding_type": "relative_key"}, model=RelativeBert, types=True),
    Case(
        "bert_relative_key_query",
        _RELATIVE | {"position_embedding_type": "relative_key_query"},
        model=RelativeBert,
        types=True,
    ),
    Case("electra", _ELECTRA, types=True),
    Case("electra_wide", _ELECTRA | {"embedding_size": 32}, types=True),
    Case("electra_logits", _ELECTRA | LABELS, kind="logits", types=True),
    Case("electra_token_logits", _ELECTRA | LABELS, kind="token_logits", types=True),
    Case("electra_vocabulary", _ELECTRA, kind="vocabulary", types=True),
    Case("albert", _ALBERT, types=True),
    Case("albert_groups", _ALBERT | _GROUPS, types=True),
    Case("albert_logits", _ALBERT | LABELS, kind="logits", types=True),
    Case("albert_token_logits", _ALBERT | LABELS, kind="token_logits", types=True),
    Case("albert_vocabulary", _ALBERT, kind="vocabulary", types=True),
)
