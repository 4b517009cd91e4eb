"""Cases of jina-embeddings-v3 and what runs on the same code: transformers' own and that of the original repositories."""

from __future__ import annotations

from scripts.reference.case import Case
from scripts.reference.jina_model import Body, stored_adapted, stored_plain

_SMALL = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "type_vocab_size": 1,
}
_LABELS = {"num_labels": 3}
_NATIVE = {"model_type": "jina_embeddings_v3", **_SMALL}
_CODE = "jinaai/xlm-roberta-flash-implementation--"
_ORIGINAL = {
    "model_type": "xlm-roberta",
    "auto_map": {"AutoModel": f"{_CODE}modeling_lora.XLMRobertaLoRA"},
    **_SMALL,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
    "pad_token_id": 1,
    "position_embedding_type": "rotary",
    "rotary_emb_base": 500.0,
    "task": 0,
}
_ADAPTERS = {
    "lora_adaptations": ["retrieval.query", "retrieval.passage", "separation", "classification", "text-matching"],
    "lora_rank": 2,
    "lora_alpha": 3,
}
_RERANKER = {
    "auto_map": {"AutoModel": "modeling_xlm_roberta.XLMRobertaModel"},
    "position_embedding_type": "absolute",
    "num_labels": 1,
}


def _stored_tied(name: str) -> str:
    """The library saves the tied weight under the words' name, though the decoder comes first in the module."""
    return name.replace("lm_head.decoder.weight", "roberta.embeddings.word_embeddings.weight")


CASES = (
    Case("jina_v3", _NATIVE),
    Case("jina_v3_logits", _NATIVE | _LABELS, kind="logits"),
    Case("jina_v3_token_logits", _NATIVE | _LABELS, kind="token_logits"),
    Case("jina_v3_vocabulary", _NATIVE, kind="vocabulary", rename=_stored_tied),
    *(
        Case(
            f"jina_v3_original_{task}",
            _ORIGINAL | _ADAPTERS | {"task": task},
            model=Body,
            rename=stored_adapted,
            adapter=task,
        )
        for task in (0, 1, 4, 5)
    ),
    Case("jina_v3_original_plain", _ORIGINAL, model=Body, rename=stored_plain),
    Case("jina_reranker_v2", _ORIGINAL | _RERANKER, kind="logits", model=Body, rename=stored_plain),
)
