"""What a runtime is: a compiled model on a device that turns rows of token ids into a program's outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from textmill.arch.heads import PER_TOKEN, Output
from textmill.arch.ops import Tensor
from textmill.arch.program import Chains, Program
from textmill.errors import ConfigInvalid, ExtraMissing

BATCH_ROWS = 64
"""Rows that a batch has at most."""

DTypeChoice = Literal["auto", "float32", "bfloat16", "float16", "int8"]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One tokenised input.

    ``ids`` and ``types`` (segments; None means all zero) are int32 of shape (tokens,), at least one token.
    ``prompt_tokens`` leading tokens are attended to but left out of pooling. Only the first ``attended`` tokens are attended
    to (None means all), as ColBERT's query expansion has it. ``adapter`` counts from 1 in the architecture's order, 0 is none.
    ``outputs`` are those of the program's that are wanted.
    """

    ids: npt.NDArray[np.int32]
    types: npt.NDArray[np.int32] | None = None
    prompt_tokens: int = 0
    attended: int | None = None
    adapter: int = 0
    outputs: tuple[Output, ...] = ("dense",)

    def __len__(self) -> int:
        return len(self.ids)


Answers = Mapping[Output, npt.NDArray[np.float32] | Sequence[npt.NDArray[Any]]]
"""For each output its rows, in order.

An output for each row is one float32 array (rows, features); of ``sparse`` there is a `SPARSE` array for each row, ascending
by index and without zeros. An output for each token is a float32 array (tokens, features) for each row.
"""
SPARSE = np.dtype([("index", np.int32), ("value", np.float32)])


@dataclass(frozen=True, slots=True)
class Facts:
    """What a runtime says about itself. ``batch_tokens`` is the batch budget that measured fastest here.

    ``cosine`` is the smallest one to float32 on the calibration's texts, where the runtime quantised.
    """

    runtime: str
    device: str
    dtype: str
    threads: int
    batch_tokens: int
    cosine: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Rows to quantise by: of ordinary ``texts``, and of ``strange`` ones that only widen the ranges.

    ``cache`` is a file that keeps the result for the next time, or None.
    """

    texts: Sequence[Row]
    strange: Sequence[Row]
    cache: Path | None = None


class Runtime(Protocol):
    """Four methods and a few facts. One thread calls them; they need not be thread-safe."""

    @property
    def facts(self) -> Facts:
        """What this runtime is and where it runs."""
        ...

    def forward(self, rows: Sequence[Row]) -> Answers:
        """Every output that one of the rows wants, owned by the caller. Lets other threads run meanwhile."""
        ...

    def warm_up(self) -> Iterator[str]:
        """Prepare the device for the shapes that batches have, one a step; each step says which.

        The first step alone makes `forward` ready; the others make it as fast as it gets.
        """
        ...

    def close(self) -> None:
        """Give the device's memory back."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """Where and how to run: ``threads`` and ``batch_tokens`` of None mean the runtime's choice.

    ``max_tokens`` is the longest row that will come, and ``batch_rows`` the most that come together. ``calibrate`` gives what int8 is quantised by; it is called for that alone.
    """

    max_tokens: int
    device: str = "cpu"
    dtype: DTypeChoice = "auto"
    threads: int | None = None
    batch_tokens: int | None = None
    batch_rows: int = BATCH_ROWS
    calibrate: Callable[[], Calibration] | None = None


RUNTIMES = {"openvino": "textmill.runtimes.openvino", "torch": "textmill.runtimes.torch"}
_EXTRAS = {"torch": "torch"}


def compile_program(name: str, program: Program, target: Target) -> Runtime:
    """Compile a program for a runtime, by the runtime's name.

    Raises ConfigInvalid for an unknown name, ExtraMissing where its framework is not installed.
    """
    compile_: Callable[[Program, Target], Runtime] = _module(name).compile_program
    return compile_(program, target)


def compile_file(
    path: Path, outputs: Chains, tensors: Mapping[str, Tensor], target: Target, *, vocabulary: int
) -> tuple[Runtime, dict[Output, int]]:
    """Compile an ONNX or OpenVINO file with our heads behind it, for ids below ``vocabulary``; and the width of each output.

    Raises ModelBroken where the file cannot be read, lacks an input or output, or does not know that many ids.
    """
    module = _module("openvino")
    made: tuple[Runtime, dict[Output, int]] = module.compile_file(
        module.GraphFile(path, vocabulary, outputs, tensors), target
    )
    return made


def _module(name: str) -> ModuleType:
    if name not in RUNTIMES:
        msg = f"unknown runtime {name!r}; textmill has {', '.join(RUNTIMES)}"
        raise ConfigInvalid(msg)
    try:
        return import_module(RUNTIMES[name])
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(name)
        if extra is None or (error.name or "").startswith("textmill"):
            raise
        msg = f"the {name} runtime needs {error.name}: pip install 'textmill[{extra}]'"
        raise ExtraMissing(msg) from error


def wanted(rows: Sequence[Row]) -> set[Output]:
    """The outputs that at least one of the rows wants."""
    return {output for row in rows for output in row.outputs}


def as_answers(arrays: Mapping[Output, npt.NDArray[np.float32]], rows: Sequence[Row]) -> Answers:
    """Outputs as a runtime computes them, of the rows or of their tokens end to end, in the form of `Answers`."""
    ends = np.cumsum([len(row) for row in rows])[:-1]
    answers: dict[Output, npt.NDArray[np.float32] | Sequence[npt.NDArray[Any]]] = {}
    for output, array in arrays.items():
        if output == "sparse":
            answers[output] = [_sparse(weights) for weights in array]
        elif output in PER_TOKEN:
            answers[output] = [part.copy() for part in np.split(array, ends)]
        else:
            answers[output] = array
    return answers


def _sparse(weights: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    index = np.flatnonzero(weights)
    entries = np.empty(len(index), SPARSE)
    entries["index"], entries["value"] = index, weights[index]
    return entries
