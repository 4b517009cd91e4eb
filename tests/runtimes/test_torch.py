from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch  # noqa: TID253 - the runtime under test is torch's
from tests.runtimes.conftest import vectors_of

from textmill.arch.heads import Dense, Pooling
from textmill.arch.ops import Pool, Tensor
from textmill.arch.program import Program, build
from textmill.checkpoint.tensors import open_tensors
from textmill.errors import ConfigInvalid, Unavailable
from textmill.runtimes.runtime import DTypeChoice, Row, Target
from textmill.runtimes.torch import TorchRuntime, compile_program
from textmill.runtimes.torch_attention import kernel_of
from textmill.runtimes.torch_weights import Store
from textmill.testing.checkpoints import tiny_bert

TARGET = Target(max_tokens=64, dtype="float32", threads=1)


def program_of(folder: Path, *modes: Pool) -> Program:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return build(config, open_tensors(folder), {"dense": (Pooling(modes),)})


@pytest.fixture
def runtime(tmp_path: Path) -> TorchRuntime:
    return compile_program(program_of(tiny_bert(tmp_path), "mean"), TARGET)


def test_float32_weights_stay_where_the_checkpoint_has_them(tmp_path: Path) -> None:
    store = Store(torch.device("cpu"), torch.float32)
    for tensor in open_tensors(tiny_bert(tmp_path)).values():
        assert store[tensor].data_ptr() == tensor.data.ctypes.data


def test_a_read_only_weight_is_copied_without_a_warning() -> None:
    data = np.arange(4, dtype=np.float32)
    data.flags.writeable = False
    store = Store(torch.device("cpu"), torch.float32)
    assert store[Tensor(data, "float32", "w")].tolist() == [0, 1, 2, 3]


def test_a_weight_is_taken_to_the_device_once() -> None:
    tensor = Tensor(np.zeros(4, np.float16), "float16", "w")
    store = Store(torch.device("cpu"), torch.float32)
    assert store[tensor] is store[tensor]


def test_auto_precision_is_float32_on_a_cpu(tmp_path: Path) -> None:
    facts = compile_program(program_of(tiny_bert(tmp_path), "mean"), Target(max_tokens=64, threads=1)).facts
    assert (facts.dtype, facts.batch_tokens) == ("float32", 2048)


@pytest.mark.parametrize("device", ["cuda:99", "cpu:one", "cpu:", "meta", "xla", ""])
def test_a_device_that_is_not_there_is_refused(tmp_path: Path, device: str) -> None:
    with pytest.raises(ConfigInvalid, match="no device"):
        compile_program(program_of(tiny_bert(tmp_path), "mean"), Target(max_tokens=64, device=device))


def test_a_closed_runtime_says_so(runtime: TorchRuntime) -> None:
    row = Row(np.array([5, 6], np.int32))
    runtime.forward([row])
    runtime.close()
    with pytest.raises(Unavailable, match="closed"):
        runtime.forward([row])


def test_warming_up_is_one_step_within_the_longest_row(tmp_path: Path) -> None:
    program = program_of(tiny_bert(tmp_path, positions=4), "mean")
    assert list(compile_program(program, Target(max_tokens=4, threads=1)).warm_up()) == ["2 x 4"]


@pytest.mark.parametrize("how", ["mean", "mean_sqrt_len_tokens", "weightedmean"])
def test_a_mean_of_no_tokens_is_zero(tmp_path: Path, how: Pool) -> None:
    runtime = compile_program(program_of(tiny_bert(tmp_path), how), TARGET)
    assert not vectors_of(runtime, [Row(np.array([5, 6], np.int32), prompt_tokens=2)]).any()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_stays_close_to_float32(tmp_path: Path, dtype: DTypeChoice) -> None:
    program = program_of(tiny_bert(tmp_path), "mean")
    rows = [Row(np.arange(1, length, dtype=np.int32)) for length in (5, 9, 9, 30)]
    exact = vectors_of(compile_program(program, TARGET), rows)
    halved = compile_program(program, replace(TARGET, dtype=dtype))
    made = vectors_of(halved, rows)
    assert halved.facts.dtype == dtype
    cosines = (made * exact).sum(axis=1) / np.linalg.norm(made, axis=1) / np.linalg.norm(exact, axis=1)
    assert cosines.min() > 0.999


def test_int8_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="int8 is openvino's"):
        compile_program(program_of(tiny_bert(tmp_path), "mean"), replace(TARGET, dtype="int8"))


def test_a_cpu_has_no_kernel_for_rows_of_different_lengths() -> None:
    assert kernel_of(torch.device("cpu")) is None


def test_only_the_outputs_that_are_wanted_are_computed(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path)
    program = replace(
        program_of(folder, "mean"), outputs={"dense": (Pooling(("mean",)),), "logits": (Dense("absent"),)}
    )
    assert vectors_of(compile_program(program, TARGET), [Row(np.array([5, 6], np.int32))]).shape[0] == 1
