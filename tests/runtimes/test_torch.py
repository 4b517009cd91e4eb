from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch  # noqa: TID253 - the runtime under test is torch's
from tests.runtimes.conftest import vectors_of
from torch import Tensor as Array  # noqa: TID253 - as above
from torch.nn import functional  # noqa: TID253 - as above

from textmill.arch.heads import Pooling
from textmill.arch.ops import Pool, Tensor
from textmill.arch.program import Program, build
from textmill.checkpoint.tensors import open_tensors
from textmill.errors import ConfigInvalid, Unavailable
from textmill.runtimes.runtime import Row, Target
from textmill.runtimes.torch import Store, TorchRuntime, compile_program
from textmill.runtimes.torch_batch import Batch
from textmill.runtimes.torch_flash import agrees, packed_attention
from textmill.testing.checkpoints import tiny_bert
from textmill.testing.seeded import write_seeded

GOLDEN = Path(__file__).parents[1] / "golden" / "architectures"
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


def row_by_row(
    query: Array, key: Array, value: Array, batch: Batch, *, causal: bool, scale: float, window: int | None
) -> Array:
    """What a kernel for packed rows computes, in the plainest way."""
    parts = []
    for start, end in pairwise(batch.ends.tolist()):
        away = torch.arange(end - start)[:, None] - torch.arange(end - start)
        seen = torch.ones_like(away, dtype=torch.bool) if window is None else away.abs() <= window
        seen = seen & (away >= 0) if causal else seen
        q, k, v = (x[start:end].transpose(0, 1) for x in (query, key, value))
        gqa = key.shape[1] != query.shape[1]
        made = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=scale, enable_gqa=gqa)
        parts.append(made.transpose(0, 1))
    return torch.cat(parts)


@pytest.mark.parametrize("case", ["bert", "modernbert", "qwen3", "gemma3"])
def test_a_kernel_for_packed_rows_stands_in_for_padded_attention(case: str, tmp_path: Path) -> None:
    facts = json.loads((GOLDEN / f"{case}.json").read_text(encoding="utf-8"))
    write_seeded(tmp_path, facts["config"], facts["shapes"], facts["seed"], around=facts.get("around", 1.0))
    program = build(facts["config"], open_tensors(tmp_path), {"tokens": ()})
    rows = [Row(np.array(ids, np.int32), outputs=("tokens",)) for ids in facts["rows"]]
    padded = compile_program(program, TARGET)
    packed = TorchRuntime(program, Store(torch.device("cpu"), torch.float32), padded.facts, 64, row_by_row)

    for one, other in zip(padded.forward(rows)["tokens"], packed.forward(rows)["tokens"], strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_rows_with_tokens_that_are_not_attended_to_are_padded(tmp_path: Path) -> None:
    def fails(*_: object, **__: object) -> Array:
        raise AssertionError

    padded = compile_program(program_of(tiny_bert(tmp_path), "mean"), TARGET)
    packed = TorchRuntime(
        program_of(tmp_path, "mean"), Store(torch.device("cpu"), torch.float32), padded.facts, 64, fails
    )
    rows = [Row(np.array([5, 6, 7], np.int32), attended=2), Row(np.array([8], np.int32))]

    np.testing.assert_allclose(vectors_of(packed, rows), vectors_of(padded, rows), rtol=0, atol=1e-6)


def test_a_kernel_that_computes_something_else_is_noticed() -> None:
    def wrong(
        query: Array, key: Array, value: Array, batch: Batch, *, causal: bool, scale: float, window: int | None
    ) -> Array:
        return row_by_row(query, key, value, batch, causal=causal, scale=scale, window=None if window else 1)

    cpu = torch.device("cpu")
    assert agrees(row_by_row, cpu, torch.float32)
    assert not agrees(wrong, cpu, torch.float32)


def test_no_kernel_for_packed_rows_is_looked_for_on_a_cpu() -> None:
    assert packed_attention(torch.device("cpu"), torch.bfloat16) is None
