"""The inputs of an OpenVINO graph, each made when something first asks for it, and small words for nodes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from openvino import Node  # noqa: TID253 - this file and its neighbours own the framework
from openvino import opset15 as op  # noqa: TID253

from textmill.runtimes import flat


class GraphInputs:
    """Feeds and the graph inputs that they fill."""

    def __init__(self) -> None:
        self.nodes: dict[flat.Feed, Node] = {}
        self._feeds: dict[object, flat.Feed] = {}

    def of(self, feed: flat.Feed, shape: list[int], dtype: npt.DTypeLike) -> Node:
        """The input that ``feed`` fills; made at first use."""
        if feed not in self.nodes:
            self.nodes[feed] = op.parameter(shape, dtype)
        return self.nodes[feed]

    def feed(self, key: object, make: Callable[[], flat.Feed]) -> flat.Feed:
        """The feed of that key, made once: feeds are told apart by identity."""
        if key not in self._feeds:
            self._feeds[key] = make()
        return self._feeds[key]


def ints(*values: int, scalar: bool = False) -> Node:
    """A constant of int32."""
    return op.constant(np.int32(values[0]) if scalar else np.array(values, dtype=np.int32))


def axis_of(x: Node, axis: int) -> int:
    """The length of an axis that is fixed."""
    length: int = x.get_output_partial_shape(0)[axis].get_length()
    return length


def heads_of(x: Node, gather: Node, heads: int) -> Node:
    """(T, own heads, width) to (N, heads, slots, width), each own head repeated for the query heads that it serves."""
    own = axis_of(x, 1)
    if own != heads:
        x = op.gather(x, ints(*np.repeat(np.arange(own), heads // own)), ints(1))
    return op.transpose(op.gather(x, gather, ints(0)), ints(0, 2, 1, 3))
