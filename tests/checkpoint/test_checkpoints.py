from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from textmill.arch.ops import DType
from textmill.checkpoint.recipe import load_tensors, read_recipe
from textmill.testing.checkpoints import bfloat16_bits, tiny_bert, tiny_qwen3


@pytest.mark.parametrize("make", [tiny_bert, tiny_qwen3])
def test_a_seed_gives_the_same_files_each_time(make: type, tmp_path: Path) -> None:
    first, second, other = make(tmp_path / "1"), make(tmp_path / "2"), make(tmp_path / "3", seed=1)
    for file in (path.relative_to(first) for path in first.rglob("*") if path.is_file()):
        assert (first / file).read_bytes() == (second / file).read_bytes(), file
    assert (first / "model.safetensors").read_bytes() != (other / "model.safetensors").read_bytes()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_weights_have_the_dtype_asked_for(dtype: DType, tmp_path: Path) -> None:
    tensors = load_tensors(read_recipe(tiny_qwen3(tmp_path, dtype=dtype, tensor_prefix="model.", shards=2)))
    assert {tensor.dtype for tensor in tensors.values()} == {dtype}
    assert "model.norm.weight" in tensors


def test_bfloat16_rounds_to_the_nearest_and_ties_to_even() -> None:
    values = np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-12, -1.0], np.float32)
    widened = (bfloat16_bits(values).astype(np.uint32) << 16).view(np.float32)
    assert widened.tolist() == [1.0, 1.0, 1 + 2**-6, 1 + 2**-7, -1.0]
