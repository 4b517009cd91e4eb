"""What sentence-transformers' constructors take becomes what textmill takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer as Theirs
from sentence_transformers.util import quantize_embeddings as theirs_quantize

import textmill
from textmill.compat import (
    Precision,
    SentenceTransformer,
    embed_options,
    load_nearest,
    load_options,
    nearest_dtype,
    quantize_embeddings,
)
from textmill.config import ModelOptions
from textmill.errors import ConfigInvalid
from textmill.testing.checkpoints import NormalizeModule, tiny_bert
from textmill.testing.graphs import constant_graph

FILE = "file_name '1' is not run here; the model's own weights are, in float32"
CONSTANT = [float(value) for value in range(32)]


class TorchLike:
    """Prints as a precision of PyTorch's does."""

    def __str__(self) -> str:
        return "torch.bfloat16"


@pytest.fixture(autouse=True)
def _no_precision_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEXTMILL_DTYPE", raising=False)


@pytest.mark.parametrize(
    ("keywords", "options"),
    [
        ({}, {}),
        ({"device": None, "revision": None, "local_files_only": False, "trust_remote_code": True}, {}),
        ({"device": "cpu", "backend": "onnx", "config_kwargs": {}}, {"device": "cpu"}),
        ({"device": "cpu:3"}, {"device": "cpu"}),
        ({"device": "cuda"}, {"device": "cuda", "backend": "torch"}),
        ({"device": 1}, {"device": "cuda:1", "backend": "torch"}),
        ({"device": "mps"}, {"device": "mps", "backend": "torch"}),
        ({"device": "npu"}, {"device": "npu"}),
        ({"device": "xpu:1"}, {"device": "gpu.1"}),
        ({"device": "cpu", "model_kwargs": {"device_map": "cuda:0"}}, {"device": "cuda:0", "backend": "torch"}),
        ({"device": "cpu", "model_kwargs": {"device_map": "auto"}}, {"device": "cpu"}),
        ({"model_kwargs": {"provider": "CUDAExecutionProvider"}}, {"device": "cuda", "backend": "torch"}),
        ({"max_length": 7, "tokenizer_kwargs": {"model_max_length": 9, "use_fast": True}}, {"max_seq_length": 7}),
        ({"processor_kwargs": {"model_max_length": 9}}, {"max_seq_length": 9}),
        ({"processor_kwargs": {"model_max_length": 1e30}}, {}),
        ({"cache_folder": "/a", "revision": "b", "local_files_only": True, "token": "t", "threads": 2},
         {"cache_dir": "/a", "revision": "b", "offline": True, "token": "t", "threads": 2}),
        ({"use_auth_token": True, "model_kwargs": {"revision": "inner"}}, {"revision": "inner"}),
        ({"model_kwargs": {"local_files_only": True, "cache_dir": "/a", "token": "t", "trust_remote_code": True}},
         {"offline": True, "cache_dir": "/a", "token": "t"}),
        ({"model_kwargs": {"dtype": "auto"}}, {"dtype": "auto"}),
        ({"model_kwargs": {"torch_dtype": TorchLike(), "attn_implementation": "sdpa"}}, {"dtype": "bfloat16"}),
        ({"dtype": "half"}, {"dtype": "float16"}),
        ({"backend": "onnx", "model_kwargs": {"file_name": "model_O3.onnx"}}, {"file": "model_O3.onnx"}),
        ({"model_kwargs": {"file_name": "openvino/a_int8.xml", "dtype": "auto"}}, {"file": "openvino/a_int8.xml", "dtype": "auto"}),
    ],
)  # fmt: skip
def test_keywords_become_options(keywords: dict[str, Any], options: dict[str, Any]) -> None:
    assert load_options(keywords, "Cls") == ({"dtype": "float32", **options}, ())


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"backend": "ipex"}, "backend 'ipex' is no longer there; torch is taken"),
        ({"something": 1}, "Cls does nothing with 'something' here"),
        ({"device": "tpu"}, "not on 'tpu'; the CPU is taken"),
        ({"model_kwargs": {"strange": 1}}, "model_kwargs['strange']"),
        ({"tokenizer_kwargs": {"strange": 1}}, "processor_kwargs['strange']"),
        ({"config_kwargs": {"strange": 1}}, "config_kwargs['strange']"),
        ({"model_kwargs": {"file_name": "a.onnx", "export": True}}, "no effect beside export"),
        ({"device": "cuda", "model_kwargs": {"file_name": "a_int8.onnx"}}, "own weights are, in int8"),
        ({"model_kwargs": {"file_name": "model"}}, "'model' is not run here"),
    ],
)
def test_what_is_not_as_it_was_asked_is_said(keywords: dict[str, Any], said: str) -> None:
    [remark] = load_options(keywords, "Cls").remarks
    assert said in remark


def test_the_environment_chooses_the_precision_before_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_options({}, "Cls", dtype="auto").options == {"dtype": "auto"}
    monkeypatch.setenv("TEXTMILL_DTYPE", "bfloat16")
    assert load_options({}, "Cls").options == {}
    assert load_options({"dtype": "float32"}, "Cls").options == {"dtype": "float32"}


def test_float32_is_taken_where_there_is_no_float16() -> None:
    def load(options: Mapping[str, Any]) -> Any:
        if options["dtype"] == "float16":
            msg = "there is none"
            raise ConfigInvalid(msg)
        return options["dtype"]

    with pytest.warns(UserWarning, match="there is none; float32 is taken"):
        assert load_nearest(load, {"dtype": "float16"}) == "float32"
    assert load_nearest(load, {"dtype": "bfloat16"}) == "bfloat16"

    def broken(_: Mapping[str, Any]) -> None:
        raise ConfigInvalid

    for dtype in ("float16", "float32"):
        with pytest.raises(ConfigInvalid):
            load_nearest(broken, {"dtype": dtype})


def test_every_option_of_textmill_is_taken_but_the_backend() -> None:
    usual = ModelOptions()
    for name in set(ModelOptions.__struct_fields__) - {"backend"}:
        value = getattr(usual, name)
        assert load_options({name: "1" if value is None else value}, "Cls").remarks in ((), (FILE,)), name
    with pytest.raises(ConfigInvalid, match="backend is 'auto'"):
        load_options({"backend": "auto"}, "Cls")


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
def test_the_precision_that_is_nearest_to_a_file(file: str, dtype: str) -> None:
    assert nearest_dtype(file) == dtype


@pytest.mark.parametrize("precision", ["float32", "int8", "uint8", "binary", "ubinary"])
def test_vectors_in_fewer_bits_are_those_of_sentence_transformers(precision: Precision) -> None:
    rng = np.random.default_rng(0)
    vectors, others = rng.standard_normal((150, 16), np.float32), rng.standard_normal((150, 16), np.float32)
    ranges = np.stack([np.full(16, -3, np.float32), np.full(16, 3, np.float32)])

    for more in ({}, {"ranges": ranges}, {"calibration_embeddings": others}):
        expected = theirs_quantize(vectors.copy(), precision, **more)
        made = quantize_embeddings(vectors, precision, **more)
        inside = np.ones(made.shape, bool)
        if (
            precision in ("int8", "uint8") and more
        ):  # theirs wraps around what is beyond the range; ours stops at its ends
            bounds = ranges if "ranges" in more else np.stack([others.min(axis=0), others.max(axis=0)])
            inside = (vectors >= bounds[0]) & (vectors < bounds[1])
        assert made.dtype == expected.dtype
        assert np.array_equal(made[inside], expected[inside])


def test_a_vector_without_a_range_is_refused() -> None:
    with pytest.raises(ValueError, match="int8 needs the range of several vectors"):
        quantize_embeddings([[0.5, 1.0]], "int8")
    assert quantize_embeddings([[0.5, 2.0]], "uint8", [[0, 0], [1, 1]]).tolist() == [[127, 255]]
    with pytest.raises(ValueError, match="precision is 'int4'"):
        quantize_embeddings([[0.5, 1.0]], "int4")  # type: ignore[arg-type]


@pytest.mark.parametrize("where", ["onnx/other_qint8.onnx", "other.onnx", "openvino/other.xml"])
@pytest.mark.parametrize("bare", [True, False], ids=["by its name", "with its folder"])
def test_the_file_that_is_named_is_the_one_that_runs(tmp_path: Path, where: str, *, bare: bool) -> None:
    folder = tiny_bert(tmp_path / "model", modules=())
    constant_graph(folder / where, CONSTANT, _vocabulary(folder))
    file = where.rpartition("/")[2] if bare else where

    with SentenceTransformer(folder, backend="onnx", model_kwargs={"file_name": file}) as model:
        np.testing.assert_allclose(model.encode("the small river"), CONSTANT, atol=1e-6)


def _vocabulary(folder: Path) -> int:
    size: int = json.loads((folder / "config.json").read_text())["vocab_size"]
    return size


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("dimensions", [None, 8, 1000])
def test_vectors_are_scaled_and_cut_as_by_sentence_transformers(
    tmp_path: Path, dimensions: int | None, *, normalize: bool
) -> None:
    for modules in ((), (NormalizeModule(),)):
        folder = str(tiny_bert(tmp_path / str(len(modules)), modules=modules, seed=2))
        expected = Theirs(folder, device="cpu", truncate_dim=dimensions).encode(
            ["hello"], normalize_embeddings=normalize
        )
        with textmill.load(folder, dtype="float32") as model:
            how = embed_options(model.info, normalize=normalize, truncate_dim=dimensions)
            np.testing.assert_allclose(model.embed(["hello"], **how)[:, :dimensions], expected, atol=1e-5)
