from __future__ import annotations

from typing import Any

import pytest

from textmill.contract import EmbedDefaults
from textmill.folder.backend_options import read_options
from textmill.folder.backends import Backend, find_backend
from textmill.folder.capabilities import Capability
from textmill.folder.fields import Fields
from textmill.folder.parameters import Parameters
from textmill.folder.wishes import Wishes, wishes


def wished(*options: str, backend: str = "", can: tuple[Capability, ...] = ("embeddings",), **fields: Any) -> Wishes:
    found = find_backend(backend) if backend else None
    said, notes = read_options(options)
    assert notes == []
    return wishes(Fields(**fields), said, found if isinstance(found, Backend) else None, can)


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {}),
        ({"threads": 4}, {"threads": 4}),
        ({"threads": 0, "context_size": -1}, {}),
        ({"context_size": 512, "max_model_len": 99}, {"max_input_length": 512}),
        ({"max_model_len": 99}, {"max_input_length": 99}),
        ({"parameters": Parameters(batch=256)}, {"max_batch_tokens": 256}),
        ({"dtype": "half"}, {"dtype": "float16"}),
        ({"dtype": "bfloat16", "f16": True}, {"dtype": "bfloat16"}),
        ({"f16": True}, {}),
        ({"f16": True, "main_gpu": "cuda"}, {"device": "cuda:0", "backend": "torch", "dtype": "bfloat16"}),
        ({"main_gpu": "cuda.1"}, {"device": "cuda:1", "backend": "torch"}),
        ({"main_gpu": "cuda:2"}, {"device": "cuda:2", "backend": "torch"}),
        ({"main_gpu": "GPU.0"}, {"device": "gpu.0"}),
        ({"quantization": "bnb_8bit"}, {"dtype": "int8"}),
        ({"type": "OVModelForFeatureExtraction"}, {"backend": "openvino", "task": "embed"}),
        ({"embeddings": True}, {"task": "embed"}),
        ({"parameters": Parameters(pooling="last")}, {"pooling": "last-token"}),
        ({"parameters": Parameters(pooling="backend")}, {}),
        ({"textmill": {"dtype": "int8", "default_prompt": "query: "}}, {"dtype": "int8", "default_prompt": "query: "}),
        ({"threads": 4, "textmill": {"threads": 2, "pooling": None}}, {"threads": 2}),
    ],
)
def test_what_fields_mean_to_load(fields: dict[str, Any], options: dict[str, Any]) -> None:
    found = wished(**fields)

    assert found.options == options
    assert found.errors == found.warnings == []


def test_what_backends_mean_to_load() -> None:
    assert wished(backend="onnx").options == {"backend": "onnx"}
    assert wished(backend="bert-embeddings").options == {"task": "embed"}
    assert wished(backend="rerankers", can=("rerank",)).options == {"task": "rerank"}
    assert wished(type="AutoModelForTokenClassification", can=("token_classify",)).options == {
        "task": "classify_tokens"
    }


def test_what_entries_of_options_mean() -> None:
    assert wished("pooling:cls", "embd_normalize:-1").options == {"pooling": "cls"}
    assert [wished(f"embd_normalize:{norm}").defaults.norm for norm in ("-1", "0", "1", "2", "6")] == [-1, 0, 1, 2, 6]
    assert wished().defaults == EmbedDefaults()
    how = Parameters(pooling="decayed_mean", pooling_half_life_tokens=32, encoding_format="base64")
    assert wished(parameters=how).defaults == EmbedDefaults(pooling="decayed_mean", half_life=32, encoding="base64")
    assert wished(parameters=how).options == {}
    plain = Parameters(pooling_half_life_tokens=0, encoding_format="float")
    assert wished(parameters=plain).defaults == EmbedDefaults()


@pytest.mark.parametrize(
    ("options", "fields", "key"),
    [
        ((), {"main_gpu": "AUTO:-CPU"}, "main_gpu"),
        ((), {"main_gpu": "cuda", "type": "OVModelForFeatureExtraction"}, "main_gpu"),
        ((), {"quantization": "awq"}, "quantization"),
        ((), {"quantization": "bnb_8bit", "main_gpu": "cuda"}, "quantization"),
        ((), {"parameters": Parameters(pooling="none")}, "parameters.pooling"),
        ((), {"parameters": Parameters(encoding_format="hex")}, "parameters.encoding_format"),
        (("embd_normalize:-2",), {}, "options"),
        (("embd_normalize:l2",), {}, "options"),
    ],
)
def test_what_cannot_be_done_is_a_warning(options: tuple[str, ...], fields: dict[str, Any], key: str) -> None:
    found = wished(*options, **fields)

    assert [where for where, _ in found.warnings] == [key]
    assert found.errors == []


@pytest.mark.parametrize(
    ("options", "fields", "key", "words"),
    [
        (("pooling:cls",), {"parameters": Parameters(pooling="mean")}, "parameters.pooling", "differs"),
        (("pooling:men",), {}, "options", "did you mean mean"),
        ((), {"textmill": {"dtyp": "int8"}}, "textmill.dtyp", "did you mean dtype"),
        ((), {"textmill": {"token": "hf_secret"}}, "textmill.token", "no such option"),
        ((), {"textmill": {"threads": 0}}, "textmill.threads", "impossible"),
        ((), {"textmill": {"default_prompt": "a", "default_prompt_name": "b"}}, "textmill", "exclude each other"),
    ],
)
def test_what_contradicts_itself_is_an_error(
    options: tuple[str, ...], fields: dict[str, Any], key: str, words: str
) -> None:
    [(where, sentence)] = wished(*options, **fields).errors

    assert where == key
    assert words in sentence
    assert "hf_secret" not in sentence


def test_entries_of_options_keep_all_behind_the_first_colon() -> None:
    said, notes = read_options(
        ["rpc_servers:host:50052,other:50052", "jinja", "n_parallel: 4", "parallel:2", "--flag:x", "spec_n_max:6"]
    )

    assert dict(said) == {
        "grpc_servers": "host:50052,other:50052",
        "use_jinja": "true",
        "parallel": "2",
        "--flag": "x",
        "spec_n_max": "6",
    }
    assert notes == []


def test_entries_that_mean_nothing_are_told() -> None:
    assert read_options(["paralel:4", "cache_ram"])[1] == [
        "no backend has an option 'paralel'; did you mean parallel?",
        "the option 'cache_ram' has no value; write cache_ram:VALUE",
    ]
