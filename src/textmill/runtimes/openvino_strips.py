"""The loops in which an OpenVINO graph computes biased attention of long batches: head by head, strip by strip.

Each layer's loops keep what they worked with, so that must be little: hence the heads, one at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import openvino as ov  # noqa: TID253 - this file and its neighbours own the framework
from openvino import Node  # noqa: TID253
from openvino import opset15 as op  # noqa: TID253

from textmill.runtimes.openvino_inputs import axis_of, ints


@dataclass(frozen=True, slots=True)
class Strips:
    """What a batch's strips are made with.

    ``mask`` (B, 1, 1, L) hides padding, ``queries`` (N, w) has the positions of each strip's queries, ``keys`` (L,) what makes
    a place in ``span`` of them, and ``span`` (heads, 2 L - 1) what each distance adds to each head's scores.
    """

    mask: Node
    queries: Node
    keys: Node
    span: Node

    def attend(self, q: Node, k: Node, v: Node, factor: Node) -> Node:
        """(N * w * B, heads, width), by position and then by row, of (B, heads, L, width)."""
        heads, width = axis_of(q, 1), axis_of(v, 3)
        outer = (q, k, v, self.span)
        inner = [op.parameter(_one(node, axis), np.float32) for node, axis in zip(outer, (1, 1, 1, 0), strict=True)]
        shared = (self.mask, self.queries, self.keys)
        passed = [_like(node) for node in shared]
        one_q, one_k, one_v, one_span = inner
        mask, queries, keys = passed
        one_head = Strips(mask, queries, keys, one_span).one_head(one_q, one_k, one_v, factor)
        loop, made = _loop(op.constant(np.int32(heads)), one_head, [*inner, *passed])
        for node, parameter, axis in zip(outer, inner, (1, 1, 1, 0), strict=True):
            loop.set_sliced_input(parameter, node.output(0), 0, 1, 1, -1, axis)
        for node, parameter in zip(shared, passed, strict=True):
            loop.set_invariant_input(parameter, node.output(0))
        states = loop.get_concatenated_slices(made.output(0), 0, 1, 1, -1, 3).get_node()
        return op.reshape(states, ints(-1, heads, width), special_zero=False)

    def one_head(self, q: Node, k: Node, v: Node, factor: Node) -> Node:
        """(N, w, B, 1, width) of (B, 1, L, width)."""
        outer = (q, k, v, self.mask, self.keys, self.span)
        inner = [_like(node) for node in outer]
        strip = op.parameter([1, -1], np.int32)
        count = op.gather(op.shape_of(self.queries, "i32"), ints(0, scalar=True), ints(0, scalar=True))
        loop, made = _loop(count, _strip(strip, inner, factor), [strip, *inner])
        loop.set_sliced_input(strip, self.queries.output(0), 0, 1, 1, -1, 0)
        for node, parameter in zip(outer, inner, strict=True):
            loop.set_invariant_input(parameter, node.output(0))
        return loop.get_concatenated_slices(made.output(0), 0, 1, 1, -1, 0).get_node()


def _strip(strip: Node, nodes: list[Node], factor: Node) -> Node:
    """(1, w, B, 1, width): one strip's queries against all keys."""
    q, k, v, mask, keys, span = nodes
    at = op.reshape(strip, ints(-1), special_zero=False)
    places = op.add(op.unsqueeze(at, ints(1)), op.unsqueeze(keys, ints(0)))
    bias = op.unsqueeze(op.gather(span, places, ints(1)), ints(0))
    states = op.scaled_dot_product_attention(op.gather(q, at, ints(2)), k, v, op.add(mask, bias), factor)
    return op.unsqueeze(op.transpose(states, ints(2, 0, 1, 3)), ints(0))


def _loop(count: Node, made: Node, inputs: list[Node]) -> tuple[Node, Node]:
    """A loop of ``count`` turns over a body that makes ``made``; and the body's result, to collect."""
    always = op.constant(np.array([True]))
    result = op.result(made)
    loop = op.loop(count, op.constant(np.array([True])))
    loop.set_function(ov.Model([op.result(always), result], inputs, "turn"))
    loop.set_special_body_ports([-1, 0])
    return loop, result


def _like(node: Node) -> Node:
    return op.parameter(node.get_output_partial_shape(0), node.get_output_element_type(0))


def _one(node: Node, axis: int) -> list[int]:
    """The node's shape with one entry along an axis."""
    shape = [int(size.get_length()) if size.is_static else -1 for size in node.get_output_partial_shape(0)]
    shape[axis] = 1
    return shape
