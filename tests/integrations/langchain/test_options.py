"""What sentence-transformers' constructors take becomes what textmill takes."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from langchain_textmill.options import OPTIONS, load_options

from textmill.config import ModelOptions


@pytest.mark.parametrize(
    ("keywords", "options"),
    [
        ({}, {"dtype": "float32"}),
        ({"device": "cuda:1"}, {"dtype": "float32", "device": "cuda:1", "backend": "torch"}),
        ({"device": "cpu", "trust_remote_code": True, "backend": "onnx"}, {"dtype": "float32", "device": "cpu"}),
        ({"model_kwargs": {"torch_dtype": "torch.bfloat16", "device_map": "auto"}}, {"dtype": "bfloat16"}),
        ({"model_kwargs": {"dtype": "auto", "attn_implementation": "sdpa"}}, {"dtype": "auto"}),
        (
            {"backend": "onnx", "model_kwargs": {"file_name": "model_qint8_avx512.onnx"}},
            {"dtype": "float32", "file": "onnx/model_qint8_avx512.onnx", "backend": "onnx"},
        ),
        (
            {"model_kwargs": {"file_name": "openvino/openvino_model.xml"}},
            {"dtype": "float32", "file": "openvino/openvino_model.xml", "backend": "openvino"},
        ),
        (
            {"tokenizer_kwargs": {"model_max_length": 64, "use_fast": True}},
            {"dtype": "float32", "max_input_length": 64},
        ),
        (
            {"revision": "main", "local_files_only": True, "token": "t", "threads": 2, "cache_folder": "/elsewhere"},
            {
                "dtype": "float32",
                "cache_dir": "/elsewhere",
                "revision": "main",
                "offline": True,
                "token": "t",
                "threads": 2,
            },
        ),
        ({"device": None, "revision": None}, {"dtype": "float32"}),
    ],
)
def test_keywords_become_options(keywords: dict[str, Any], options: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_options(keywords, None, "Cls") == options


@pytest.mark.parametrize(
    ("keywords", "says"),
    [
        ({"device": "mps"}, "not on 'mps'; the CPU is taken"),
        ({"something": 1}, r"Cls does nothing with model_kwargs\['something'\]"),
        ({"model_kwargs": {"something": 1}}, "nothing is done with 'something'"),
        ({"processor_kwargs": {"something": 1}}, "nothing is done with 'something' of the tokenizer"),
    ],
)
def test_what_has_no_effect_is_warned_of(keywords: dict[str, Any], says: str) -> None:
    with pytest.warns(UserWarning, match=says):
        load_options(keywords, "/cache", "Cls")


def test_options_of_textmill_are_all_known() -> None:
    assert set(ModelOptions.__struct_fields__) == OPTIONS | {"backend"}
