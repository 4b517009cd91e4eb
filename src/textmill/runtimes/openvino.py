"""The OpenVINO runtime: token states stay flat, only attention sees a padded view.

A batch of B rows with T tokens in all is one (T, features) matrix through every linear layer, norm and activation, so no work
goes into padding there. Around attention the heads are gathered into (B, heads, L, width), L the longest row, and scattered
back. `openvino_graph` writes that down; this module compiles it and feeds it. `shapes` says which T, B and L are used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov  # noqa: TID253 - this file owns the framework

from textmill.arch.heads import PER_TOKEN, Output
from textmill.arch.program import Program
from textmill.errors import ConfigInvalid, ModelBroken, Unavailable
from textmill.runtimes.flat import Packer, Shape
from textmill.runtimes.openvino_file import GraphFile, read_graph, widths
from textmill.runtimes.openvino_graph import FlatOps, Graph, build_graph
from textmill.runtimes.openvino_int8 import Int8Ops, least_cosine, observe, quantize
from textmill.runtimes.pages import Pages
from textmill.runtimes.plans import Kept, read_plan, write_plan
from textmill.runtimes.runtime import Answers, Calibration, Facts, Row, Target, as_answers, wanted
from textmill.runtimes.shapes import Shapes
from textmill.runtimes.strips import is_long

_log = logging.getLogger(__name__)

# About 30 ms a batch on two AVX-512 cores at either precision; more tokens gain next to nothing (ADR 0003).
_BATCH_TOKENS = {"float32": 512, "bfloat16": 768, "float16": 768, "int8": 768}
# Numbers in the states that are pooled: 256 MB of float32, of which OpenVINO holds about two copies.
_POOLED, _FEWEST = 1 << 26, 64
_PRECISION = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
_LEAST_COSINE = 0.99
"""Below it, int8 changes more than a ranking should bear."""
_DTYPES = {precision: dtype for dtype, precision in _PRECISION.items()}
_ABILITIES = {"FP32": "float32", "BF16": "bfloat16", "FP16": "float16", "INT8": "int8"}


def compile_program(program: Program, target: Target) -> OpenVINORuntime:
    """Build the graph of a program and compile it for a CPU; see `_compile`.

    With ``dtype`` int8 the layers that bear it are quantised by the target's calibration, and the others run as with auto.
    """
    if target.dtype != "int8":
        return _compile(
            lambda dtype, long: build_graph(program, FlatOps(in_strips=long, packed_once=dtype == "float32")),
            program,
            target,
        )
    if target.calibrate is None:
        msg = "int8 needs texts to be calibrated by"
        raise ConfigInvalid(msg)
    return _compile_int8(program, target, target.calibrate())


def _compile_int8(program: Program, target: Target, calibration: Calibration) -> OpenVINORuntime:
    """The program in int8, by the plan of the calibration's cache or a new one."""
    found = None if calibration.cache is None else read_plan(calibration.cache)
    observed = None
    if found is None:
        _log.info("int8: quantising by %d built-in texts; the result is kept", len(calibration.texts))
        observed = observe(program, target.device.upper(), target.threads)
        plan = quantize(observed, calibration)
    else:
        plan = found.plan
    rest = replace(target, dtype="auto")
    runtime = _compile(lambda _, long: build_graph(program, Int8Ops(plan, in_strips=long)), (program, plan), rest)
    cosine = found.cosine if found is not None else 1.0
    if observed is not None:
        output = next(iter(program.outputs))
        rows = [replace(row, outputs=(output,)) for row in calibration.texts]
        cosine = least_cosine(runtime.forward, observed, output, rows)
        if calibration.cache is not None and np.isfinite(cosine):
            write_plan(calibration.cache, Kept(plan, cosine))
    if not cosine >= _LEAST_COSINE:  # nor is one that is no number
        _log.warning("int8: the smallest cosine to float32 is %.4f on built-in texts; take bfloat16 instead", cosine)
    runtime.retell(replace(runtime.facts, dtype="int8", cosine=cosine))
    return runtime


def compile_file(file: GraphFile, target: Target) -> tuple[OpenVINORuntime, dict[Output, int]]:
    """Compile a graph from a file, with our heads behind it, for a CPU; and the width of each of its outputs."""
    if target.dtype == "int8":
        msg = (
            f"int8 is made of safetensors, and {file.path.name} is a graph as it is; take a quantised file with --file"
        )
        raise ConfigInvalid(msg)
    graph = read_graph(file)
    return _compile(lambda _dtype, _long: graph, file, target), widths(graph)


def _compile(build: Callable[[str, bool], Graph], holds: object, target: Target) -> OpenVINORuntime:
    """Compile a graph, which computes with memory that ``holds`` keeps alive; and another for long batches, at the first one.

    ``build`` is told the precision, and whether the graph is for long batches.

    ``dtype`` auto takes bfloat16 where the CPU computes with it natively, float32 elsewhere. Raises ModelBroken where the
    weights do not fit together, ConfigInvalid for a device that OpenVINO does not have.
    """
    core = ov.Core()
    if target.device.upper() not in core.available_devices:
        devices = ", ".join(device.lower() for device in core.available_devices)
        msg = f"the openvino runtime has no device {target.device!r} here; it has {devices}"
        raise ConfigInvalid(msg)
    device = target.device.upper()
    abilities = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
    dtype = target.dtype if target.dtype != "auto" else "bfloat16" if "BF16" in abilities else "float32"
    if dtype not in _PRECISION or (dtype == "float16" and "FP16" not in abilities):
        named = ", ".join(name for ability, name in _ABILITIES.items() if ability in abilities)
        msg = f"dtype is {target.dtype!r}, which OpenVINO does not compute with here; it has {named}"
        raise ConfigInvalid(msg)
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": _PRECISION[dtype], "PERFORMANCE_HINT": "LATENCY"}
    if target.threads is not None:
        options["INFERENCE_NUM_THREADS"] = target.threads

    def compiled(*, long: bool) -> tuple[ov.CompiledModel, Graph]:
        try:
            graph = build(dtype, long)
            with Pages(graph.weights).dropped():
                return core.compile_model(graph.model, device, options), graph
        except RuntimeError as error:  # what OpenVINO raises for everything, shapes that do not fit included
            msg = f"OpenVINO cannot compile this model: {_first_line(error)}"
            raise ModelBroken(msg) from error

    model, graph = compiled(long=False)
    # What was compiled, which is float32 where a CPU cannot do what was asked for.
    computed = model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    facts = Facts(
        runtime="openvino",
        device=target.device,
        dtype=_DTYPES.get(computed, computed),
        threads=int(model.get_property("INFERENCE_NUM_THREADS")),
        batch_tokens=target.batch_tokens or min(_BATCH_TOKENS[dtype], max(_FEWEST, _POOLED // graph.widest)),
    )
    shapes = Shapes(facts.batch_tokens, target.max_tokens, target.batch_rows)
    long = (lambda: Compiled(*compiled(long=True))) if graph.biased else None
    return OpenVINORuntime(holds, Compiled(model, graph), graph.outputs, shapes, facts, long=long)


class Compiled:
    """A compiled graph and its packer."""

    def __init__(self, model: ov.CompiledModel, graph: Graph) -> None:
        self._request = model.create_infer_request()
        self._packer = Packer(graph.feeds)
        self.pages = Pages(graph.weights)

    def infer(self, rows: Sequence[Row], shape: Shape) -> list[npt.NDArray[np.float32]]:
        """The graph's results, as views of its own memory."""
        outputs: Mapping[Any, npt.NDArray[np.float32]] = self._request.infer(
            self._packer.pack(rows, shape), share_inputs=True, share_outputs=True
        )
        return list(outputs.values())


class OpenVINORuntime:
    """Compiled graphs and the shapes for which they have code.

    Batches that are better computed in strips go through a graph of their own, which ``long`` compiles when the first one
    comes: it takes as much memory for its weights as the other, which only those who send such rows should pay.
    """

    def __init__(
        self,
        holds: object,
        compiled: Compiled,
        outputs: tuple[Output, ...],
        shapes: Shapes,
        facts: Facts,
        *,
        long: Callable[[], Compiled] | None = None,
    ) -> None:
        self._compiled: Compiled | None = compiled
        self._pages = compiled.pages
        self._compile_long = long
        self._long: Compiled | None = None
        # OpenVINO computes with the memory of its tensors, and does not hold it.
        self._holds: object = holds
        self._outputs = outputs
        self._shapes = shapes
        self._facts = facts

    @property
    def facts(self) -> Facts:
        """What this runtime is and where it runs."""
        return self._facts

    def retell(self, facts: Facts) -> None:
        """Let the runtime say something else of itself: what it was made of is known only afterwards."""
        self._facts = facts

    def forward(self, rows: Sequence[Row]) -> Answers:
        """Every output that one of the rows wants."""
        lengths = [len(row) for row in rows]
        shape = self._shapes.fit(sum(lengths), len(lengths), max(lengths))
        made = self._for(shape).infer(rows, shape)
        arrays = {}
        for output in wanted(rows):
            array = made[self._outputs.index(output)]
            arrays[output] = array[: sum(lengths)] if output in PER_TOKEN else array[: len(rows)].copy()
        return as_answers(arrays, rows)

    def warm_up(self) -> Iterator[str]:
        """Generate code for the shapes that batches are rounded to; the first step covers every batch, coarsely."""
        coarse, fine = self._shapes.plan()
        with self._pages.dropped():  # some kernels copy their weights when they first run
            for shape in coarse:
                self._warm(shape)
        yield f"{len(coarse)} coarse shapes"
        for shape in fine:
            self._warm(shape)
            yield str(shape)

    def close(self) -> None:
        """Give the compiled graph and its memory back; closing twice is closing once."""
        self._compiled = self._compile_long = self._long = self._holds = None
        self._pages = Pages(())

    def _warm(self, shape: Shape) -> None:
        row = Row(np.zeros(min(shape.tokens, shape.length), np.int32))
        self._for(shape).infer([row], shape)
        self._shapes.add(shape)

    def _for(self, shape: Shape) -> Compiled:
        """The graph that a batch of that shape goes through."""
        if self._compiled is None:
            msg = "the openvino runtime was closed"
            raise Unavailable(msg)
        if self._compile_long is None or not is_long(shape):
            return self._compiled
        if self._long is None:
            self._long = self._compile_long()
        return self._long


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
