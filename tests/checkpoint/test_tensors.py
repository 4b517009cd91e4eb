from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch  # noqa: TID253 - what pickles come from
from safetensors.numpy import save_file

from textmill.checkpoint.tensors import open_tensors, weights_sha256
from textmill.errors import ModelBroken
from textmill.testing.checkpoints import bfloat16_bits, tiny_bert, write_json, write_safetensors

RNG = np.random.default_rng(7)


def broken(folder: Path) -> str:
    with pytest.raises(ModelBroken) as caught:
        open_tensors(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_tensors_are_those_that_the_safetensors_library_wrote(tmp_path: Path) -> None:
    arrays: dict[str, npt.NDArray[Any]] = {
        "a": RNG.standard_normal((3, 5)).astype(np.float32),
        "b.c": RNG.standard_normal(4).astype(np.float16),
        "scalar": np.array(2.5, np.float32),
        "empty": np.zeros((0, 4), np.float32),
    }
    save_file(arrays, tmp_path / "model.safetensors", metadata={"format": "pt"})
    opened = open_tensors(tmp_path, prefix="2_Dense.")
    assert opened.keys() == {f"2_Dense.{name}" for name in arrays}
    for name, array in arrays.items():
        tensor = opened[f"2_Dense.{name}"]
        assert (tensor.name, tensor.dtype, tensor.shape) == (f"2_Dense.{name}", array.dtype.name, array.shape)
        np.testing.assert_array_equal(tensor.data, array)


def test_bfloat16_is_read_as_bits(tmp_path: Path) -> None:
    values = RNG.standard_normal((4, 6)).astype(np.float32)
    bits = bfloat16_bits(values)
    write_safetensors(tmp_path / "model.safetensors", {"w": bits}, bfloat16=True)
    tensor = open_tensors(tmp_path)["w"]
    assert tensor.dtype == "bfloat16"
    np.testing.assert_array_equal(tensor.data, bits)


def test_tensors_are_views_of_one_mapping_and_outlive_their_file(tmp_path: Path) -> None:
    arrays = {name: RNG.standard_normal((8, 8)).astype(np.float32) for name in "ab"}
    write_safetensors(tmp_path / "model.safetensors", arrays)
    opened = open_tensors(tmp_path)
    first, second = (opened[name].data for name in "ab")
    assert second.ctypes.data - first.ctypes.data == first.nbytes
    assert not first.flags.owndata
    (tmp_path / "model.safetensors").unlink()
    np.testing.assert_array_equal(first, arrays["a"])


def test_writing_to_a_tensor_never_reaches_the_file(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors", {"a": np.ones(4, np.float32)})
    before = (tmp_path / "model.safetensors").read_bytes()
    open_tensors(tmp_path)["a"].data[:] = 0
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_a_header_that_is_not_padded_still_gives_aligned_tensors(tmp_path: Path) -> None:
    values = RNG.standard_normal(5).astype(np.float32)
    raw = b'{"x":{"dtype":"F32","shape":[5],"data_offsets":[0,20]}}'
    raw += b" " * ((3 - len(raw)) % 8)
    (tmp_path / "model.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw + values.tobytes())
    data = open_tensors(tmp_path)["x"].data
    assert data.flags.aligned
    np.testing.assert_array_equal(data, values)


def test_integer_buffers_are_left_out(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors", {"position_ids": np.arange(4), "w": np.ones(2, np.float32)})
    assert open_tensors(tmp_path).keys() == {"w"}


@pytest.mark.parametrize(("array", "dtype"), [(np.ones(2, np.float64), "F64"), (np.ones(2, np.int8), "I8")])
def test_weights_of_a_dtype_that_is_not_run_are_refused_by_name(array: Any, dtype: str, tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors", {"dense.weight": array})
    assert f"tensor dense.weight has dtype {dtype}" in broken(tmp_path)


@pytest.mark.parametrize("name", ["classifier.bias", "encoder.q_bias", "norm.gamma", "norm.beta", "linear.weight"])
def test_an_integer_parameter_is_refused_by_name_and_dtype(name: str, tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors", {"w": np.ones(2, np.float32), name: np.ones(3, np.int64)})
    assert f"tensor {name} has dtype I64, but textmill reads F32, F16, BF16" in broken(tmp_path)


def test_a_mask_that_is_called_a_bias_is_left_out(tmp_path: Path) -> None:
    save_file({"attn.bias": np.ones((1, 1, 4, 4), np.bool_)}, tmp_path / "model.safetensors")
    assert open_tensors(tmp_path).keys() == set()


def test_shards_give_the_same_tensors_as_one_file(tmp_path: Path) -> None:
    one, three = open_tensors(tiny_bert(tmp_path / "one")), open_tensors(tiny_bert(tmp_path / "three", shards=3))
    assert one.keys() == three.keys()
    for name, tensor in one.items():
        np.testing.assert_array_equal(tensor.data, three[name].data)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert broken(tmp_path) == f"{tmp_path} has no model.safetensors (nor model.safetensors.index.json)"


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path, shards=2)
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert broken(folder) == f"{folder} has no model-00002-of-00002.safetensors"
    with pytest.raises(ModelBroken, match=r"has no model-00002-of-00002\.safetensors"):
        weights_sha256(folder)


def test_an_index_that_names_a_tensor_its_shard_lacks_is_refused(tmp_path: Path) -> None:
    index = tiny_bert(tmp_path, shards=2) / "model.safetensors.index.json"
    data = json.loads(index.read_text())
    data["weight_map"]["encoder.ghost"] = "model-00001-of-00002.safetensors"
    write_json(index, data)
    assert "model-00001-of-00002.safetensors has no tensor encoder.ghost" in broken(tmp_path)


@pytest.mark.parametrize("file", ["../other.safetensors", "/etc/passwd", "m\0.safetensors", 3])
def test_an_index_cannot_lead_out_of_the_model(file: object, tmp_path: Path) -> None:
    write_json(tmp_path / "model.safetensors.index.json", {"weight_map": {"w": file}})
    assert "which is not a plain file name" in broken(tmp_path)


@pytest.mark.parametrize("index", [[], {}, {"weight_map": []}])
def test_an_index_of_another_shape_is_refused(index: object, tmp_path: Path) -> None:
    write_json(tmp_path / "model.safetensors.index.json", index)
    assert "model.safetensors.index.json" in broken(tmp_path)


@pytest.mark.parametrize("keep", [0, 4, 8, 100, -1])
def test_a_truncated_file_is_named_with_its_size(keep: int, tmp_path: Path) -> None:
    file = tiny_bert(tmp_path) / "model.safetensors"
    raw = file.read_bytes()[:keep]
    file.write_bytes(raw)
    message = broken(tmp_path)
    assert message.startswith(f"{file} is truncated or damaged: it has {len(raw)} bytes")
    assert message.endswith("download it again")


def test_a_file_with_more_than_its_header_describes_is_refused(tmp_path: Path) -> None:
    file = tiny_bert(tmp_path) / "model.safetensors"
    file.write_bytes(file.read_bytes() + b"more")
    assert "is truncated or damaged" in broken(tmp_path)


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "header",
    [
        b"<!DOCTYPE html>",
        b"[" * 100_000,
        [],
        {"x": []},
        {"x": entry(shape=[-2])},
        {"x": entry(shape=[True])},
        {"x": entry(shape="2")},
        {"x": entry(offsets=[0, 8, 16])},
        {"x": entry(offsets=[8, 0])},
        {"x": entry(offsets=[8, 16])},
        {"x": entry(shape=[3])},
        {"x": entry(shape=[2**70])},
        {"x": entry(), "y": entry()},
        {"x": entry(), "y": entry(offsets=[4, 12])},
        {"x": entry(dtype="F31")},
        {"x": entry(), "y": entry(shape=[0, 2**63], offsets=[8, 8])},  # the library lets these two pass
        {"x": entry(shape=[2] + [1] * 64)},
    ],
)
def test_a_header_that_makes_no_sense_is_refused(header: Any, tmp_path: Path) -> None:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(8))
    assert "is truncated or damaged" in broken(tmp_path)


def test_a_gap_between_tensors_is_refused(tmp_path: Path) -> None:
    raw = json.dumps({"x": entry(), "y": entry(offsets=[16, 24])}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(24))
    assert "safetensors says invalid offset for tensor `y`" in broken(tmp_path)


def test_what_the_library_says_is_one_line_of_bounded_length(tmp_path: Path) -> None:
    raw = json.dumps({"line\n" * 500: entry(offsets=[8, 0])}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(8))
    assert len(broken(tmp_path)) < len(str(tmp_path)) + 300


def test_the_order_of_the_header_need_not_be_that_of_the_data(tmp_path: Path) -> None:
    header = {
        "y": entry(offsets=[16, 24]),
        "ids": entry("I64", [2], [0, 16]),
        "none": entry(shape=[0, 3], offsets=[16, 16]),
        "x": entry("BF16", [], [24, 26]),
    }
    raw = json.dumps(header).encode()
    data = bytes(16) + np.array([3, 4], np.float32).tobytes() + np.array([0x3F80], np.uint16).tobytes()
    (tmp_path / "model.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw + data)
    opened = open_tensors(tmp_path)
    assert {name: tensor.data.tolist() for name, tensor in opened.items()} == {"none": [], "y": [3, 4], "x": 0x3F80}


def test_a_folder_in_the_place_of_a_shard_is_refused(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path, shards=2)
    (folder / "model-00001-of-00002.safetensors").unlink()
    (folder / "model-00001-of-00002.safetensors").mkdir()
    assert "model-00001-of-00002.safetensors cannot be opened" in broken(folder)


@pytest.mark.parametrize("names", [["pytorch_model.bin"], [f"pytorch_model-0000{n}-of-00002.bin" for n in (1, 2)]])
def test_pickled_weights_are_refused_with_the_command_that_converts_them(names: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "it's a model"
    folder.mkdir()
    shared = torch.arange(6.0).reshape(2, 3)
    for index, name in enumerate(names):
        torch.save({f"tied.{index}": shared, f"turned.{index}": shared.T}, folder / name)
    message = broken(folder)
    assert f"only as {names[0]}" in message

    [_, _, code] = shlex.split(message[message.index("python -c ") :])
    exec(code)  # noqa: S102 - it is what the message tells people to run

    made = open_tensors(folder)
    assert set(made) == {f"{kind}.{index}" for kind in ("tied", "turned") for index in range(len(names))}
    assert made["turned.0"].data.tolist() == shared.T.tolist()


def test_the_hash_of_one_file_is_that_of_sha256sum(tmp_path: Path) -> None:
    file = tiny_bert(tmp_path) / "model.safetensors"
    assert weights_sha256(tmp_path) == hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: tiny_bert(folder, seed=1, shards=2),
        lambda folder: shutil.copy(
            folder / "model-00001-of-00002.safetensors", folder / "model-00002-of-00002.safetensors"
        ),
    ],
)
def test_the_hash_of_shards_depends_on_each(change: Callable[[Path], object], tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path, shards=2)
    before = weights_sha256(folder)
    assert before == weights_sha256(folder)
    change(folder)
    assert weights_sha256(folder) != before
    assert weights_sha256(folder, folder) != weights_sha256(folder)
