"""What only the OpenVINO runtime promises."""

from __future__ import annotations

import gc
import json
import weakref
from pathlib import Path

import numpy as np
import openvino as ov  # noqa: TID253 - looks at what was compiled
import pytest
from safetensors.numpy import load_file
from tests.runtimes.conftest import resident, vectors_of

from textmill.arch.heads import Dense, Head, Pooling
from textmill.arch.ops import DType, Tensor
from textmill.arch.program import Program, build
from textmill.checkpoint.tensors import open_tensors
from textmill.errors import ConfigInvalid
from textmill.runtimes.openvino import compile_program
from textmill.runtimes.openvino_graph import FlatOps, build_graph
from textmill.runtimes.runtime import Row, Target
from textmill.testing.checkpoints import tiny_bert

GOLDEN = Path(__file__).parent.parent / "golden"
TARGET = Target(max_tokens=32, dtype="float32", threads=1, batch_tokens=64)


def program_of(folder: Path, *heads: Head, more: dict[str, Tensor] | None = None) -> Program:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return build(config, open_tensors(folder) | (more or {}), {"dense": heads or (Pooling(("mean",)),)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("tiny"))


def test_bfloat16_keeps_every_kind_of_text_within_a_ten_thousandth(minilm: Path) -> None:
    facts = json.loads((GOLDEN / "all_minilm_l6_v2.json").read_text(encoding="utf-8"))
    reference = load_file(GOLDEN / "all_minilm_l6_v2.safetensors")["vectors"]
    target = Target(max_tokens=256, dtype="bfloat16", threads=2)
    runtime = compile_program(program_of(minilm), target)
    next(runtime.warm_up())
    vectors = np.concatenate([vectors_of(runtime, [Row(np.array(ids, np.int32))]) for ids in facts["ids"]])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (vectors * reference).sum(axis=1).min() >= 0.9999


@pytest.mark.skipif(
    "FP16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"), reason="this CPU computes with float16"
)
def test_the_precisions_of_this_cpu_are_named_by_our_names_for_them(folder: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"dtype is 'float16', .*; it has float32, (bfloat16, )?int8$"):
        compile_program(program_of(folder), Target(max_tokens=32, dtype="float16", threads=1))


def test_the_states_between_layers_are_an_output_s_own_precision_also_below_a_dense_head(folder: Path) -> None:
    weight = Tensor(np.zeros((3, 64), np.float32), "float32", "dense.linear.weight")
    program = program_of(folder, Pooling(("mean", "cls")), Dense("dense.linear"), more={"dense.linear.weight": weight})
    graph = build_graph(program)
    assert graph.outputs == ("dense",)
    assert len(graph.model.outputs) == 3


def test_float32_layers_have_nothing_fused_into_them_for_which_their_weights_would_be_packed_anew(folder: Path) -> None:
    graph = build_graph(program_of(folder), FlatOps(packed_once=True))
    hints = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = ov.Core().compile_model(graph.model, "CPU", hints)
    fused = [
        str(node.get_rt_info()["originalLayersNames"].astype(str))
        for node in compiled.get_runtime_model().get_ordered_ops()
        if node.get_rt_info()["layerType"].astype(str) == "FullyConnected"
    ]
    assert len(fused) == 2 * 6
    assert not [names for names in fused if "Gelu" in names or "Multiply" in names]


def test_a_checkpoint_s_pages_are_given_back_when_its_weights_are_packed(folder: Path) -> None:
    program = program_of(folder)
    weights = program.tensors["embeddings.word_embeddings.weight"].data
    assert weights.any()
    assert resident(weights) > 0
    next(compile_program(program, TARGET).warm_up())
    assert resident(weights) == 0


def test_a_closed_runtime_does_not_keep_the_checkpoint_mapped(folder: Path) -> None:
    program = program_of(folder)
    mapping = weakref.ref(program.tensors["embeddings.word_embeddings.weight"].data.base)
    runtime = compile_program(program, TARGET)
    runtime.close()
    del program
    gc.collect()
    assert mapping() is None


def test_every_warm_up_step_leaves_answers_as_they_were(folder: Path) -> None:
    runtime = compile_program(program_of(folder), TARGET)
    rows = [Row(np.arange(2, 2 + n, dtype=np.int32)) for n in (5, 1, 9)]
    expected = vectors_of(runtime, rows)
    steps = [np.abs(vectors_of(runtime, rows) - expected).max() for _ in runtime.warm_up()]
    assert len(steps) > 1
    assert max(steps) <= 1e-6


def test_inputs_that_the_graph_does_not_need_are_not_made(folder: Path) -> None:
    graph = build_graph(program_of(folder, Pooling(("cls",))))
    names = {feed.__name__ for feed in graph.feeds}
    assert names == {"ids", "positions", "types", "mask", "gather", "scatter_by_head", "first_token"}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_weights_outlive_whoever_opened_them(tmp_path: Path, dtype: DType) -> None:
    runtime = compile_program(program_of(tiny_bert(tmp_path, dtype=dtype)), TARGET)
    gc.collect()
    assert np.isfinite(vectors_of(runtime, [Row(np.array([3, 4], np.int32))])).all()


@pytest.mark.parametrize("device", ["gpu.7", "nonsense"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(folder: Path, device: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"it has .*cpu"):
        compile_program(program_of(folder), Target(max_tokens=32, device=device))


def test_a_device_may_be_written_in_any_case(folder: Path) -> None:
    target = Target(max_tokens=32, device="CPU", dtype="float32", threads=1)
    assert compile_program(program_of(folder), target).facts.threads == 1
