"""A program as an OpenVINO graph: the tensor vocabulary over graph nodes, with token states kept flat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import openvino as ov  # noqa: TID253 - this file and its neighbour own the framework
from openvino import Node  # noqa: TID253
from openvino import opset15 as op  # noqa: TID253

from textmill.arch.heads import Output
from textmill.arch.ops import Activation, Inputs, Pool, Tensor
from textmill.arch.positions import Relative, Rotation, Slopes, Table
from textmill.arch.program import Program
from textmill.runtimes import flat
from textmill.runtimes.blocks import Window
from textmill.runtimes.openvino_attention import Attention
from textmill.runtimes.openvino_inputs import GraphInputs, axis_of, ints

_WEIGHTED: dict[Pool, flat.Feed] = {
    "mean": flat.mean_weights,
    "sum": flat.sum_weights,
    "mean_sqrt_len_tokens": flat.mean_sqrt_weights,
    "weightedmean": flat.position_weights,
}
_PICKED: dict[Pool, flat.Feed] = {"cls": flat.first_token, "lasttoken": flat.last_token}


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph, what feeds its inputs in their order, and the outputs that its first results are."""

    model: ov.Model
    feeds: tuple[flat.Feed, ...]
    outputs: tuple[Output, ...]
    biased: bool = False
    """Whether scores have biases, so that long batches are better computed in strips."""
    widest: int = 1
    """Features of the widest states that are pooled: the vocabulary's, behind a language model's head."""
    weights: tuple[Tensor, ...] = ()
    """What its constants are views of."""


def build_graph(program: Program, ops: FlatOps | None = None) -> Graph:
    """The graph of a program; what else it computes on the way to its outputs may be results behind them."""
    ops = FlatOps() if ops is None else ops
    tokens = [-1]
    inputs = Inputs(
        ids=ops.input(flat.ids, tokens, np.int32),
        positions=ops.input(flat.positions, tokens, np.int32),
        types=ops.input(flat.types, tokens, np.int32),
        adapters=ops.input(flat.adapters, tokens, np.int32),
    )
    states = program.states(ops, inputs)
    ops.encoding = False
    outputs = program.answers(ops, states)
    used = {feed: node for feed, node in ops.inputs.items() if _is_used(node)}
    tails = [pooled for pooled in ops.pooled if not any(pooled is node for node in outputs.values())]
    model = ov.Model([*outputs.values(), *tails, *ops.exposed()], list(used.values()), "textmill")
    widest = max((axis_of(pooled, 1) for pooled in ops.pooled), default=1)
    return Graph(model, tuple(used), tuple(outputs), ops.biased, widest, ops.weights)


class FlatOps:
    """The verbs over graph nodes: token tensors are (T, …), T the tokens of all rows end to end.

    Asked for bfloat16, OpenVINO keeps float32 in what lies between an output and the nearest products of matrices above it.
    So pooling is written without such a product, and each pooled vector is an output: this reaches up through every residual
    sum and norm to the embeddings, and only the layers' own products are bfloat16. It costs 2 to 4 % of the speed and
    takes the least cosine to float32 from 0.99987 to 0.99995 (all-MiniLM-L6-v2; ADR 0004).

    With ``in_strips`` the graph is for long batches: see `strips`. With ``packed_once`` no activation is fused into a linear
    layer with a bias: in float32, such a layer goes to a kernel that lays its weights out anew for each class of sizes, three
    copies in all, and any other one to a kernel that packs them once and is as fast (ADR 0002).
    """

    def __init__(self, *, in_strips: bool = False, packed_once: bool = False) -> None:
        self._inputs = GraphInputs()
        self._packed_once = packed_once
        self._attention = Attention(self._inputs, in_strips=in_strips)
        self.pooled: list[Node] = []
        self.encoding = True
        """Whether the encoder is being written, not the heads."""
        self._rotations: dict[Rotation, tuple[Node, Node]] = {}
        self._weights: dict[str, Tensor] = {}
        self._sums: dict[str, tuple[Node, Node]] = {}

    def exposed(self) -> list[Node]:
        """What else is to be seen of the graph, as its last results."""
        return []

    @property
    def inputs(self) -> dict[flat.Feed, Node]:
        """The graph inputs that were asked for."""
        return self._inputs.nodes

    @property
    def biased(self) -> bool:
        """Whether any attention adds a bias to its scores."""
        return self._attention.biased

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """The tensors that were asked for."""
        return tuple(self._weights.values())

    def input(self, feed: flat.Feed, shape: list[int], dtype: npt.DTypeLike) -> Node:
        """The graph input that ``feed`` fills; made at first use."""
        return self._inputs.of(feed, shape, dtype)

    def weight(self, tensor: Tensor) -> Node:
        """A constant over the checkpoint's own memory; half precisions are widened where they are used."""
        if tensor.dtype == "float32":
            node = op.constant(tensor.data, shared_memory=True)
        else:
            kind = ov.Type.bf16 if tensor.dtype == "bfloat16" else ov.Type.f16
            shared = ov.Tensor(tensor.data, ov.Shape(tensor.shape), kind)
            node = op.convert(op.constant(shared, shared_memory=True), "f32")
        self._weights[node.get_friendly_name()] = tensor
        return node

    def embedding(self, table: Node, index: Node) -> Node:
        """Rows of a table."""
        return op.gather(table, index, ints(0))

    def add(self, x: Node, y: Node) -> Node:
        """Elementwise sum."""
        return op.add(x, y)

    def multiply(self, x: Node, y: Node) -> Node:
        """Elementwise product."""
        return op.multiply(x, y)

    def activation(self, x: Node, name: Activation) -> Node:
        """A non-linear function."""
        if self._packed_once and x.get_friendly_name() in self._sums:
            product, bias = self._sums[x.get_friendly_name()]
            # One more axis before the bias keeps OpenVINO from fusing either.
            return op.squeeze(self._function(op.add(op.unsqueeze(product, ints(1)), bias), name), ints(1))
        return self._function(x, name)

    def _function(self, x: Node, name: Activation) -> Node:
        functions = {
            "gelu": lambda: op.gelu(x, "erf"),
            "gelu_tanh": lambda: op.gelu(x, "tanh"),
            "relu": lambda: op.relu(x),
            "silu": lambda: op.swish(x),
            "tanh": lambda: op.tanh(x),
            "sigmoid": lambda: op.sigmoid(x),
            "log1p_relu": lambda: op.log(op.add(op.relu(x), np.float32(1))),
        }
        return functions[name]()

    def linear(self, x: Node, weight: Node, bias: Node | None) -> Node:
        """A linear layer."""
        y = op.matmul(x, weight, False, True)  # noqa: FBT003 - OpenVINO's transpose_a, transpose_b
        if bias is None:
            return y
        total = op.add(y, bias)
        self._sums[total.get_friendly_name()] = y, bias
        return total

    def layer_norm(self, x: Node, weight: Node, bias: Node | None, eps: float) -> Node:
        """Layer norm; OpenVINO calls its core mean-variance normalisation."""
        y = op.multiply(op.mvn(x, ints(-1), normalize_variance=True, eps=eps, eps_mode="inside_sqrt"), weight)
        return y if bias is None else op.add(y, bias)

    def rms_norm(self, x: Node, weight: Node, eps: float) -> Node:
        """Root-mean-square norm, in the form that OpenVINO fuses into one kernel."""
        mean = op.reduce_mean(op.power(x, np.float32(2)), ints(-1), keep_dims=True)
        scale = op.divide(np.float32(1), op.sqrt(op.add(mean, np.float32(eps))))
        return op.multiply(op.multiply(x, scale), weight)

    def normalize(self, x: Node) -> Node:
        """Unit length over the last axis."""
        return op.normalize_l2(x, ints(-1), 1e-12, "max")

    def split_heads(self, x: Node, heads: int) -> Node:
        """(T, heads * width) to (T, heads, width)."""
        return op.reshape(x, ints(0, heads, -1), special_zero=True)

    def merge_heads(self, x: Node) -> Node:
        """(T, heads, width) to (T, heads * width)."""
        return op.reshape(x, ints(0, -1), special_zero=True)

    def rope(self, x: Node, positions: Node, rotation: Rotation) -> Node:
        """Rotate by position; cosines and sines come from outside, since angles lose too much in bfloat16."""
        del positions
        width, turned = axis_of(x, 2), 2 * len(rotation.frequencies)
        if rotation not in self._rotations:
            self._rotations[rotation] = (
                self.input(flat.rotation(rotation, np.cos), [-1, 1, turned], np.float32),
                self.input(flat.rotation(rotation, np.sin), [-1, 1, turned], np.float32),
            )
        cosine, sine = self._rotations[rotation]
        rest = None
        if width != turned:
            x, rest = op.variadic_split(x, ints(-1, scalar=True), ints(turned, width - turned)).outputs()
        first, second = op.split(x, ints(-1, scalar=True), 2).outputs()
        across = op.concat([op.negative(second), first], -1)
        rotated = op.add(op.multiply(x, cosine), op.multiply(across, sine))
        return rotated if rest is None else op.concat([rotated, rest], -1)

    def attention(
        self,
        query: Node,
        key: Node,
        value: Node,
        *,
        causal: bool,
        scale: float,
        window: int | None = None,
        bias: Table[Node] | Slopes | None = None,
        relative: Relative[Node] | None = None,
    ) -> Node:
        """Attention of each row over itself."""
        sight = Window(window, causal)
        if self._packed_once and relative is None:
            # A number would be fused into the layers before, a vector is not.
            query, scale = op.multiply(query, np.full((1, 1, axis_of(query, 2)), scale, np.float32)), 1.0
        return self._attention.attend(query, key, value, sight=sight, scale=scale, bias=bias, relative=relative)

    def experts(
        self,
        x: Node,
        router: Node,
        first: Node,
        second: Node,
        bias: Node | None,
        *,
        top: int,
        activation: Activation,
    ) -> Node:
        """Each expert on the tokens that chose it, which costs a half to a third of all experts on all tokens."""
        shares = op.softmax(self.linear(x, router, None), -1)
        least = op.reduce_min(
            op.topk(shares, ints(top, scalar=True), -1, "max", "value").output(0), ints(-1), keep_dims=True
        )
        chosen = op.select(op.greater_equal(shares, least), shares, op.constant(np.float32(0)))
        y = op.multiply(x, op.constant(np.float32(0)))
        pairs = zip(self._slices(first), self._slices(second), strict=True)
        for expert, (into, back) in enumerate(pairs):
            share = op.gather(chosen, ints(expert), ints(1))
            tokens = op.squeeze(op.non_zero(op.squeeze(share, ints(1)), "i32"), ints(0))
            made = self.activation(self.linear(op.gather(x, tokens, ints(0)), into, None), activation)
            made = op.matmul(made, back, False, False)  # noqa: FBT003 - no transposing
            made = op.multiply(made, op.gather(share, tokens, ints(0)))
            y = op.scatter_update(y, tokens, op.add(op.gather(y, tokens, ints(0)), made), ints(0, scalar=True))
        return y if bias is None else op.add(y, bias)

    def convolve(self, x: Node, weight: Node, bias: Node) -> Node:
        """A product over each token's neighbours side by side; a row of zeros stands in where there is none."""
        out, features, width = (axis_of(weight, axis) for axis in range(3))
        zeros = op.constant(np.zeros((1, features), np.float32))
        around = self.input(
            self._inputs.feed(("neighbours", width), lambda: flat.neighbours(width)), [-1, width], np.int32
        )
        near = op.gather(op.concat([x, zeros], 0), around, ints(0))
        kernel = op.reshape(op.transpose(weight, ints(0, 2, 1)), ints(out, width * features), special_zero=False)
        return self.linear(op.reshape(near, ints(-1, width * features), special_zero=False), kernel, bias)

    def pool(self, x: Node, how: Pool) -> Node:
        """(T, features) to (B, features)."""
        if how in _PICKED:
            pooled = op.gather(x, self.input(_PICKED[how], [-1], np.int32), ints(0))
        elif how == "max":
            mask = self.input(flat.pooling_mask, [-1, -1, 1], np.float32)
            pooled = op.reduce_max(op.add(self._padded(x), mask), ints(1), keep_dims=False)
        else:
            weights = self.input(_WEIGHTED[how], [-1, -1, 1], np.float32)
            pooled = op.reduce_sum(op.multiply(self._padded(x), weights), ints(1), keep_dims=False)
        self.pooled.append(pooled)
        return pooled

    def concatenate(self, parts: Sequence[Node]) -> Node:
        """Join along the last axis."""
        return op.concat(list(parts), -1)

    def _slices(self, weight: Node) -> list[Node]:
        """The parts of a weight along its first axis, each over the checkpoint's memory: a graph's own slices would copy."""
        tensor = self._weights[weight.get_friendly_name()]
        return [self.weight(replace(tensor, data=part)) for part in tensor.data]

    def _padded(self, x: Node) -> Node:
        """(T, …) to (B, L, …)."""
        return op.gather(x, self.input(flat.gather, [-1, -1], np.int32), ints(0))


def _is_used(node: Node) -> bool:
    return any(output.get_target_inputs() for output in node.outputs())
