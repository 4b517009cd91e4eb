"""Recorded runs of small batches, on a device that records by keeping what was to run."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch  # noqa: TID253 - the runtime under test is torch's
from tests.runtimes.conftest import vectors_of

from textmill.arch.heads import Head, Pooling
from textmill.arch.program import build
from textmill.checkpoint.tensors import open_tensors
from textmill.runtimes.runtime import Facts, Row
from textmill.runtimes.torch import TorchRuntime, parts
from textmill.runtimes.torch_batch import Batch, Size
from textmill.runtimes.torch_device import Arrays, Plain
from textmill.runtimes.torch_graphs import SIZES, Graphs
from textmill.runtimes.torch_weights import Store
from textmill.testing.checkpoints import tiny_bert, tiny_qwen3

CPU = torch.device("cpu")


class Recorder(Plain):
    """A CPU that counts replays, and whose batches go in parts of at most 40 tokens."""

    graphs = True
    part_tokens = 40

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__(CPU)
        self.replays = 0
        self._fails = fails

    def capture(self, run: Callable[[], Arrays]) -> tuple[Callable[[], None], Arrays]:
        if self._fails:
            msg = "operation not permitted when stream is capturing"
            raise RuntimeError(msg)
        replay, arrays = super().capture(run)

        def counted() -> None:
            self.replays += 1
            replay()

        return counted, arrays


def runtime_on(
    device: Plain, folder: Path, heads: tuple[Head, ...] = (Pooling(("mean", "max", "lasttoken")),)
) -> TorchRuntime:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    program = build(config, open_tensors(folder), {"dense": heads, "tokens": ()})
    facts = Facts(runtime="torch", device="cpu", dtype="float32", threads=1, batch_tokens=64)
    return TorchRuntime(program, Store(CPU, torch.float32), facts, 64, device)


def rows_of(*lengths: int) -> list[Row]:
    random = np.random.default_rng(3)
    return [Row(random.integers(1, 50, length).astype(np.int32), outputs=("dense", "tokens")) for length in lengths]


@pytest.mark.parametrize("make", [tiny_bert, tiny_qwen3])
@pytest.mark.parametrize("lengths", [(1,), (5,), (16,), (7, 3, 9, 1), (9, 9, 9), (1,) * 16, (30, 10, 20), (40, 9, 40)])
def test_replayed_answers_equal_those_of_a_run(
    make: Callable[[Path], Path], lengths: tuple[int, ...], tmp_path: Path
) -> None:
    device, folder = Recorder(), make(tmp_path)
    recorded, plain = runtime_on(device, folder), runtime_on(Plain(CPU), folder)
    list(recorded.warm_up())
    before, rows = device.replays, rows_of(*lengths)
    for batch in (rows, rows[::-1], rows_of(4), rows):
        made, expected = recorded.forward(batch), plain.forward(batch)
        np.testing.assert_allclose(made["dense"], expected["dense"], rtol=0, atol=1e-5)
        for one, other in zip(made["tokens"], expected["tokens"], strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
    assert device.replays > before


def test_a_prompt_is_left_out_of_a_replayed_batch(tmp_path: Path) -> None:
    device, folder = Recorder(), tiny_bert(tmp_path)
    recorded, plain = runtime_on(device, folder), runtime_on(Plain(CPU), folder)
    list(recorded.warm_up())
    rows = [replace(row, prompt_tokens=2, outputs=("dense",)) for row in rows_of(5, 6)]
    np.testing.assert_allclose(vectors_of(recorded, rows), vectors_of(plain, rows), rtol=0, atol=1e-5)
    assert device.replays == 1


def test_rows_attended_to_in_part_are_not_replayed(tmp_path: Path) -> None:
    device, folder = Recorder(), tiny_bert(tmp_path)
    recorded, plain = runtime_on(device, folder), runtime_on(Plain(CPU), folder)
    list(recorded.warm_up())
    rows = [replace(row, attended=3, outputs=("dense",)) for row in rows_of(5, 6)]
    np.testing.assert_allclose(vectors_of(recorded, rows), vectors_of(plain, rows), rtol=0, atol=1e-5)
    assert device.replays == 0


def test_warming_up_records_every_size_within_the_budget(tmp_path: Path) -> None:
    steps = list(runtime_on(Recorder(), tiny_bert(tmp_path)).warm_up())
    assert steps == ["2 x 8", *(str(size) for size in SIZES if size.tokens <= 64)]


def test_what_cannot_be_recorded_runs_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    runtime = runtime_on(Recorder(fails=True), tiny_bert(tmp_path))
    with caplog.at_level(logging.WARNING, "textmill"):
        assert list(runtime.warm_up()) == ["2 x 8"]
    assert "run without CUDA graphs" in caplog.text
    assert runtime.forward(rows_of(5))["tokens"][0].shape[0] == 5


def test_a_batch_takes_the_smallest_size_with_a_row_to_spare() -> None:
    def run(batch: Batch, _: object) -> Arrays:
        return {"dense": batch.inputs.ids}

    graphs = Graphs(Plain(CPU), run)
    for size in (Size(64, 5), Size(16, 5), Size(16, 2)):
        graphs.record(size)
    assert graphs.size_for(rows_of(16)) == Size(16, 2)
    assert graphs.size_for(rows_of(8, 8)) == Size(16, 5)
    assert graphs.size_for(rows_of(17)) == Size(64, 5)
    assert graphs.size_for(rows_of(1, 1, 1, 1, 1)) is None
    assert graphs.size_for(rows_of(65)) is None
    made = graphs.replay(rows_of(3))
    assert made is not None
    assert made["dense"].tolist() == [*rows_of(3)[0].ids.tolist(), *[0] * 13]


def test_parts_keep_the_order_and_take_a_row_that_is_too_long_alone() -> None:
    rows = rows_of(3, 4, 9, 2, 5)
    assert [[len(row) for row in part] for part in parts(rows, 7)] == [[3, 4], [9], [2, 5]]
    assert parts(rows, None) == [rows]
