from __future__ import annotations

from typing import Any

import pytest
from llama_index.embeddings.textmill.arguments import Asked, meaning, nearest_dtype, without_secrets


class TorchLike:
    """Prints as a precision of PyTorch's does."""

    def __str__(self) -> str:
        return "torch.bfloat16"


@pytest.mark.parametrize(
    ("asked", "options"),
    [
        ({"device": "cpu"}, {"device": "cpu"}),
        ({"device": "cuda"}, {"device": "cuda", "backend": "torch"}),
        ({"device": "cuda:1"}, {"device": "cuda:1", "backend": "torch"}),
        ({"device": "mps"}, {"device": "mps", "backend": "torch"}),
        ({"device": "npu"}, {"device": "npu"}),
        ({"device": "xpu:1"}, {"device": "gpu.1"}),
        ({"device": "cpu", "model_kwargs": {"device_map": "cuda:0"}}, {"device": "cuda:0", "backend": "torch"}),
        ({"model_kwargs": {"provider": "CUDAExecutionProvider"}}, {"device": "cuda", "backend": "torch"}),
        ({"backend": "onnx"}, {}),
        ({"max_length": 7, "tokenizer_kwargs": {"model_max_length": 9}}, {"max_input_length": 7}),
        ({"tokenizer_kwargs": {"model_max_length": 9}}, {"max_input_length": 9}),
        ({"cache_folder": "/a", "revision": "b", "local_files_only": True}, {"cache_dir": "/a", "revision": "b", "offline": True}),
        ({"model_kwargs": {"dtype": "auto"}}, {"dtype": "auto"}),
        ({"model_kwargs": {"torch_dtype": "float32", "attn_implementation": "sdpa"}}, {"dtype": "float32"}),
        ({"model_kwargs": {"torch_dtype": TorchLike()}}, {"dtype": "bfloat16"}),
        ({"model_kwargs": {"file_name": "onnx/model_O3.onnx"}}, {"file": "onnx/model_O3.onnx"}),
        ({"load_kwargs": {"threads": 3, "dtype": "int8"}}, {"threads": 3, "dtype": "int8"}),
    ],
)  # fmt: skip
def test_arguments_become_options(asked: dict[str, Any], options: dict[str, Any]) -> None:
    made = meaning(Asked(**asked))

    assert {name: value for name, value in made.options.items() if name != "max_queue_tokens"} == options
    assert made.remarks == []


@pytest.mark.parametrize(
    ("file", "dtype"),
    [
        ("onnx/model_qint8_avx512_vnni.onnx", "int8"),
        ("openvino_model_qint8_quantized.xml", "int8"),
        ("onnx/model_quint8_avx2.onnx", "int8"),
        ("onnx/model_q4f16.onnx", "int8"),
        ("onnx/model_fp16.onnx", "float16"),
        ("onnx/model_O4.onnx", "float16"),
        ("onnx/model_O2.onnx", "float32"),
        ("onnx/model.onnx", "float32"),
    ],
)
def test_a_file_that_is_not_there_means_the_nearest_precision(file: str, dtype: str) -> None:
    otherwise = meaning(Asked(model_kwargs={"file_name": file})).otherwise

    assert nearest_dtype(file) == dtype
    assert otherwise is not None
    assert otherwise["dtype"] == dtype
    assert "file" not in otherwise


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"trust_remote_code": True}, "no code of a repository"),
        ({"model_kwargs": {"dtype": "float8"}}, "'float8' is none of"),
        ({"model_kwargs": {"file_name": "a.onnx", "export": True}}, "no effect beside export"),
        ({"model_kwargs": {"file_name": "a_int8.onnx"}, "device": "cuda"}, "in int8"),
        ({"model_kwargs": {"file_name": "model"}}, "'model' is not run here"),
        ({"model_kwargs": {"strange": 1}, "config_kwargs": {"b": 2}}, "model_kwargs['strange'], config_kwargs['b']"),
        ({"tokenizer_kwargs": {"padding_side": "left"}}, "tokenizer_kwargs['padding_side']"),
    ],
)
def test_what_is_not_as_it_was_asked_is_said(asked: dict[str, Any], said: str) -> None:
    [remark] = meaning(Asked(**asked)).remarks

    assert said in remark


@pytest.mark.parametrize("name", ["token", "use_auth_token"])
def test_tokens_are_taken_out(name: str) -> None:
    assert without_secrets({name: "hf", "a": 1}) == ({"a": 1}, "hf")
    assert without_secrets({name: True}) == ({}, None)
    assert without_secrets(None) == ({}, None)
