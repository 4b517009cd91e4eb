"""int8 on OpenVINO: the program's linear layers by a plan, and the plan from what a float32 graph shows of sample rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov  # noqa: TID253 - this file and its neighbours own the framework
from openvino import Node  # noqa: TID253
from openvino import opset15 as op  # noqa: TID253

from textmill.arch.heads import Output
from textmill.arch.ops import Activation
from textmill.arch.program import Program
from textmill.runtimes.flat import Packer, Shape
from textmill.runtimes.openvino_graph import FlatOps, build_graph
from textmill.runtimes.quantization import Draft, Group, Linear, Plan, Quantized, Ranges, plan_of
from textmill.runtimes.runtime import SPARSE, Answers, Calibration, Row

_log = logging.getLogger(__name__)

_TOKENS = 512
Floats = npt.NDArray[np.float32]


class ObservingOps(FlatOps):
    """The verbs, with the inputs of the encoder's linear layers as further results of the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Node, Linear]] = []
        self._made: dict[str, str] = {}
        self._after: dict[str, str] = {}

    def linear(self, x: Node, weight: Node, bias: Node | None) -> Node:
        """A linear layer whose input is seen."""
        y = super().linear(x, weight, bias)
        tensor = self._weights.get(weight.get_friendly_name())
        if self.encoding and tensor is not None:
            offset = None if bias is None else self._weights[bias.get_friendly_name()].widened()
            layer = Linear(layer_name(len(self.seen), tensor.name), tensor.widened(), offset)
            self.seen.append((x, layer))
            self._made[_name(y)] = layer.name
        return y

    def activation(self, x: Node, name: Activation) -> Node:
        """A non-linear function; which layer it follows is remembered."""
        y = super().activation(x, name)
        if _name(x) in self._made:
            self._after[_name(y)] = self._made[_name(x)]
        return y

    def exposed(self) -> list[Node]:
        """The layers' inputs, each once."""
        return list({_name(x): x for x, _ in self.seen}.values())

    def groups(self) -> list[Group]:
        """The layers by their input, in the order of `exposed`."""
        shared: dict[str, tuple[Node, list[Linear]]] = {}
        for x, layer in self.seen:
            shared.setdefault(_name(x), (x, []))[1].append(layer)
        return [Group(tuple(layers), self._producer(x, len(layers))) for x, layers in shared.values()]

    def _producer(self, x: Node, readers: int) -> str | None:
        """The layer whose activation the input is, if nothing else reads that: its outputs may be repeated then."""
        source = x if isinstance(x, ov.Output) else x.output(0)
        alone = len([port for port in source.get_target_inputs() if port.get_node().get_type_name() != "Result"])
        return self._after.get(_name(x)) if alone == readers else None


class Int8Ops(FlatOps):
    """The verbs, with linear layers in int8 where the plan has them."""

    def __init__(self, plan: Plan, *, in_strips: bool = False) -> None:
        super().__init__(in_strips=in_strips)
        self._plan = plan
        self._calls = 0
        self._layer_inputs: dict[tuple[str, str], Node] = {}

    def linear(self, x: Node, weight: Node, bias: Node | None) -> Node:
        """A linear layer: by the plan, or in the precision of the rest."""
        tensor = self._weights.get(weight.get_friendly_name())
        if not self.encoding or tensor is None:
            return super().linear(x, weight, bias)
        name = layer_name(self._calls, tensor.name)
        self._calls += 1
        layer, repeat = self._plan.layers.get(name), self._plan.repeats.get(name)
        if layer is None:
            return super().linear(x, weight, bias) if repeat is None else self._repeated(x, weight, bias, repeat)
        return self._quantized(x, layer, slice(None) if repeat is None else repeat)

    def _quantized(self, x: Node, layer: Quantized, rows: slice | npt.NDArray[np.int64]) -> Node:
        """The form that the CPU plugin turns into an int8 product: levels, bytes times their scales, a bias."""
        key = (_name(x), layer.group)
        if key not in self._layer_inputs:
            ends = (layer.low[None], layer.high[None], np.zeros((1, 1), np.float32), np.full((1, 1), layer.reach))
            low, high, least, most = (op.constant(np.asarray(end, np.float32)) for end in ends)
            self._layer_inputs[key] = op.fake_quantize(x, low, high, least, most, 256)
        bytes_ = op.convert(op.constant(np.ascontiguousarray(layer.weight[rows])), "f32")
        weight = op.multiply(bytes_, op.constant(layer.scales[rows][:, None]))
        y = op.matmul(self._layer_inputs[key], weight, False, True)  # noqa: FBT003 - OpenVINO's transpose_a, transpose_b
        return op.add(y, op.constant(layer.bias[rows][None]))

    def _repeated(self, x: Node, weight: Node, bias: Node | None, rows: npt.NDArray[np.int64]) -> Node:
        wide = op.constant(np.ascontiguousarray(self._weights[weight.get_friendly_name()].widened()[rows]))
        y = op.matmul(x, wide, False, True)  # noqa: FBT003 - as above
        if bias is None:
            return y
        return op.add(y, op.constant(self._weights[bias.get_friendly_name()].widened()[rows]))


def layer_name(call: int, tensor: str) -> str:
    """A layer by the order of calls, since layers may share a tensor."""
    return f"{call} {tensor}"


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """A float32 graph whose layers' inputs can be seen."""

    groups: Sequence[Group]
    run: Callable[[Sequence[Row]], tuple[Floats, list[Floats]]]
    """The first output and the inputs of all groups, (tokens, channels) each, for a batch of rows."""


def observe(program: Program, device: str, threads: int | None) -> Observed:
    """Compile the program in float32 with its layers' inputs in sight."""
    ops = ObservingOps()
    graph = build_graph(program, ops)
    groups = ops.groups()
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = threads
    request = ov.Core().compile_model(graph.model, device, options).create_infer_request()
    packer = Packer(graph.feeds)

    def run(rows: Sequence[Row]) -> tuple[Floats, list[Floats]]:
        results = list(request.infer(packer.pack(rows, _exact(rows)), share_inputs=True, share_outputs=True).values())
        return results[0].copy(), [results[index] for index in range(len(results) - len(groups), len(results))]

    return Observed(groups, run)


def quantize(observed: Observed, calibration: Calibration) -> Plan:
    """The plan by the calibration's rows: ranges from all of them, means and errors from the typical ones."""
    ranges: list[Ranges] = []
    for typical, rows in ((True, calibration.texts), (False, calibration.strange)):
        for batch in batches(rows):
            _, inputs = observed.run(batch)
            ranges = ranges or [Ranges.none(x.shape[1]) for x in inputs]
            for range_, x in zip(ranges, inputs, strict=True):
                range_.see(x, typical=typical)
    drafts = [Draft(group, range_) for group, range_ in zip(observed.groups, ranges, strict=True)]
    for batch in batches(calibration.texts):
        _, inputs = observed.run(batch)
        for draft, x in zip(drafts, inputs, strict=True):
            draft.see(x)
    plan = plan_of(drafts)
    layers = sum(len(group.layers) for group in observed.groups)
    _log.info("int8: %d of %d linear layers bear it", len(plan.layers), layers)
    return plan


def batches(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """The rows in their order of length, a few hundred tokens at a time."""
    batch: list[Row] = []
    for row in sorted(rows, key=len):
        if batch and len(row) * (len(batch) + 1) > _TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def least_cosine(
    run: Callable[[Sequence[Row]], Answers], observed: Observed, output: Output, rows: Sequence[Row]
) -> float:
    """The smallest cosine between what two graphs answer to the same rows; of single scores, that of all rows' together."""
    pairs: list[tuple[Floats, Floats]] = []
    for batch in batches(rows):
        wanted = observed.run(batch)[0]
        made = run(batch)[output]
        flat = made if isinstance(made, np.ndarray) else _rows_of(made, wanted.shape[1])
        pairs.append((flat, wanted[: len(flat)]))
    if pairs[0][0].shape[1] == 1:  # a score's sign alone says nothing
        pairs = [(np.concatenate([made for made, _ in pairs]).T, np.concatenate([exact for _, exact in pairs]).T)]
    return min(_cosine(made, exact) for made, exact in pairs)


def _cosine(made: Floats, exact: Floats) -> float:
    lengths = np.linalg.norm(made, axis=1) * np.linalg.norm(exact, axis=1)
    cosines = np.einsum("nd,nd->n", made, exact) / np.maximum(lengths, 1e-12)
    both_zero = ~(made.any(axis=1) | exact.any(axis=1))  # as static embeddings answer to a text without tokens
    return float(np.where(both_zero, 1, cosines).min())


def _rows_of(parts: Sequence[npt.NDArray[Any]], width: int) -> Floats:
    """Outputs of tokens end to end, or sparse vectors in full."""
    if parts[0].dtype != SPARSE:
        return np.concatenate(parts)
    full = np.zeros((len(parts), width), np.float32)
    for row, part in zip(full, parts, strict=True):
        row[part["index"]] = part["value"]
    return full


def _name(x: Node) -> str:
    """A name for a value: that of its node, or of one of its node's outputs."""
    if isinstance(x, ov.Output):
        return f"{x.get_node().get_friendly_name()}.{x.get_index()}"
    name: str = x.get_friendly_name()
    return name


def _exact(rows: Sequence[Row]) -> Shape:
    lengths = [len(row) for row in rows]
    return Shape(sum(lengths), len(lengths), max(lengths))
