from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.arch.conftest import width

from textmill.arch.heads import Dense, LayerNorm, Normalize, Pooling
from textmill.arch.ops import DType, Tensor
from textmill.arch.shapes import check
from textmill.errors import ModelBroken

if TYPE_CHECKING:
    from tests.arch.conftest import Checkpoint


def test_the_answer_is_the_width_of_the_vectors(checkpoint: Checkpoint) -> None:
    assert width(checkpoint.build()) == 32


def test_poolings_side_by_side_add_up(checkpoint: Checkpoint) -> None:
    assert width(checkpoint.build(Pooling(("cls", "mean", "max")), Normalize())) == 96


def test_the_last_dense_module_decides(checkpoint: Checkpoint) -> None:
    checkpoint.put("2_Dense.linear.weight", 48, 32)
    checkpoint.put("2_Dense.linear.bias", 48)
    checkpoint.put("3_LayerNorm.norm.weight", 48)
    heads = (Pooling(("mean",)), Dense("2_Dense.linear", "tanh"), LayerNorm("3_LayerNorm.norm"), Normalize())
    assert width(checkpoint.build(*heads)) == 48


def test_every_tensor_that_is_missing_is_named(checkpoint: Checkpoint) -> None:
    program = checkpoint.build()
    optional = tuple(program.architecture.OPTIONAL)
    needed = {name for name in program.tensors if not name.endswith("bias") and not name.startswith(optional)}
    for name in needed:
        tensors = {other: tensor for other, tensor in program.tensors.items() if other != name}
        with pytest.raises(ModelBroken, match=f"no tensor {re.escape(name)};"):
            check(replace(program, tensors=tensors))


def test_every_tensor_of_a_wrong_shape_is_found(checkpoint: Checkpoint) -> None:
    program = checkpoint.build()
    optional = tuple(program.architecture.OPTIONAL)
    read = {name: tensor for name, tensor in program.tensors.items() if not name.startswith(optional)}
    for name, tensor in read.items():
        for axis in range(len(tensor.shape)):
            damaged = type(tensor)(tensor.data.take(range(1, tensor.shape[axis]), axis=axis), tensor.dtype, name)
            tensors = {**program.tensors, name: damaged}
            with pytest.raises(
                ModelBroken, match=f"tensor {re.escape(name)} (has|gives) shape {re.escape(str(damaged.shape))}"
            ):
                check(replace(program, tensors=tensors))


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("embeddings.word_embeddings.weight", (90, 32), r"\(\d+, 32\)"),
        ("embeddings.position_embeddings.weight", (63, 32), r"\(64, 32\)"),
        ("embeddings.token_type_embeddings.weight", (1, 32), r"\(2, 32\)"),
        ("encoder.layer.1.attention.self.key.weight", (31, 32), r"\(32, …\)"),
        ("encoder.layer.0.intermediate.dense.weight", (64, 33), r"\(64, 32\) to follow .*output.LayerNorm.weight"),
        ("encoder.layer.0.output.dense.bias", (31,), r"\(32,\)"),
        ("encoder.layer.1.output.LayerNorm.bias", (33,), r"\(32,\)"),
        ("encoder.layer.1.output.dense.weight", (32,), r"\(32, 64\)"),
    ],
)
def test_the_message_has_the_tensor_its_shape_and_the_expected_one(
    bert: Checkpoint, name: str, shape: tuple[int, ...], expected: str
) -> None:
    bert.put(name, *shape)
    with pytest.raises(ModelBroken, match=f"{re.escape(name)} .*{re.escape(str(shape))}.*{expected}"):
        check(bert.build())


def test_more_or_wider_layers_in_the_config_than_in_the_weights_are_found(checkpoint: Checkpoint) -> None:
    checkpoint.config["num_hidden_layers"] = 3
    with pytest.raises(ModelBroken, match=r"no tensor .*2.*do not belong to its config"):
        check(checkpoint.build())
    checkpoint.config.update(num_hidden_layers=2, intermediate_size=128)
    with pytest.raises(ModelBroken, match=r"its config.json makes it \(128, …\)"):
        check(checkpoint.build())


def test_a_tensor_without_a_place_is_refused_by_name(checkpoint: Checkpoint) -> None:
    checkpoint.put("extra.weight", 2)
    with pytest.raises(ModelBroken, match=r"tensor extra.weight has no place in the model .* describes; they do not"):
        check(checkpoint.build())
    checkpoint.put("more.weight", 2)
    with pytest.raises(ModelBroken, match=r"tensor extra.weight has no place .*\(nor have 1 others\)"):
        check(checkpoint.build())


def test_a_tensor_that_one_of_several_outputs_reads_has_a_place(checkpoint: Checkpoint) -> None:
    checkpoint.put("2_Dense.linear.weight", 8, 32)
    mean = Pooling(("mean",))
    made = check(checkpoint.build_all({"dense": (mean,), "sparse": (mean, Dense("2_Dense.linear")), "tokens": ()}))
    assert {output: (shape.axes, shape.per) for output, shape in made.items()} == {
        "dense": ((32,), "row"),
        "sparse": ((8,), "row"),
        "tokens": ((32,), "token"),
    }


def test_an_output_of_tokens_may_not_be_pooled(checkpoint: Checkpoint) -> None:
    with pytest.raises(ModelBroken, match="pool its tokens, so it has no tokens output"):
        check(checkpoint.build_all({"tokens": (Pooling(("mean",)),)}))


def test_a_model_without_pooling_is_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(ModelBroken, match="needs a Pooling module"):
        check(checkpoint.build(Normalize()))


def test_a_model_that_pools_twice_is_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(ModelBroken, match="pools twice"):
        check(checkpoint.build(Pooling(("mean",)), Pooling(("cls",))))


def test_a_dense_module_of_another_width_is_refused(checkpoint: Checkpoint) -> None:
    checkpoint.put("2_Dense.linear.weight", 8, 33)
    with pytest.raises(
        ModelBroken, match=r"2_Dense.linear.weight gives shape \(8, 33\), but the model needs \(8, 32\)"
    ):
        check(checkpoint.build(Pooling(("mean",)), Dense("2_Dense.linear")))


BROKEN: dict[DType, tuple[npt.NDArray[Any], npt.NDArray[Any]]] = {
    "float32": (np.array([np.nan, np.inf, -np.inf], np.float32), np.array([3.4e38, 3.4e38, -1.0], np.float32)),
    "float16": (np.array([np.nan, np.inf, -np.inf], np.float16), np.array([65504, -65504, -0.0], np.float16)),
    "bfloat16": (np.array([0xFFC0, 0x7F80, 0xFF80], np.uint16), np.array([0x7F7F, 0xFF7F, 0x8000], np.uint16)),
}
"""For each dtype NaN and both infinities, and the largest numbers."""


@pytest.mark.parametrize("dtype", BROKEN)
def test_a_weight_that_is_no_number_is_refused_by_name(dtype: DType, checkpoint: Checkpoint) -> None:
    program = checkpoint.build()
    name = next(name for name in program.tensors if "layers.0" in name or "layer.0" in name)
    bad, largest = BROKEN[dtype]
    assert Tensor(largest, dtype, name).finite
    for value in bad:
        data = np.zeros(program.tensors[name].shape, bad.dtype)
        data[(-1,) * data.ndim] = value
        damaged = replace(program, tensors={**program.tensors, name: Tensor(data, dtype, name)})
        with pytest.raises(ModelBroken, match=f"tensor {re.escape(name)} has values that are NaN or infinity"):
            check(damaged)


def test_what_no_output_reads_may_be_no_number(checkpoint: Checkpoint) -> None:
    program = checkpoint.build()
    name = next(name for name in program.tensors if name.startswith(tuple(program.architecture.OPTIONAL)))
    empty = np.full(program.tensors[name].shape, np.nan, np.float32)
    check(replace(program, tensors={**program.tensors, name: Tensor(empty, "float32", name)}))
