"""config.json and tensors of the encoders with rotary positions: published spellings are read, the rest is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from textmill.arch import gte, jina_embeddings_v3, modernbert, nomic_bert
from textmill.arch.config import parse_config
from textmill.arch.families import architecture
from textmill.arch.fused import cut_layers
from textmill.arch.ops import Tensor
from textmill.errors import ModelBroken

NOMIC_V2: dict[str, Any] = {
    "model_type": "nomic_bert",
    "auto_map": {
        "AutoConfig": "nomic-ai/nomic-bert-2048--configuration_hf_nomic_bert.NomicBertConfig",
        "AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel",
    },
    "activation_function": "gelu",
    "causal": False,
    "expert_choice_router": False,
    "layer_norm_epsilon": 1e-5,
    "max_trained_positions": 2048,
    "moe_every_n_layers": 2,
    "moe_normalize_expert_weights": False,
    "moe_top_k": 2,
    "n_embd": 768,
    "n_head": 12,
    "n_inner": 3072,
    "n_layer": 12,
    "n_positions": 2048,
    "num_experts": 8,
    "num_shared_experts": 0,
    "pad_vocab_size_multiple": 64,
    "prenorm": False,
    "rotary_emb_base": 10000,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "rotary_scaling_factor": None,
    "type_vocab_size": 1,
    "use_rms_norm": None,
    "vocab_size": 250048,
}
ARCTIC: dict[str, Any] = {
    "model_type": "gte",
    "auto_map": {"AutoModel": "modeling_hf_alibaba_nlp_gte.GteModel"},
    "rope_theta": 160000,
    "rope_scaling": None,
    "pack_qkv": True,
    "unpad_inputs": "true",
    "use_memory_efficient_attention": "true",
    "logn_attention_scale": False,
}
JINA: dict[str, Any] = {
    "model_type": "xlm-roberta",
    "auto_map": {"AutoModel": "jinaai/xlm-roberta-flash-implementation--modeling_lora.XLMRobertaLoRA"},
    "position_embedding_type": "rotary",
    "rotary_emb_base": 20000.0,
    "lora_adaptations": ["retrieval.query", "retrieval.passage", "separation", "classification", "text-matching"],
    "lora_alpha": 1,
    "lora_rank": 4,
}


def tensor(name: str, *shape: int) -> Tensor:
    return Tensor(np.arange(np.prod(shape), dtype=np.float32).reshape(shape), "float32", name)


def test_nomics_own_spelling_is_read() -> None:
    assert architecture(NOMIC_V2) is nomic_bert
    config = parse_config(nomic_bert.Config, NOMIC_V2)
    assert (config.hidden_size, config.num_attention_heads, config.layer_norm_eps) == (768, 12, 1e-5)
    assert [index for index in range(12) if config.has_experts(index)] == [1, 3, 5, 7, 9, 11]


def test_what_gte_says_about_speed_alone_is_passed_over() -> None:
    assert architecture(ARCTIC) is gte
    assert parse_config(gte.Config, ARCTIC).positions is None


def test_jinas_adapters_are_named_in_order() -> None:
    assert architecture(JINA) is jina_embeddings_v3
    assert parse_config(jina_embeddings_v3.Config, JINA).adapters == tuple(JINA["lora_adaptations"])


@pytest.mark.parametrize(
    ("config", "key", "value", "message"),
    [
        (NOMIC_V2, "prenorm", True, "prenorm True"),
        (NOMIC_V2, "causal", True, "causal True"),
        (NOMIC_V2, "rotary_emb_interleaved", True, "rotary_emb_interleaved True"),
        (NOMIC_V2, "rotary_emb_scale_base", 512.0, "rotary_emb_scale_base 512.0"),
        (NOMIC_V2, "rotary_emb_fraction", 0.0, "rotary_emb_fraction 0.0"),
        (NOMIC_V2, "moe_normalize_expert_weights", 1.0, "moe_normalize_expert_weights 1.0"),
        (NOMIC_V2, "num_shared_experts", 1, "num_shared_experts 1"),
        (NOMIC_V2, "num_experts", 0, "num_experts 0"),
        (NOMIC_V2, "activation_function", "relu", "activation_function 'relu'"),
        (NOMIC_V2, "num_heads_kv", 4, "num_heads_kv 4"),
        (ARCTIC, "logn_attention_scale", True, "logn_attention_scale True"),
        (ARCTIC, "layer_norm_type", "batch_norm", "layer_norm_type 'batch_norm'"),
        (ARCTIC, "position_embedding_type", "alibi", "position_embedding_type 'alibi'"),
        (ARCTIC, "rope_scaling", {"type": "ntk"}, "ntk scaling needs numbers"),
        (ARCTIC, "rope_scaling", {"type": "longrope"}, "rope_scaling.rope_type 'longrope'"),
        (JINA, "position_embedding_type", "alibi", "position_embedding_type 'alibi'"),
        (JINA, "rotary_emb_interleaved", True, "rotary_emb_interleaved True"),
        (JINA, "hidden_act", "relu", "hidden_act 'relu'"),
        (JINA, "lora_adaptations", [1], "lora_adaptations"),
        ({"model_type": "modernbert"}, "classifier_pooling", "max", "classifier_pooling 'max'"),
        ({"model_type": "modernbert"}, "layer_types", ["full_attention"], "layer_types"),
        ({"model_type": "eurobert"}, "classifier_pooling", "max", "classifier_pooling 'max'"),
    ],
)
def test_a_setting_that_is_not_run_is_named(config: dict[str, Any], key: str, value: object, message: str) -> None:
    changed = config | {key: value}
    with pytest.raises(ModelBroken, match=message):
        parse_config(architecture(changed).Config, changed)


def test_code_of_a_repository_that_is_not_known_is_refused() -> None:
    with pytest.raises(ModelBroken, match="own, which textmill does not know"):
        architecture(ARCTIC | {"auto_map": {"AutoModel": "modeling.Other"}})


def test_every_third_layer_of_modernbert_sees_everything() -> None:
    config = parse_config(modernbert.Config, {"model_type": "modernbert", "num_hidden_layers": 5})
    assert [kind == modernbert.FULL for kind in config.kinds] == [True, False, False, True, False]


def test_a_fused_layer_is_cut_in_order() -> None:
    cut = cut_layers({"a.qkv.bias": tensor("a.qkv.bias", 6), "qkv.x.bias": tensor("x", 1)}, {"qkv": ("q", "k", "v")})
    assert {name: part.data.tolist() for name, part in cut.items()} == {
        "a.q.bias": [0, 1],
        "a.k.bias": [2, 3],
        "a.v.bias": [4, 5],
        "qkv.x.bias": [0],
    }


def test_a_fused_layer_that_cannot_be_cut_is_named() -> None:
    with pytest.raises(ModelBroken, match=r"tensor Wqkv.weight has shape \(7, 2\); it must hold 3 layers"):
        cut_layers({"Wqkv.weight": tensor("Wqkv.weight", 7, 2)}, {"Wqkv": ("q", "k", "v")})


def test_experts_that_do_not_fit_their_number_are_named() -> None:
    name = "encoder.layers.1.mlp.experts.mlp.w1"
    with pytest.raises(ModelBroken, match=f"tensor {name} has shape.*num_experts 8"):
        nomic_bert.sanitize(parse_config(nomic_bert.Config, NOMIC_V2), {name: tensor(name, 12, 4)})


def test_adapters_that_do_not_fit_their_tasks_are_named() -> None:
    name = "roberta.encoder.layers.0.mlp.fc1.parametrizations.weight.0.lora_A"
    with pytest.raises(ModelBroken, match=f"tensor {name} has shape.*names 5 lora_adaptations and lora_rank 4"):
        jina_embeddings_v3.sanitize(parse_config(jina_embeddings_v3.Config, JINA), {name: tensor(name, 5, 2, 8)})
