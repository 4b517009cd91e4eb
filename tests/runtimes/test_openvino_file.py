"""Graphs from files, written here by hand: token states that depend on every input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.runtimes.conftest import vectors_of

from textmill.arch.heads import Dense, Head, Output, Pooling
from textmill.arch.ops import Tensor
from textmill.errors import ModelBroken
from textmill.runtimes.runtime import Row, Runtime, Target, compile_file

VOCABULARY, WIDTH, CLASSES = 30, 8, 3
RNG = np.random.default_rng(5)
WORDS, TYPES, PLACES, SCORES = (
    RNG.standard_normal(shape).astype(np.float32)
    for shape in ((VOCABULARY, WIDTH), (2, WIDTH), (16, WIDTH), (WIDTH, CLASSES))
)
ROWS = [
    Row(np.array(ids, np.int32), np.array(types, np.int32))
    for ids, types in (([3, 4, 5], [0, 0, 1]), ([6], [1]), ([7, 8, 9, 10, 2], [0, 1, 1, 0, 0]))
]


def states_of(row: Row) -> npt.NDArray[np.float32]:
    assert row.types is not None
    states: npt.NDArray[np.float32] = WORDS[row.ids] + TYPES[row.types] + PLACES[: len(row)]
    return states


def write_onnx(
    path: Path, output: str, inputs: tuple[str, ...] = ("input_ids", "token_type_ids", "position_ids")
) -> Path:
    """A graph that adds three tables' rows, and where asked pools or scores them; every input is int64 (B, L)."""
    tables = {"words": WORDS, "types": TYPES, "places": PLACES, "scores": SCORES, "axis": np.array([1], np.int64)}
    nodes = [
        helper.make_node("Gather", [table, name], [f"{table}_rows"])
        for table, name in zip(
            ("words", "types", "places"), ("input_ids", "token_type_ids", "position_ids"), strict=True
        )
        if name in inputs
    ]
    nodes.append(helper.make_node("Sum", [node.output[0] for node in nodes], ["states"]))
    nodes.append(
        {
            "last_hidden_state": helper.make_node("Identity", ["states"], [output]),
            "strange": helper.make_node("Identity", ["states"], [output]),
            "sentence_embedding": helper.make_node("ReduceMax", ["states", "axis"], [output], keepdims=0),
            "logits": helper.make_node("ReduceMax", ["scored", "axis"], [output], keepdims=0),
        }[output]
    )
    if output == "logits":
        nodes.insert(-1, helper.make_node("MatMul", ["states", "scores"], ["scored"]))
    graph = helper.make_graph(
        nodes,
        "hand-made",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "s"]) for name in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in tables.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path


def compiled(
    path: Path,
    outputs: dict[Output, tuple[Head, ...]],
    tensors: dict[str, Tensor] | None = None,
    vocabulary: int = VOCABULARY,
) -> Runtime:
    target = Target(max_tokens=16, dtype="float32", threads=1, batch_tokens=64)
    runtime, _ = compile_file(path, outputs, tensors or {}, target, vocabulary=vocabulary)
    next(runtime.warm_up())
    return runtime


def test_states_are_those_of_the_graph_and_our_heads_follow(tmp_path: Path) -> None:
    weight = RNG.standard_normal((4, WIDTH)).astype(np.float32)
    heads = (Pooling(("mean",)), Dense("dense"))
    tensors = {"dense.weight": Tensor(weight, "float32", "dense.weight")}
    runtime = compiled(write_onnx(tmp_path / "a.onnx", "last_hidden_state"), {"dense": heads, "tokens": ()}, tensors)
    rows = [Row(row.ids, row.types, outputs=("dense", "tokens")) for row in ROWS]
    for order in ([0, 1, 2], [2, 0], [1]):
        made = runtime.forward([rows[index] for index in order])
        for place, index in enumerate(order):
            np.testing.assert_allclose(made["tokens"][place], states_of(ROWS[index]), atol=1e-6)
            np.testing.assert_allclose(made["dense"][place], states_of(ROWS[index]).mean(axis=0) @ weight.T, atol=1e-5)


def test_a_graph_that_pools_by_itself_is_taken_at_its_word(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "a.onnx", "sentence_embedding")
    made = compiled(path, {"dense": (Pooling(("mean",)),)}).forward(ROWS[:1])
    np.testing.assert_allclose(made["dense"][0], states_of(ROWS[0]).max(axis=0), atol=1e-6)


def test_logits_are_scores_of_rows(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "a.onnx", "logits")
    made = compiled(path, {"logits": ()}).forward([Row(ROWS[0].ids, ROWS[0].types, outputs=("logits",))])
    np.testing.assert_allclose(made["logits"][0], (states_of(ROWS[0]) @ SCORES).max(axis=0), atol=1e-5)


def test_an_xml_file_runs_as_the_onnx_it_was_made_from(tmp_path: Path) -> None:
    import openvino

    source = write_onnx(tmp_path / "a.onnx", "last_hidden_state")
    openvino.save_model(openvino.convert_model(source), tmp_path / "a.xml", compress_to_fp16=False)
    first, second = (
        vectors_of(compiled(path, {"dense": (Pooling(("cls",)),)}), ROWS) for path in (source, tmp_path / "a.xml")
    )
    np.testing.assert_array_equal(first, second)


def test_an_output_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "a.onnx", "strange")
    with pytest.raises(ModelBroken, match=r"a\.onnx has the outputs strange; .* needs last_hidden_state or token_emb"):
        compiled(path, {"dense": (Pooling(("mean",)),)})


def test_an_input_that_a_text_does_not_give_is_named(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "a.onnx", "last_hidden_state")
    model = onnx.load(path)
    model.graph.input[0].name = model.graph.node[0].input[1] = "pixel_values"
    onnx.save(model, path)
    with pytest.raises(ModelBroken, match=r"a\.onnx wants the input pixel_values, which a text does not give"):
        compiled(path, {"dense": (Pooling(("mean",)),)})


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"not a graph")
    with pytest.raises(ModelBroken, match=r"a\.onnx cannot be read by OpenVINO"):
        compiled(tmp_path / "a.onnx", {"dense": ()})


@pytest.mark.parametrize("between", ["", "Cast", "Reshape"])
def test_a_table_without_a_row_for_every_id_is_refused(between: str, tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "a.onnx", "last_hidden_state")
    if between:
        model = onnx.load(path)
        model.graph.initializer.append(numpy_helper.from_array(np.array([0, -1]), "same"))
        how = {"to": TensorProto.INT32} if between == "Cast" else {}
        inputs = ["input_ids"] if between == "Cast" else ["input_ids", "same"]
        model.graph.node.insert(0, helper.make_node(between, inputs, ["between"], **how))
        model.graph.node[1].input[1] = "between"
        onnx.save(model, path)
    compiled(path, {"dense": (Pooling(("mean",)),)})
    with pytest.raises(
        ModelBroken, match=r"a\.onnx: its table of token embeddings has 30 rows, but config\.json says voc"
    ):
        compiled(path, {"dense": (Pooling(("mean",)),)}, vocabulary=VOCABULARY + 1)
