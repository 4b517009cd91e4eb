from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.arch.conftest import width

from textmill.arch.shapes import check
from textmill.errors import ModelBroken

if TYPE_CHECKING:
    from tests.arch.conftest import Checkpoint


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("layer_types", ["full_attention", "chunked_attention"], "layer_types 'chunked_attention'"),
        ("layer_types", ["full_attention"], "num_hidden_layers 2, but layer_types names 1 layers"),
        ("rope_scaling", {"type": "longrope", "factor": 4.0}, r"rope_scaling.rope_type 'longrope'"),
        ("rope_parameters", {"rope_type": "llama3", "rope_theta": 1e6}, r"rope_parameters.factor None"),
        ("rope_parameters", {"rope_theta": "1e6"}, "rope_theta '1e6'"),
        ("num_key_value_heads", 3, "num_attention_heads 4 and num_key_value_heads 3"),
        ("head_dim", 15, "15 of a head's 15 features rotate"),
        ("hidden_act", "xielu", "hidden_act 'xielu'"),
    ],
)
def test_a_setting_that_is_not_run_is_named_with_its_value(
    qwen3: Checkpoint, key: str, value: object, message: str
) -> None:
    qwen3.config[key] = value
    with pytest.raises(ModelBroken, match=message):
        qwen3.build()


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_theta": 5e6},
        {"rope_theta": 5000000, "rope_scaling": None},
        {"rope_theta": 5e6, "rope_scaling": {"type": "default"}},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 5e6}},
        {"rope_theta": 5e6, "rope_parameters": {"rope_type": "default"}},
        {"rope_theta": None, "rope_parameters": {"rope_theta": 5e6}},
    ],
)
def test_the_base_of_rotation_is_read_in_old_and_new_form(qwen3: Checkpoint, rope: dict[str, object]) -> None:
    del qwen3.config["rope_theta"]
    qwen3.config.update(rope)
    np.testing.assert_allclose(
        qwen3.build().config.turn("full_attention").frequencies, 5e6 ** -(np.arange(8) / 8), rtol=1e-6
    )


def test_no_base_of_rotation_means_transformers_default(qwen3: Checkpoint) -> None:
    del qwen3.config["rope_theta"]
    frequencies = qwen3.build().config.turn("full_attention").frequencies
    np.testing.assert_allclose(frequencies, 1e4 ** -(np.arange(8) / 8), rtol=1e-6)


def test_a_layer_with_a_window_needs_one(qwen3: Checkpoint) -> None:
    qwen3.config |= {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 0}
    with pytest.raises(ModelBroken, match="sliding_window 0"):
        qwen3.build()


def test_a_causal_window_counts_the_token_itself(qwen3: Checkpoint) -> None:
    qwen3.config |= {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}
    config = qwen3.build().config
    assert config.kinds == ["full_attention", "sliding_attention"]
    assert config.reach == 7


def test_null_key_heads_mean_as_many_as_queries(qwen3: Checkpoint) -> None:
    qwen3.config["num_key_value_heads"] = None
    assert qwen3.build().config.key_value_heads == 4


@pytest.mark.parametrize(("key", "value"), [("is_causal", False), ("use_bidirectional_attention", True)])
def test_a_model_that_looks_both_ways_is_not_causal(qwen3: Checkpoint, key: str, value: object) -> None:
    assert qwen3.build().config.causal
    qwen3.config[key] = value
    assert not qwen3.build().config.causal


def test_biases_of_attention_are_used_where_the_checkpoint_has_them(qwen3: Checkpoint) -> None:
    qwen3.put("layers.1.self_attn.q_proj.bias", 64)
    assert width(qwen3.build()) == 32
    qwen3.put("layers.1.self_attn.q_proj.bias", 63)
    with pytest.raises(ModelBroken, match=r"q_proj.bias"):
        check(qwen3.build())


def test_a_language_models_head_is_read_only_where_it_is_wanted(qwen3: Checkpoint) -> None:
    qwen3.rename(lambda name: "model." + name)
    qwen3.put("lm_head.weight", 2, 32)
    assert width(qwen3.build()) == 32
