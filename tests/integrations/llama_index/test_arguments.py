from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.embeddings.textmill.arguments import device_name, meaning, without_secrets


@pytest.mark.parametrize(
    ("keywords", "options", "otherwise"),
    [
        ({}, {"dtype": "auto"}, None),
        ({"model_kwargs": {"torch_dtype": "float32"}}, {"dtype": "float32"}, None),
        ({"model_kwargs": {"torch_dtype": "float16"}}, {"dtype": "float16"}, {"dtype": "auto"}),
        (
            {"device": "cpu", "model_kwargs": {"file_name": "onnx/model_O4.onnx"}},
            {"device": "cpu", "file": "onnx/model_O4.onnx", "dtype": "auto"},
            {"device": "cpu", "dtype": "float16"},
        ),
    ],
)
def test_what_is_asked_and_what_is_nearest_to_it(
    keywords: dict[str, Any], options: dict[str, Any], otherwise: dict[str, Any] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEXTMILL_DTYPE", raising=False)
    made = meaning(keywords, {"threads": 3}, "Cls")
    always = {"max_queue_tokens": 1 << 31, "threads": 3}

    assert made.options == always | options
    assert made.otherwise == (None if otherwise is None else always | otherwise)
    assert made.remarks == ()


def test_options_of_textmill_come_before_what_sentence_transformers_words_mean() -> None:
    made = meaning({"model_kwargs": {"dtype": "float32"}, "strange": 1}, {"dtype": "int8"}, "Cls")

    assert made.options["dtype"] == "int8"
    assert made.remarks == ("Cls does nothing with 'strange' here",)


@pytest.mark.parametrize("name", ["token", "use_auth_token"])
def test_tokens_are_taken_out(name: str) -> None:
    assert without_secrets({name: "hf", "a": 1}) == ({"a": 1}, "hf")
    assert without_secrets({name: True, "dtype": np.dtype("float32")}) == ({"dtype": "float32"}, None)
    assert without_secrets(None) == ({}, None)


def test_what_is_kept_can_be_written_down() -> None:
    class Measure(Enum):
        DOT = "dot"

    given = {"file_name": Path("onnx/model.onnx"), "similarity_fn_name": Measure.DOT, "revision": None}

    assert without_secrets(given) == ({"file_name": "onnx/model.onnx", "similarity_fn_name": "dot"}, None)


@pytest.mark.parametrize(
    ("device", "name"), [(None, None), ("", None), ("cpu", "cpu"), (1, "cuda:1"), (np.dtype("float32"), "float32")]
)
def test_a_device_is_taken_by_its_name(device: Any, name: str | None) -> None:
    assert device_name(device) == name
