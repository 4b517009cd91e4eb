from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.arch.conftest import width

from textmill.errors import ModelBroken

if TYPE_CHECKING:
    from tests.arch.conftest import Checkpoint


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("position_embedding_type", "rotary", "position_embedding_type 'rotary'.*it runs 'absolute', 'relative_key'"),
        ("is_decoder", True, "is_decoder True"),
        ("hidden_act", "quick_gelu", "hidden_act 'quick_gelu'.*gelu_new"),
        ("num_attention_heads", 5, "hidden_size 32 and num_attention_heads 5; the second must divide the first"),
        ("num_attention_heads", 0, "num_attention_heads 0; it must be above zero"),
        ("num_hidden_layers", -1, "num_hidden_layers -1; it must be above zero"),
    ],
)
def test_a_setting_that_is_not_run_is_named_with_its_value(
    bert: Checkpoint, key: str, value: object, message: str
) -> None:
    bert.config[key] = value
    with pytest.raises(ModelBroken, match=message):
        bert.build()


def test_names_of_old_checkpoints_are_understood(bert: Checkpoint) -> None:
    today = set(bert.build().tensors)
    bert.rename(
        lambda name: "bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("Norm.bias", "Norm.beta")
    )
    assert set(bert.build().tensors) == today
    assert width(bert.build()) == 32


def test_heads_of_its_own_and_position_ids_may_stay_unread(bert: Checkpoint) -> None:
    for name in (
        "cls.predictions.bias",
        "bert.pooler.dense.weight",
        "classifier.weight",
        "bert.embeddings.position_ids",
    ):
        bert.put(name, 2)
    program = bert.build()
    assert "embeddings.position_ids" not in program.tensors
    assert width(program) == 32


def test_tensors_of_modules_are_kept(bert: Checkpoint) -> None:
    bert.put("2_Dense.linear.weight", 8, 32)
    assert "2_Dense.linear.weight" in bert.build().tensors


def test_missing_keys_have_the_defaults_of_transformers(bert: Checkpoint) -> None:
    del bert.config["layer_norm_eps"], bert.config["hidden_act"], bert.config["position_embedding_type"]
    config = bert.build().config
    assert (config.layer_norm_eps, config.hidden_act) == (1e-12, "gelu")
