"""Attention over an OpenVINO graph's flat token states: gathered into a padded view, scattered back."""

from __future__ import annotations

import numpy as np
from openvino import Node  # noqa: TID253 - this file and its neighbours own the framework
from openvino import opset15 as op  # noqa: TID253

from textmill.arch.positions import Relative, Slopes, Table
from textmill.runtimes import flat, strips
from textmill.runtimes.blocks import BEFORE, EVERYTHING, Window
from textmill.runtimes.openvino_inputs import GraphInputs, axis_of, heads_of, ints
from textmill.runtimes.openvino_strips import Strips


class Attention:
    """The attention of all layers; what depends on positions alone is computed once for those that share it.

    With ``in_strips`` it is for long batches, and biases are computed strip by strip; ``biased`` says whether there are any.
    """

    def __init__(self, inputs: GraphInputs, *, in_strips: bool) -> None:
        self.biased = False
        self._inputs = inputs
        self._strips = in_strips
        self._biases: dict[object, Node] = {}

    def attend(
        self,
        query: Node,
        key: Node,
        value: Node,
        *,
        sight: Window,
        scale: float,
        bias: Table[Node] | Slopes | None,
        relative: Relative[Node] | None,
    ) -> Node:
        """Attention over a padded view; rows are padded on the right, so a causal mask alone hides padding."""
        factor = op.constant(np.float32(scale))
        if bias is None and relative is None and sight.reach is not None:
            return self._near(query, key, value, sight, factor)
        if bias is not None and relative is None:
            self.biased = True
            if self._strips:
                return self._in_strips(query, key, value, sight=sight, factor=factor, bias=bias)
        gather = self._inputs.of(flat.gather, [-1, -1], np.int32)
        heads = axis_of(query, 1)
        q, k, v = (heads_of(x, gather, heads) for x in (query, key, value))
        if sight == BEFORE and bias is None and relative is None:
            states = op.scaled_dot_product_attention(q, k, v, op.constant(np.float32(0)), factor, causal=True)
        else:
            mask = self._mask(sight)
            if bias is not None:
                mask = op.add(mask, self._bias(bias))
            if relative is not None:
                mask = op.add(mask, op.multiply(self._relative(q, k, relative), factor))
            states = _attended(q, k, v, mask, factor)
        place = ("scatter", heads)
        scatter = self._inputs.feed(place, lambda: flat.by_head(flat.scatter, heads, lambda batch: batch.shape.length))
        return _tokens(states, self._inputs.of(scatter, [-1, heads], np.int32))

    def _near(self, query: Node, key: Node, value: Node, sight: Window, factor: Node) -> Node:
        """Attention within a window: long rows are cut into blocks, which share nothing but the keys at their edges."""
        queries = self._inputs.of(self._inputs.feed((sight, "queries"), sight.queries), [-1, -1], np.int32)
        keys = self._inputs.of(self._inputs.feed((sight, "keys"), sight.keys), [-1, -1], np.int32)
        mask = self._inputs.of(self._inputs.feed((sight, "mask"), sight.mask), [-1, 1, -1, -1], np.float32)
        heads = axis_of(query, 1)
        slots = self._inputs.feed((sight, "scatter"), lambda: flat.by_head(sight.scatter(), heads, sight.slots))
        scatter = self._inputs.of(slots, [-1, heads], np.int32)
        q, k, v = heads_of(query, queries, heads), heads_of(key, keys, heads), heads_of(value, keys, heads)
        return _tokens(_attended(q, k, v, mask, factor), scatter)

    def _in_strips(
        self, query: Node, key: Node, value: Node, *, sight: Window, factor: Node, bias: Table[Node] | Slopes
    ) -> Node:
        """Attention with a bias that is never whole."""
        made = self._inputs
        gather, heads = made.of(flat.gather, [-1, -1], np.int32), axis_of(query, 1)
        q, k, v = (heads_of(x, gather, heads) for x in (query, key, value))
        strip = Strips(
            made.of(flat.mask, [-1, 1, 1, -1], np.float32),
            made.of(strips.queries, [-1, -1], np.int32),
            made.of(strips.keys, [-1], np.int32),
            self._span(sight, bias),
        )
        return op.gather(strip.attend(q, k, v, factor), made.of(strips.scatter, [-1], np.int32), ints(0))

    def _span(self, sight: Window, bias: Table[Node] | Slopes) -> Node:
        """(heads, 2 L - 1): what is added to scores at each distance, once for all layers that share it."""
        key = ("span", bias, sight)
        if key not in self._biases:
            made = self._inputs
            if isinstance(bias, Slopes):
                slopes = op.constant(bias.slopes.astype(np.float32)[:, None])
                span = op.multiply(made.of(strips.distances, [1, -1], np.float32), slopes)
            else:
                index = made.feed(("span", bias), lambda: flat.bucket_span(bias.index, descending=False))
                span = op.transpose(op.gather(bias.entries, made.of(index, [-1], np.int32), ints(0)), ints(1, 0))
            if sight != EVERYTHING:
                feed = made.feed(("hidden", sight), lambda: strips.hidden(sight.reach, causal=sight.causal))
                span = op.add(span, made.of(feed, [1, -1], np.float32))
            self._biases[key] = span
        return self._biases[key]

    def _mask(self, sight: Window) -> Node:
        """What is added to scores to hide keys: (B, 1, 1 or L, L)."""
        if sight == EVERYTHING:
            return self._inputs.of(flat.mask, [-1, 1, 1, -1], np.float32)
        feed = self._inputs.feed(("band", sight), lambda: flat.band(sight.reach, causal=sight.causal))
        return self._inputs.of(feed, [-1, 1, -1, -1], np.float32)

    def _bias(self, bias: Table[Node] | Slopes) -> Node:
        """(1, heads, L, L), once for all layers that share it."""
        if bias not in self._biases:
            if isinstance(bias, Slopes):
                slopes = op.constant(bias.slopes.astype(np.float32)[None, :, None, None])
                penalty = self._inputs.of(flat.distance_penalty, [1, -1, -1], np.float32)
                self._biases[bias] = op.multiply(op.unsqueeze(penalty, ints(1)), slopes)
            else:
                index = self._inputs.of(flat.buckets(bias.index), [-1, -1], np.int32)
                table = op.gather(bias.entries, index, ints(0))
                self._biases[bias] = op.unsqueeze(op.transpose(table, ints(2, 0, 1)), ints(0))
        return self._biases[bias]

    def _relative(self, q: Node, k: Node, relative: Relative[Node]) -> Node:
        """(B, heads, L, L): each query and each key times the vector of their distance."""
        terms = []
        if relative.keys is not None:
            terms.append(self._skewed(q, relative.keys, relative, descending=True))
        if relative.queries is not None:
            by_key = self._skewed(k, relative.queries, relative, descending=False)
            terms.append(op.transpose(by_key, ints(0, 1, 3, 2)))
        return terms[0] if len(terms) == 1 else op.add(*terms)

    def _skewed(self, x: Node, entries: Node, relative: Relative[Node], *, descending: bool) -> Node:
        """(B, heads, L, width) times the vectors of all distances, each row then moved to its own distance 0."""
        key = ("span", relative.index, descending)
        span = self._inputs.feed(key, lambda: flat.bucket_span(relative.index, descending=descending))
        spread = op.transpose(op.gather(entries, self._inputs.of(span, [-1], np.int32), ints(0)), ints(1, 0, 2))
        scores = op.matmul(x, op.unsqueeze(spread, ints(0)), False, True)  # noqa: FBT003 - transpose_a, transpose_b
        heads = axis_of(x, 1)
        every = op.reshape(scores, ints(0, heads, -1), special_zero=True)
        picked = op.gather(every, self._inputs.of(flat.skew, [-1], np.int32), ints(2))
        return self._square(picked, x)

    def _square(self, picked: Node, like: Node) -> Node:
        """(B, heads, L * L) to (B, heads, L, L)."""
        shape = op.shape_of(like, "i32")
        lead, length = op.gather(shape, ints(0, 1, 2), ints(0)), op.gather(shape, ints(2), ints(0))
        return op.reshape(picked, op.concat([lead, length], 0), special_zero=False)


def _attended(q: Node, k: Node, v: Node, mask: Node, factor: Node) -> Node:
    """(N, heads, slots, width): attention written out, as OpenVINO takes it for one kernel.

    Its own word for it transposes the keys first, in memory, and scales queries and keys in the layers before them.
    """
    scores = op.add(op.multiply(op.matmul(q, k, False, True), factor), mask)  # noqa: FBT003 - transpose_a, transpose_b
    return op.matmul(op.softmax(scores, -1), v, False, False)  # noqa: FBT003 - as above


def _tokens(states: Node, scatter: Node) -> Node:
    """(N, heads, slots, width) back to (T, heads, width), in one move, by where each token's heads lie."""
    rows = op.reshape(states, ints(-1, axis_of(states, 3)), special_zero=False)
    return op.gather(rows, scatter, ints(0))
