"""The PyTorch runtime: the rows of a batch end to end, without padding.

What a GPU adds (attention kernels for rows of different lengths, copies beside computing, recorded runs of small batches) was
written without one at hand: tests run its bookkeeping on a CPU.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch  # noqa: TID253 - one of the files that own the framework

from textmill.arch.heads import PER_TOKEN, Output
from textmill.arch.program import Program
from textmill.errors import ConfigInvalid, Unavailable
from textmill.runtimes.runtime import Answers, Facts, Row, Target, as_answers, wanted
from textmill.runtimes.torch_attention import Constants, kernel_of
from textmill.runtimes.torch_batch import Batch, by_length, groups_of, pack, size_of
from textmill.runtimes.torch_device import Arrays, Device, Fetched, device_of, find
from textmill.runtimes.torch_graphs import SIZES, Graphs
from textmill.runtimes.torch_ops import PackedOps
from textmill.runtimes.torch_weights import Store

_log = logging.getLogger(__name__)

_BATCH_TOKENS = {"cuda": 16384}
_BATCH_TOKENS_ELSEWHERE = 2048
_WARM_LENGTH = 8
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def compile_program(program: Program, target: Target) -> TorchRuntime:
    """Get a program ready to run on a device that torch knows: "cpu", "cuda", "cuda:1", "mps".

    ``dtype`` auto is float32 on a CPU and bfloat16 elsewhere. ``threads`` sets torch's own number of threads, which counts
    for the whole process. Raises ConfigInvalid for a device that is not there and a dtype that torch does not have.
    """
    device = find(target.device)
    dtype = target.dtype if target.dtype != "auto" else "float32" if device.type == "cpu" else "bfloat16"
    if dtype not in _DTYPES:
        msg = f"dtype is {dtype!r}, which the torch backend does not have; it has {', '.join(_DTYPES)}; int8 is openvino's"
        raise ConfigInvalid(msg)
    if target.threads is not None:
        torch.set_num_threads(target.threads)
    facts = Facts(
        runtime="torch",
        device=str(device),
        dtype=dtype,
        threads=torch.get_num_threads(),
        batch_tokens=target.batch_tokens or _BATCH_TOKENS.get(device.type, _BATCH_TOKENS_ELSEWHERE),
    )
    return TorchRuntime(program, Store(device, _DTYPES[dtype]), facts, target.max_tokens, device_of(device))


class TorchRuntime:
    """A program, its weights on a device, and recorded runs of small batches where the device has such."""

    def __init__(self, program: Program, store: Store, facts: Facts, max_tokens: int, device: Device) -> None:
        self._program: Program | None = program
        self._store = store
        self._facts = facts
        self._max_tokens = max_tokens
        self._device = device
        self._kernel = kernel_of(store.device)
        self._graphs = Graphs(device, self._run_recorded)

    @property
    def facts(self) -> Facts:
        """What this runtime is and where it runs."""
        return self._facts

    def forward(self, rows: Sequence[Row]) -> Answers:
        """Every output that one of the rows wants."""
        outputs = wanted(rows)
        order = by_length(rows)
        arranged = [rows[index] for index in order]
        with torch.inference_mode(), self._device.here():
            pending = [self._begin(part, outputs) for part in parts(arranged, self._device.part_tokens)]
            made = [wait() for wait in pending]
        joined = (
            made[0] if len(made) == 1 else {name: np.concatenate([each[name] for each in made]) for name in outputs}
        )
        places = np.argsort(order)
        answers: Answers = {
            output: array[places] if isinstance(array, np.ndarray) else [array[place] for place in places]
            for output, array in as_answers(joined, arranged).items()
        }
        return answers

    def warm_up(self) -> Iterator[str]:
        """Take the weights to the device and run a short batch; then record runs, one a step, where the device has such."""
        outputs = tuple(self._opened().outputs)
        length = min(_WARM_LENGTH, self._max_tokens)
        self.forward([Row(np.zeros(size, np.int32), outputs=outputs) for size in (1, length)])
        yield f"2 x {length}"
        if not self._device.graphs:
            return
        for size in SIZES:
            if size.tokens > self._facts.batch_tokens:
                return
            try:
                with torch.inference_mode(), self._device.here():
                    self._graphs.record(size)
            except RuntimeError as error:
                self._graphs.clear()
                _log.warning("small batches run without CUDA graphs, as %s cannot be recorded: %s", size, error)
                return
            yield str(size)

    def close(self) -> None:
        """Let go of the weights; `forward` raises Unavailable from here on."""
        self._program = None
        self._graphs.clear()
        self._store.clear()
        self._device.free()

    def _opened(self) -> Program:
        if self._program is None:
            msg = "the torch runtime was closed"
            raise Unavailable(msg)
        return self._program

    def _begin(self, rows: Sequence[Row], outputs: set[Output]) -> Callable[[], Fetched]:
        """Queue a batch; what is returned waits for its answers."""
        program = self._opened()
        size = size_of(rows)
        counts = {output: size.tokens if output in PER_TOKEN else size.rows for output in outputs}
        recorded = self._graphs.replay(rows)
        if recorded is not None:
            # The next replay writes into the same arrays.
            made: Arrays = {output: recorded[output][:count].clone() for output, count in counts.items()}
        else:
            batch = Batch.of(self._device.put(pack(rows, size)), size, groups_of(rows))
            ops = PackedOps(self._store, batch, kernel=self._kernel)
            only = replace(program, outputs={name: heads for name, heads in program.outputs.items() if name in outputs})
            made = only.run(ops, batch.inputs)
        return self._device.take({output: made[output] for output in outputs})

    def _run_recorded(self, batch: Batch, constants: Constants) -> Arrays:
        return self._opened().run(PackedOps(self._store, batch, constants=constants, kernel=self._kernel), batch.inputs)


def parts(rows: Sequence[Row], tokens: int | None) -> list[list[Row]]:
    """Neighbouring rows together, as many as have no more tokens than that, but at least one; all together for None."""
    made: list[list[Row]] = []
    room = 0
    for row in rows:
        if not made or (tokens is not None and len(row) > room):
            made.append([])
            room = tokens or 0
        made[-1].append(row)
        room -= len(row)
    return made
