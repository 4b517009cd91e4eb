"""A program as an OpenVINO graph: the tensor vocabulary over graph nodes, with token states kept flat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import openvino as ov  # noqa: TID253 - this file and its neighbour own the framework
from openvino import Node  # noqa: TID253
from openvino import opset15 as op  # noqa: TID253

from textmill.arch.ops import Activation, Inputs, Pool, Tensor
from textmill.arch.program import Program
from textmill.runtimes import flat

_WEIGHTED: dict[Pool, flat.Feed] = {
    "mean": flat.mean_weights,
    "mean_sqrt_len_tokens": flat.mean_sqrt_weights,
    "weightedmean": flat.position_weights,
}
_PICKED: dict[Pool, flat.Feed] = {"cls": flat.first_token, "lasttoken": flat.last_token}


def build_graph(program: Program) -> tuple[ov.Model, list[flat.Feed]]:
    """The graph of a program and, in the order of its inputs, what feeds them."""
    ops = FlatOps()
    tokens = [-1]
    inputs = Inputs(
        ids=ops.input(flat.ids, tokens, np.int32),
        positions=ops.input(flat.positions, tokens, np.int32),
        types=ops.input(flat.types, tokens, np.int32),
    )
    output = program.run(ops, inputs)
    used = {feed: node for feed, node in ops.inputs.items() if _is_used(node)}
    tails = [pooled for pooled in ops.pooled if pooled is not output]
    return ov.Model([output, *tails], list(used.values()), "textmill"), list(used)


class FlatOps:
    """The verbs over graph nodes: token tensors are (T, …), T the tokens of all rows end to end.

    Asked for bfloat16, OpenVINO keeps float32 in what lies between an output and the nearest products of matrices above it.
    So pooling is written without such a product, and each pooled vector is an output: this reaches up through every residual
    sum and norm to the embeddings, and only the layers' own products are bfloat16. It costs 2 to 4 % of the speed and
    takes the least cosine to float32 from 0.99987 to 0.99995 (all-MiniLM-L6-v2; ADR 0004).
    """

    def __init__(self) -> None:
        self.inputs: dict[flat.Feed, Node] = {}
        self.pooled: list[Node] = []
        self._rotations: dict[bytes, tuple[Node, Node]] = {}

    def input(self, feed: flat.Feed, shape: list[int], dtype: npt.DTypeLike) -> Node:
        """The graph input that ``feed`` fills; made at first use."""
        if feed not in self.inputs:
            self.inputs[feed] = op.parameter(shape, dtype)
        return self.inputs[feed]

    def weight(self, tensor: Tensor) -> Node:
        """A constant over the checkpoint's own memory; half precisions are widened where they are used."""
        if tensor.dtype == "float32":
            return op.constant(tensor.data, shared_memory=True)
        kind = ov.Type.bf16 if tensor.dtype == "bfloat16" else ov.Type.f16
        shared = ov.Tensor(tensor.data, ov.Shape(tensor.shape), kind)
        return op.convert(op.constant(shared, shared_memory=True), "f32")

    def embedding(self, table: Node, index: Node) -> Node:
        """Rows of a table."""
        return op.gather(table, index, _ints(0))

    def add(self, x: Node, y: Node) -> Node:
        """Elementwise sum."""
        return op.add(x, y)

    def multiply(self, x: Node, y: Node) -> Node:
        """Elementwise product."""
        return op.multiply(x, y)

    def activation(self, x: Node, name: Activation) -> Node:
        """A non-linear function."""
        functions = {
            "gelu": lambda: op.gelu(x, "erf"),
            "gelu_tanh": lambda: op.gelu(x, "tanh"),
            "relu": lambda: op.relu(x),
            "silu": lambda: op.swish(x),
            "tanh": lambda: op.tanh(x),
            "sigmoid": lambda: op.sigmoid(x),
        }
        return functions[name]()

    def linear(self, x: Node, weight: Node, bias: Node | None) -> Node:
        """A linear layer."""
        y = op.matmul(x, weight, False, True)  # noqa: FBT003 - OpenVINO's transpose_a, transpose_b
        return y if bias is None else op.add(y, bias)

    def layer_norm(self, x: Node, weight: Node, bias: Node | None, eps: float) -> Node:
        """Layer norm; OpenVINO calls its core mean-variance normalisation."""
        y = op.multiply(op.mvn(x, _ints(-1), normalize_variance=True, eps=eps, eps_mode="inside_sqrt"), weight)
        return y if bias is None else op.add(y, bias)

    def rms_norm(self, x: Node, weight: Node, eps: float) -> Node:
        """Root-mean-square norm, in the form that OpenVINO fuses into one kernel."""
        mean = op.reduce_mean(op.power(x, np.float32(2)), _ints(-1), keep_dims=True)
        scale = op.divide(np.float32(1), op.sqrt(op.add(mean, np.float32(eps))))
        return op.multiply(op.multiply(x, scale), weight)

    def normalize(self, x: Node) -> Node:
        """Unit length over the last axis."""
        return op.normalize_l2(x, _ints(-1), 1e-12, "max")

    def split_heads(self, x: Node, heads: int) -> Node:
        """(T, heads * width) to (T, heads, width)."""
        return op.reshape(x, _ints(0, heads, -1), special_zero=True)

    def merge_heads(self, x: Node) -> Node:
        """(T, heads, width) to (T, heads * width)."""
        return op.reshape(x, _ints(0, -1), special_zero=True)

    def rope(self, x: Node, positions: Node, frequencies: npt.NDArray[np.float32]) -> Node:
        """Rotate by position; cosines and sines come from outside, since angles lose too much in bfloat16."""
        del positions
        key = frequencies.tobytes()
        if key not in self._rotations:
            shape = [-1, 1, 2 * len(frequencies)]
            cosine = self.input(flat.rotation(frequencies, np.cos), shape, np.float32)
            sine = self.input(flat.rotation(frequencies, np.sin), shape, np.float32)
            self._rotations[key] = cosine, sine
        cosine, sine = self._rotations[key]
        first, second = op.split(x, _ints(-1, scalar=True), 2).outputs()
        turned = op.concat([op.negative(second), first], -1)
        return op.add(op.multiply(x, cosine), op.multiply(turned, sine))

    def attention(self, query: Node, key: Node, value: Node, *, causal: bool, scale: float) -> Node:
        """Attention over a padded view; rows are padded on the right, so a causal mask alone hides padding."""
        heads = query.get_output_partial_shape(0)[1].get_length()
        q, k, v = (self._padded_heads(x, heads) for x in (query, key, value))
        factor = op.constant(np.float32(scale))
        if causal:
            states = op.scaled_dot_product_attention(q, k, v, op.constant(np.float32(0)), factor, causal=True)
        else:
            mask = self.input(flat.mask, [-1, 1, 1, -1], np.float32)
            states = op.scaled_dot_product_attention(q, k, v, mask, factor)
        width = query.get_output_partial_shape(0)[2].get_length()
        rows = op.reshape(op.transpose(states, _ints(0, 2, 1, 3)), _ints(-1, heads, width), special_zero=False)
        return op.gather(rows, self.input(flat.scatter, [-1], np.int32), _ints(0))

    def pool(self, x: Node, how: Pool) -> Node:
        """(T, features) to (B, features)."""
        if how in _PICKED:
            pooled = op.gather(x, self.input(_PICKED[how], [-1], np.int32), _ints(0))
        elif how == "max":
            mask = self.input(flat.pooling_mask, [-1, -1, 1], np.float32)
            pooled = op.reduce_max(op.add(self._padded(x), mask), _ints(1), keep_dims=False)
        else:
            weights = self.input(_WEIGHTED[how], [-1, -1, 1], np.float32)
            pooled = op.reduce_sum(op.multiply(self._padded(x), weights), _ints(1), keep_dims=False)
        self.pooled.append(pooled)
        return pooled

    def concatenate(self, parts: Sequence[Node]) -> Node:
        """Join along the last axis."""
        return op.concat(list(parts), -1)

    def _padded(self, x: Node) -> Node:
        """(T, …) to (B, L, …)."""
        return op.gather(x, self.input(flat.gather, [-1, -1], np.int32), _ints(0))

    def _padded_heads(self, x: Node, heads: int) -> Node:
        """(T, own heads, width) to (B, heads, L, width), each own head repeated for the query heads that it serves."""
        own = x.get_output_partial_shape(0)[1].get_length()
        if own != heads:
            x = op.gather(x, _ints(*np.repeat(np.arange(own), heads // own)), _ints(1))
        return op.transpose(self._padded(x), _ints(0, 2, 1, 3))


def _ints(*values: int, scalar: bool = False) -> Node:
    return op.constant(np.int32(values[0]) if scalar else np.array(values, dtype=np.int32))


def _is_used(node: Node) -> bool:
    return any(output.get_target_inputs() for output in node.outputs())
