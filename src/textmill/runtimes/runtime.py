"""What a runtime is: a compiled model on a device that turns rows of token ids into vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from textmill.arch.program import Program
from textmill.errors import ConfigInvalid, ExtraMissing

BATCH_ROWS = 64
"""Rows that a batch has at most."""

DTypeChoice = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One tokenised input.

    ``ids`` and ``types`` (segments; None means all zero) are int32 of shape (tokens,), at least one token.
    ``prompt_tokens`` leading tokens are attended to but left out of pooling.
    """

    ids: npt.NDArray[np.int32]
    types: npt.NDArray[np.int32] | None = None
    prompt_tokens: int = 0

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a runtime says about itself. ``batch_tokens`` is the batch budget that measured fastest here."""

    runtime: str
    device: str
    dtype: str
    threads: int
    batch_tokens: int


class Runtime(Protocol):
    """Four methods and a few facts. One thread calls them; they need not be thread-safe."""

    @property
    def facts(self) -> Facts:
        """What this runtime is and where it runs."""
        ...

    def forward(self, rows: Sequence[Row]) -> npt.NDArray[np.float32]:
        """Vectors of shape (rows, dimensions), in order, owned by the caller. Lets other threads run meanwhile."""
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

    ``max_tokens`` is the longest row that will come.
    """

    max_tokens: int
    device: str = "cpu"
    dtype: DTypeChoice = "auto"
    threads: int | None = None
    batch_tokens: int | None = None


RUNTIMES = {"openvino": "textmill.runtimes.openvino", "torch": "textmill.runtimes.torch"}
_EXTRAS = {"torch": "torch"}


def compile_program(name: str, program: Program, target: Target) -> Runtime:
    """Compile a program for a runtime, by the runtime's name.

    Raises ConfigInvalid for an unknown name, ExtraMissing where its framework is not installed.
    """
    if name not in RUNTIMES:
        msg = f"unknown runtime {name!r}; textmill has {', '.join(RUNTIMES)}"
        raise ConfigInvalid(msg)
    try:
        module = import_module(RUNTIMES[name])
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(name)
        if extra is None or (error.name or "").startswith("textmill"):
            raise
        msg = f"the {name} runtime needs {error.name}: pip install 'textmill[{extra}]'"
        raise ExtraMissing(msg) from error
    compile_: Callable[[Program, Target], Runtime] = module.compile_program
    return compile_(program, target)
