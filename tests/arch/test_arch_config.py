from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from textmill.arch.config import activation, parse_config
from textmill.arch.families import ARCHITECTURES, architecture
from textmill.errors import ModelBroken


@dataclass(frozen=True)
class Config:
    size: int
    eps: float = 1e-6
    causal: bool = True
    name: str = "plain"
    groups: int | None = 4
    rope: Mapping[str, Any] | None = None


def parse(**config: object) -> Config:
    return parse_config(Config, {"model_type": "toy", **config})


def test_other_keys_are_ignored_and_missing_ones_have_defaults() -> None:
    assert parse(size=3, dropout=0.1) == Config(3)


def test_null_is_absent_except_where_none_has_a_meaning() -> None:
    assert parse(size=3, eps=None, groups=None) == Config(3, eps=1e-6, groups=None)


def test_a_whole_number_is_a_number() -> None:
    assert parse(size=3, eps=1).eps == 1


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ModelBroken, match=r"lacks a key that toy needs: .*'size'"):
        parse(size=None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", "3"),
        ("size", 3.0),
        ("size", True),
        ("eps", "1e-6"),
        ("causal", 1),
        ("name", 7),
        ("rope", [1]),
        ("groups", "4"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(key: str, value: object) -> None:
    with pytest.raises(ModelBroken, match=f"config.json says {key} .*; the toy architecture needs type "):
        parse(**{"size": 3, key: value})


def test_an_unknown_architecture_is_named_with_those_that_run() -> None:
    known = ", ".join(sorted(ARCHITECTURES))
    assert "bert, " in known
    for family in ("abacus", None, ["bert"]):
        with pytest.raises(ModelBroken, match=f"model_type .*it runs {known}"):
            architecture({"model_type": family})


@pytest.mark.parametrize(
    ("name", "meaning"),
    [("gelu", "gelu"), ("gelu_new", "gelu_tanh"), ("swish", "silu"), ("gelu_pytorch_tanh", "gelu_tanh")],
)
def test_activations_have_transformers_names(name: str, meaning: str) -> None:
    assert activation("hidden_act", name) == meaning
