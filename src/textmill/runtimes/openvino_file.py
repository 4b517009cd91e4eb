"""A graph from a file, between our flat batches and our heads: its inputs and outputs are padded, (B, L, …)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino as ov  # noqa: TID253 - this file and its neighbours own the framework
from openvino import Node  # noqa: TID253
from openvino import opset15 as op  # noqa: TID253

from textmill.arch.heads import Output
from textmill.arch.ops import Tensor
from textmill.arch.program import Chains
from textmill.arch.weights import Weights
from textmill.errors import ModelBroken
from textmill.runtimes import flat
from textmill.runtimes.openvino_graph import FlatOps, Graph

_STATES = ("last_hidden_state", "token_embeddings")
_SAME_IDS = ("Convert", "Reshape", "Squeeze", "Unsqueeze")
"""What exporters put between the ids and the table that they look up."""
_FROM_LOGITS: frozenset[Output] = frozenset({"logits", "token_logits", "sparse"})


@dataclass(frozen=True, slots=True)
class GraphFile:
    """A file's graph, the heads that follow it, and their tensors; ids that it is given are below ``vocabulary``."""

    path: Path
    vocabulary: int
    outputs: Chains
    tensors: Mapping[str, Tensor]


def read_graph(file: GraphFile) -> Graph:
    """The graph with our inputs and outputs.

    Raises ModelBroken, naming the file, where it cannot be read, asks for what a text does not give, lacks an output, or has
    a table of embeddings with fewer rows than there are ids.
    """
    try:
        model = ov.Core().read_model(file.path)
    except RuntimeError as error:
        msg = f"{file.path} cannot be read by OpenVINO: {str(error).strip().splitlines()[-1]}"
        raise ModelBroken(msg) from error
    _check_table(model, file)
    ops = FlatOps()
    _feed(ops, model, file.path)
    ends = {name: result for result in model.outputs for name in result.get_names()}
    outputs = {output: _end(ops, file, ends, output) for output in file.outputs}
    used = {feed: node for feed, node in ops.inputs.items() if any(end.get_target_inputs() for end in node.outputs())}
    made = ov.Model(list(outputs.values()), list(used.values()), "textmill")
    return Graph(made, tuple(used), tuple(outputs))


def widths(graph: Graph) -> dict[Output, int]:
    """The width of each output; raises ModelBroken where the file does not fix it."""
    found = {}
    for output, end in zip(graph.outputs, graph.model.outputs, strict=False):
        last = end.get_partial_shape()[-1]
        if not last.is_static:
            msg = f"the file's graph does not say how wide its output for {output} is"
            raise ModelBroken(msg)
        found[output] = int(last.get_length())
    return found


def _check_table(model: ov.Model, file: GraphFile) -> None:
    """See that every id has a row in the table that the ids look up, where that is plain to see: OpenVINO does not when it runs."""
    ends = [node.output(0) for node in model.get_parameters() if "input_ids" in node.output(0).get_names()]
    while ends:
        for reader in ends.pop().get_target_inputs():
            node = reader.get_node()
            if node.get_type_name() in _SAME_IDS and reader.get_index() == 0:
                ends.append(node.output(0))
            elif node.get_type_name() == "Gather" and reader.get_index() == 1:
                rows = node.input_value(0).get_partial_shape()[0]
                if rows.is_static and rows.get_length() < file.vocabulary:
                    msg = (
                        f"{file.path}: its table of token embeddings has {rows.get_length()} rows, but config.json says "
                        f"vocab_size {file.vocabulary}; they belong to different models"
                    )
                    raise ModelBroken(msg)


def _feed(ops: FlatOps, model: ov.Model, path: Path) -> None:
    """Put what a batch holds in the place of the file's inputs."""
    gather = ops.input(flat.gather, [-1, -1], np.int32)

    def padded(feed: flat.Feed) -> Node:
        return op.gather(ops.input(feed, [-1], np.int32), gather, op.constant(np.int32(0)))

    sources = {
        "input_ids": lambda: padded(flat.ids),
        "attention_mask": lambda: ops.input(flat.attended, [-1, -1], np.int32),
        "token_type_ids": lambda: padded(flat.types),
        "input_type": lambda: padded(flat.types),
        "position_ids": lambda: padded(flat.positions),
    }
    for parameter in model.get_parameters():
        name = next((name for name in parameter.output(0).get_names() if name in sources), None)
        if name is None:
            asked = ", ".join(sorted(parameter.output(0).get_names()))
            msg = f"{path} wants the input {asked}, which a text does not give; textmill feeds {', '.join(sources)}"
            raise ModelBroken(msg)
        node = op.convert(sources[name](), parameter.get_element_type())
        parameter.output(0).replace(node.output(0))


def _end(ops: FlatOps, file: GraphFile, ends: Mapping[str, ov.Output], output: Output) -> Node:
    """The node that answers an output."""
    if output == "dense" and "sentence_embedding" in ends:
        return _before(ends["sentence_embedding"])
    names = ("logits",) if output in _FROM_LOGITS else _STATES
    name = next((name for name in names if name in ends), None)
    if name is None:
        msg = f"{file.path} has the outputs {', '.join(sorted(ends))}; its use for {output} needs {' or '.join(names)}"
        raise ModelBroken(msg)
    x = _before(ends[name])
    if output != "logits":
        features = x.get_output_partial_shape(0)[2]
        width = int(features.get_length()) if features.is_static else -1
        rows = op.reshape(x, op.constant(np.array([-1, width], np.int32)), special_zero=False)
        x = op.gather(rows, ops.input(flat.scatter, [-1], np.int32), op.constant(np.int32(0)))
    weights = Weights(ops, file.tensors)
    for head in file.outputs[output]:
        x = head.apply(weights, x)
    return x


def _before(end: ov.Output) -> Node:
    """What flows into a result, as float32."""
    source = end.get_node().input_value(0)
    return op.convert(source, "f32")
