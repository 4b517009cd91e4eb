"""A program as an OpenVINO graph: the tensor vocabulary over graph nodes, with token states kept flat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    return Graph(model, tuple(used), tuple(outputs))


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
        self.encoding = True
        """Whether the encoder is being written, not the heads."""
        self._rotations: dict[Rotation, tuple[Node, Node]] = {}
        self._biases: dict[object, Node] = {}
        self._feeds: dict[object, flat.Feed] = {}
        self._weights: dict[str, Tensor] = {}

    def exposed(self) -> list[Node]:
        """What else is to be seen of the graph, as its last results."""
        return []

    def input(self, feed: flat.Feed, shape: list[int], dtype: npt.DTypeLike) -> Node:
        """The graph input that ``feed`` fills; made at first use."""
        if feed not in self.inputs:
            self.inputs[feed] = op.parameter(shape, dtype)
        return self.inputs[feed]

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
            "log1p_relu": lambda: op.log(op.add(op.relu(x), np.float32(1))),
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

    def rope(self, x: Node, positions: Node, rotation: Rotation) -> Node:
        """Rotate by position; cosines and sines come from outside, since angles lose too much in bfloat16."""
        del positions
        width, turned = _axis(x, 2), 2 * len(rotation.frequencies)
        if rotation not in self._rotations:
            self._rotations[rotation] = (
                self.input(flat.rotation(rotation, np.cos), [-1, 1, turned], np.float32),
                self.input(flat.rotation(rotation, np.sin), [-1, 1, turned], np.float32),
            )
        cosine, sine = self._rotations[rotation]
        rest = None
        if width != turned:
            x, rest = op.variadic_split(x, _ints(-1, scalar=True), _ints(turned, width - turned)).outputs()
        first, second = op.split(x, _ints(-1, scalar=True), 2).outputs()
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
        """Attention over a padded view; rows are padded on the right, so a causal mask alone hides padding."""
        heads, width = _axis(query, 1), _axis(value, 2)
        q, k, v = (self._padded_heads(x, heads) for x in (query, key, value))
        factor = op.constant(np.float32(scale))
        if causal and window is None and bias is None and relative is None:
            states = op.scaled_dot_product_attention(q, k, v, op.constant(np.float32(0)), factor, causal=True)
        else:
            mask = self._mask(window, causal=causal)
            if bias is not None:
                mask = op.add(mask, self._bias(bias))
            if relative is not None:
                mask = op.add(mask, op.multiply(self._relative(q, k, relative), factor))
            states = op.scaled_dot_product_attention(q, k, v, mask, factor)
        rows = op.reshape(op.transpose(states, _ints(0, 2, 1, 3)), _ints(-1, heads, width), special_zero=False)
        return op.gather(rows, self.input(flat.scatter, [-1], np.int32), _ints(0))

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
            op.topk(shares, _ints(top, scalar=True), -1, "max", "value").output(0), _ints(-1), keep_dims=True
        )
        chosen = op.select(op.greater_equal(shares, least), shares, op.constant(np.float32(0)))
        y = op.multiply(x, op.constant(np.float32(0)))
        pairs = zip(self._slices(first), self._slices(second), strict=True)
        for expert, (into, back) in enumerate(pairs):
            share = op.gather(chosen, _ints(expert), _ints(1))
            tokens = op.squeeze(op.non_zero(op.squeeze(share, _ints(1)), "i32"), _ints(0))
            made = self.activation(self.linear(op.gather(x, tokens, _ints(0)), into, None), activation)
            made = op.matmul(made, back, False, False)  # noqa: FBT003 - no transposing
            made = op.multiply(made, op.gather(share, tokens, _ints(0)))
            y = op.scatter_update(y, tokens, op.add(op.gather(y, tokens, _ints(0)), made), _ints(0, scalar=True))
        return y if bias is None else op.add(y, bias)

    def convolve(self, x: Node, weight: Node, bias: Node) -> Node:
        """A product over each token's neighbours side by side; a row of zeros stands in where there is none."""
        out, features, width = (_axis(weight, axis) for axis in range(3))
        zeros = op.constant(np.zeros((1, features), np.float32))
        around = self.input(self._feed(("neighbours", width), lambda: flat.neighbours(width)), [-1, width], np.int32)
        near = op.gather(op.concat([x, zeros], 0), around, _ints(0))
        kernel = op.reshape(op.transpose(weight, _ints(0, 2, 1)), _ints(out, width * features), special_zero=False)
        return self.linear(op.reshape(near, _ints(-1, width * features), special_zero=False), kernel, bias)

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

    def _slices(self, weight: Node) -> list[Node]:
        """The parts of a weight along its first axis, each over the checkpoint's memory: a graph's own slices would copy."""
        tensor = self._weights[weight.get_friendly_name()]
        return [self.weight(replace(tensor, data=part)) for part in tensor.data]

    def _feed(self, key: object, make: Callable[[], flat.Feed]) -> flat.Feed:
        """The feed of that key, made once: feeds are told apart by identity."""
        if key not in self._feeds:
            self._feeds[key] = make()
        return self._feeds[key]

    def _mask(self, window: int | None, *, causal: bool) -> Node:
        """What is added to scores to hide keys: (B, 1, 1 or L, L)."""
        if window is None and not causal:
            return self.input(flat.mask, [-1, 1, 1, -1], np.float32)
        feed = self._feed(("band", window, causal), lambda: flat.band(window, causal=causal))
        return self.input(feed, [-1, 1, -1, -1], np.float32)

    def _bias(self, bias: Table[Node] | Slopes) -> Node:
        """(1, heads, L, L), once for all layers that share it."""
        if bias not in self._biases:
            if isinstance(bias, Slopes):
                slopes = op.constant(bias.slopes.astype(np.float32)[None, :, None, None])
                penalty = self.input(flat.distance_penalty, [1, -1, -1], np.float32)
                self._biases[bias] = op.multiply(op.unsqueeze(penalty, _ints(1)), slopes)
            else:
                index = self.input(flat.buckets(bias.index), [-1, -1], np.int32)
                table = op.gather(bias.entries, index, _ints(0))
                self._biases[bias] = op.unsqueeze(op.transpose(table, _ints(2, 0, 1)), _ints(0))
        return self._biases[bias]

    def _relative(self, q: Node, k: Node, relative: Relative[Node]) -> Node:
        """(B, heads, L, L): each query and each key times the vector of their distance."""
        terms = []
        if relative.keys is not None:
            terms.append(self._skewed(q, relative.keys, relative, descending=True))
        if relative.queries is not None:
            by_key = self._skewed(k, relative.queries, relative, descending=False)
            terms.append(op.transpose(by_key, _ints(0, 1, 3, 2)))
        return terms[0] if len(terms) == 1 else op.add(*terms)

    def _skewed(self, x: Node, entries: Node, relative: Relative[Node], *, descending: bool) -> Node:
        """(B, heads, L, width) times the vectors of all distances, each row then moved to its own distance 0."""
        key = ("span", relative.index, descending)
        span = self._feed(key, lambda: flat.bucket_span(relative.index, descending=descending))
        spread = op.transpose(op.gather(entries, self.input(span, [-1], np.int32), _ints(0)), _ints(1, 0, 2))
        scores = op.matmul(x, op.unsqueeze(spread, _ints(0)), False, True)  # noqa: FBT003 - transpose_a, transpose_b
        heads = _axis(x, 1)
        every = op.reshape(scores, _ints(0, heads, -1), special_zero=True)
        picked = op.gather(every, self.input(flat.skew, [-1], np.int32), _ints(2))
        return self._square(picked, x)

    def _square(self, picked: Node, like: Node) -> Node:
        """(B, heads, L * L) to (B, heads, L, L)."""
        shape = op.shape_of(like, "i32")
        lead, length = op.gather(shape, _ints(0, 1, 2), _ints(0)), op.gather(shape, _ints(2), _ints(0))
        return op.reshape(picked, op.concat([lead, length], 0), special_zero=False)

    def _padded(self, x: Node) -> Node:
        """(T, …) to (B, L, …)."""
        return op.gather(x, self.input(flat.gather, [-1, -1], np.int32), _ints(0))

    def _padded_heads(self, x: Node, heads: int) -> Node:
        """(T, own heads, width) to (B, heads, L, width), each own head repeated for the query heads that it serves."""
        own = _axis(x, 1)
        if own != heads:
            x = op.gather(x, _ints(*np.repeat(np.arange(own), heads // own)), _ints(1))
        return op.transpose(self._padded(x), _ints(0, 2, 1, 3))


def _ints(*values: int, scalar: bool = False) -> Node:
    return op.constant(np.int32(values[0]) if scalar else np.array(values, dtype=np.int32))


def _axis(x: Node, axis: int) -> int:
    length: int = x.get_output_partial_shape(0)[axis].get_length()
    return length


def _is_used(node: Node) -> bool:
    return any(output.get_target_inputs() for output in node.outputs())
