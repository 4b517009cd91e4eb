from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textmill.arch.heads import Head, Pooling
from textmill.arch.ops import Tensor
from textmill.arch.program import Chains, Program, build
from textmill.arch.shapes import check
from textmill.checkpoint.tensors import open_tensors
from textmill.testing.checkpoints import tiny_bert, tiny_qwen3

CHECKPOINTS: dict[str, Callable[..., Path]] = {"bert": tiny_bert, "qwen3": tiny_qwen3}


class Checkpoint:
    """A tiny checkpoint in memory, to be damaged: change `config` and `tensors`, then `build`."""

    def __init__(self, folder: Path) -> None:
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.tensors = open_tensors(folder)

    def put(self, name: str, *shape: int) -> None:
        self.tensors[name] = Tensor(np.zeros(shape, np.float32), "float32", name)

    def rename(self, change: Callable[[str], str]) -> None:
        self.tensors = {change(name): tensor for name, tensor in self.tensors.items()}

    def build(self, *heads: Head) -> Program:
        return self.build_all({"dense": heads or (Pooling(("mean",)),)})

    def build_all(self, outputs: Chains) -> Program:
        return build(self.config, self.tensors, outputs)


def width(program: Program) -> int:
    """Features of the vectors of a program that is in order and gives nothing else."""
    ((output, shape),) = check(program).items()
    assert (output, shape.per) == ("dense", "row")
    (features,) = shape.axes
    return features


@pytest.fixture
def bert(tmp_path: Path) -> Checkpoint:
    return Checkpoint(tiny_bert(tmp_path / "bert"))


@pytest.fixture
def qwen3(tmp_path: Path) -> Checkpoint:
    return Checkpoint(tiny_qwen3(tmp_path / "qwen3"))


@pytest.fixture(params=sorted(CHECKPOINTS))
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Checkpoint:
    """Each architecture in turn."""
    return Checkpoint(CHECKPOINTS[request.param](tmp_path / "checkpoint"))
