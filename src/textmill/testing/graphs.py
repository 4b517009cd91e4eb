"""Graphs in files of ONNX and OpenVINO for tests, which tell by their answer that they are what runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def constant_graph(path: Path, vector: list[float], vocabulary: int) -> Path:
    """Write a graph, .onnx or .xml, whose token states are all the same vector, whatever the text; its folder is made.

    It needs the packages onnx and, for .xml, openvino.
    """
    import onnx  # noqa: PLC0415 - of the test group
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415

    table = np.tile(np.array(vector, np.float32), (vocabulary, 1))
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])],
        "constant",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["b", "s"])],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["b", "s", len(vector)])],
        [numpy_helper.from_array(table, "table")],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    source = path.with_suffix(".onnx")
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), source)
    if path.suffix == ".xml":
        import openvino

        openvino.save_model(openvino.convert_model(source), path, compress_to_fp16=False)
        source.unlink()
    return path
