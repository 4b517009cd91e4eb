"""What every runtime promises, on every architecture: rows of the tables below."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file
from tests.runtimes.conftest import vectors_of

from textmill.arch.heads import Dense, Head, LayerNorm, Normalize, Pooling
from textmill.arch.ops import DType, Pool, Tensor
from textmill.arch.program import Program, build
from textmill.arch.shapes import check
from textmill.checkpoint.tensors import open_tensors, weights_sha256
from textmill.errors import ConfigInvalid
from textmill.runtimes.runtime import DTypeChoice, Row, Runtime, Target, compile_program
from textmill.testing.checkpoints import tiny_bert, tiny_qwen3

GOLDEN = Path(__file__).parent.parent / "golden"
TOLERANCE = 1e-5

CHECKPOINTS: dict[str, Callable[..., Path]] = {"tiny_bert": tiny_bert, "tiny_qwen3": tiny_qwen3}
"""An architecture is a row here, and a pair of files in tests/golden that scripts/golden.py makes from it."""

POOLINGS = (
    "cls",
    "mean",
    "max",
    "mean_sqrt_len_tokens",
    "weightedmean",
    "lasttoken",
    "cls+mean",
    "max+lasttoken+weightedmean",
)
CHAIN = (
    Pooling(("mean",)),
    Dense("dense.linear", "tanh"),
    LayerNorm("layer_norm.norm"),
    Dense("plain.linear"),
    Normalize(),
)


@dataclass(frozen=True)
class Golden:
    """What scripts/golden.py stored: inputs and versions, and arrays by name."""

    facts: dict[str, Any]
    arrays: dict[str, npt.NDArray[np.float32]]

    @classmethod
    def load(cls, name: str) -> Golden:
        facts = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
        return cls(facts, load_file(GOLDEN / f"{name}.safetensors"))

    def rows(self, prompt_tokens: int = 0) -> list[Row]:
        pairs = zip(self.facts["rows"], self.facts["types"], strict=True)
        return [Row(np.array(ids, np.int32), np.array(types, np.int32), prompt_tokens) for ids, types in pairs]

    def head_tensors(self) -> dict[str, Tensor]:
        return {name: Tensor(data, "float32", name) for name, data in self.arrays.items() if "." in name}


def pooling(how: str) -> Pooling:
    return Pooling(cast("tuple[Pool, ...]", tuple(how.split("+"))))


def program_of(folder: Path, heads: Sequence[Head], more: dict[str, Tensor] | None = None) -> Program:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return build(config, open_tensors(folder) | (more or {}), {"dense": heads})


def compiled(name: str, program: Program, dtype: DTypeChoice = "float32") -> Runtime:
    runtime = compile_program(name, program, Target(max_tokens=64, dtype=dtype, threads=1, batch_tokens=256))
    next(runtime.warm_up())
    return runtime


@pytest.fixture(params=sorted(CHECKPOINTS))
def checkpoint(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def folder(checkpoint: str, tmp_path: Path) -> Path:
    return CHECKPOINTS[checkpoint](tmp_path / checkpoint)


@pytest.fixture
def golden(checkpoint: str) -> Golden:
    return Golden.load(checkpoint)


def test_the_checkpoints_are_those_that_the_golden_answers_were_made_from(folder: Path, golden: Golden) -> None:
    assert weights_sha256(folder) == golden.facts["weights_sha256"]


@pytest.mark.parametrize("how", POOLINGS)
def test_vectors_equal_the_reference_in_every_pooling(
    runtime_name: str, folder: Path, golden: Golden, how: str
) -> None:
    runtime = compiled(runtime_name, program_of(folder, (pooling(how),)))
    vectors = vectors_of(runtime, golden.rows())
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, golden.arrays[how], rtol=0, atol=TOLERANCE)
    rows = golden.rows(golden.facts["prompt_tokens"])[1:]
    np.testing.assert_allclose(
        vectors_of(runtime, rows), golden.arrays[f"{how} without prompt"], rtol=0, atol=TOLERANCE
    )


def test_a_chain_of_heads_equals_the_reference(runtime_name: str, folder: Path, golden: Golden) -> None:
    program = program_of(folder, CHAIN, golden.head_tensors())
    vectors = vectors_of(compiled(runtime_name, program), golden.rows())
    np.testing.assert_allclose(vectors, golden.arrays["chain"], rtol=0, atol=TOLERANCE)
    assert check(program)["dense"].axes == vectors.shape[1:]


@pytest.mark.parametrize("how", ["mean+max", "cls+lasttoken"])
def test_companions_do_not_change_a_vector(runtime_name: str, folder: Path, golden: Golden, how: str) -> None:
    runtime = compiled(runtime_name, program_of(folder, (pooling(how),)))
    rows = golden.rows()
    alone = np.concatenate([vectors_of(runtime, [row]) for row in rows])
    for order in (list(range(len(rows))), [4, 0, 0, 2, 1, 3, 0], [3, 1]):
        together = vectors_of(runtime, [rows[index] for index in order])
        np.testing.assert_allclose(together, alone[order], rtol=0, atol=TOLERANCE)


def test_a_row_without_segments_counts_as_segment_zero(runtime_name: str, folder: Path, golden: Golden) -> None:
    runtime = compiled(runtime_name, program_of(folder, (pooling("mean"),)))
    bare = [replace(row, types=None) for row in golden.rows()]
    zeros = [replace(row, types=np.zeros_like(row.ids)) for row in bare]
    np.testing.assert_array_equal(vectors_of(runtime, bare), vectors_of(runtime, zeros))


def test_vectors_stay_the_callers_own(runtime_name: str, folder: Path, golden: Golden) -> None:
    runtime = compiled(runtime_name, program_of(folder, (pooling("mean"),)))
    first = vectors_of(runtime, golden.rows())
    kept = first.copy()
    vectors_of(runtime, golden.rows()[::-1])
    np.testing.assert_array_equal(first, kept)
    first[:] = 0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_checkpoint_in_half_precision_runs_as_if_it_were_widened(
    runtime_name: str, checkpoint: str, golden: Golden, tmp_path: Path, dtype: DType
) -> None:
    halved = program_of(CHECKPOINTS[checkpoint](tmp_path, dtype=dtype), (pooling("mean"),))
    assert {tensor.dtype for tensor in halved.tensors.values()} == {dtype}
    widened = {
        name: Tensor(
            (tensor.data.astype(np.uint32) << 16).view(np.float32)
            if dtype == "bfloat16"
            else tensor.data.astype(np.float32),
            "float32",
            name,
        )
        for name, tensor in halved.tensors.items()
    }
    vectors = [
        vectors_of(compiled(runtime_name, program), golden.rows())
        for program in (halved, replace(halved, tensors=widened))
    ]
    np.testing.assert_allclose(vectors[0], vectors[1], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(vectors[0], golden.arrays["mean"], rtol=0, atol=0.1)


def test_shards_and_a_prefix_change_nothing(runtime_name: str, checkpoint: str, golden: Golden, tmp_path: Path) -> None:
    prefix = {"tiny_bert": "bert.", "tiny_qwen3": "model."}[checkpoint]
    folder = CHECKPOINTS[checkpoint](tmp_path, shards=3, tensor_prefix=prefix)
    vectors = vectors_of(compiled(runtime_name, program_of(folder, (pooling("mean"),))), golden.rows())
    np.testing.assert_allclose(vectors, golden.arrays["mean"], rtol=0, atol=TOLERANCE)


def test_bfloat16_stays_close_to_float32(runtime_name: str, folder: Path, golden: Golden) -> None:
    runtime = compiled(runtime_name, program_of(folder, (pooling("mean"), Normalize())), "bfloat16")
    vectors, expected = vectors_of(runtime, golden.rows()), golden.arrays["mean"]
    cosines = (vectors * expected).sum(axis=1) / np.linalg.norm(expected, axis=1)
    assert cosines.min() > 0.999


def test_facts_say_what_was_asked_for(runtime_name: str, folder: Path) -> None:
    facts = compiled(runtime_name, program_of(folder, (pooling("mean"),))).facts
    assert (facts.runtime, facts.device, facts.dtype) == (runtime_name, "cpu", "float32")
    assert (facts.threads, facts.batch_tokens) == (1, 256)


def test_a_device_that_is_not_there_is_named(runtime_name: str, folder: Path) -> None:
    target = Target(max_tokens=64, device="abacus")
    with pytest.raises(ConfigInvalid, match=r"no device 'abacus' here; it has .*cpu"):
        compile_program(runtime_name, program_of(folder, (pooling("mean"),)), target)


def test_minilm_equals_sentence_transformers(runtime_name: str, minilm: Path) -> None:
    golden = Golden.load("all_minilm_l6_v2")
    target = Target(max_tokens=256, dtype="float32")
    runtime = compile_program(runtime_name, program_of(minilm, (pooling("mean"), Normalize())), target)
    next(runtime.warm_up())
    rows = [Row(np.array(ids, np.int32)) for ids in golden.facts["ids"]]
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    batches = [order[start : start + 8] for start in range(0, len(order), 8)]
    for batch in batches:
        vectors = vectors_of(runtime, [rows[index] for index in batch])
        np.testing.assert_allclose(vectors, golden.arrays["vectors"][batch], rtol=0, atol=TOLERANCE)
