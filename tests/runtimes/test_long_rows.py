"""Long rows have the answers of the plain form, and take memory by their length."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import pytest
from tests.runtimes.conftest import vectors_of

from textmill.arch.heads import Pooling
from textmill.arch.ops import Inputs, Ops, Tensor
from textmill.arch.positions import Distances, Slopes, Table
from textmill.arch.program import Program
from textmill.arch.weights import Weights
from textmill.runtimes.runtime import Row, Target, compile_program

T = TypeVar("T")
_HEADS: Final = 4
_WIDTH: Final = 16


def buckets(away: Distances) -> npt.NDArray[np.int64]:
    """Five entries: far before, before, at, after, far after."""
    found: npt.NDArray[np.int64] = np.sign(away) * (1 + (np.abs(away) > 100)) + 2
    return found


@dataclass(frozen=True)
class Attending:
    """An architecture of two layers that do nothing but attend."""

    bias: str | None = None
    window: int | None = None
    causal: bool = False

    OPTIONAL = ()

    def forward(self, ops: Ops[T], _config: object, weights: Weights[T], inputs: Inputs[T]) -> T:
        """Token states (tokens…, 16)."""
        bias: Table[T] | Slopes | None = None
        if self.bias == "slopes":
            bias = Slopes(np.array([0.5, 0.1, 0.02, 0.004], np.float32))
        if self.bias == "table":
            bias = Table(weights["table"], buckets)
        x = ops.embedding(weights["words"], inputs.ids)
        for _ in range(2):
            q = ops.split_heads(x, _HEADS)
            x = ops.merge_heads(ops.attention(q, q, q, causal=self.causal, scale=0.5, window=self.window, bias=bias))
        return x


def program(attending: Attending) -> Program:
    rng = np.random.default_rng(3)
    arrays = {"words": rng.standard_normal((50, _WIDTH)), "table": rng.standard_normal((5, _HEADS))}
    tensors = {name: Tensor(array.astype(np.float32), "float32", name) for name, array in arrays.items()}
    module: Any = SimpleNamespace(forward=attending.forward, OPTIONAL=())
    return Program(module, None, tensors, {"dense": (Pooling(("mean", "cls", "lasttoken")),)})


def rows(*lengths: int) -> list[Row]:
    return [Row((np.arange(n) * 7 % 50).astype(np.int32)) for n in lengths]


CASES = {
    "window": Attending(window=64),
    "causal window": Attending(window=64, causal=True),
    "slopes": Attending("slopes"),
    "table": Attending("table"),
    "causal slopes": Attending("slopes", causal=True),
    "table within a window": Attending("table", window=200),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("lengths", [(127,), (128,), (129,), (1535, 128, 3), (5, 1537, 640, 1536)])
def test_a_row_s_answer_is_the_plain_form_s_whatever_runs_beside_it(case: str, lengths: tuple[int, ...]) -> None:
    target = Target(max_tokens=2048, dtype="float32", threads=2)
    runtime, plain = (compile_program(name, program(CASES[case]), target) for name in ("openvino", "torch"))
    batch = rows(*lengths)
    together = vectors_of(runtime, batch)
    assert np.abs(together - vectors_of(plain, batch)).max() <= 1e-5
    assert np.abs(together[::-1] - vectors_of(runtime, batch[::-1])).max() <= 1e-6
    alone = np.concatenate([vectors_of(runtime, [row]) for row in batch])
    assert np.abs(together - alone).max() <= 1e-6


_MEASURE: Final = """
import resource, sys
from tests.runtimes.test_long_rows import CASES, program, rows
from textmill.runtimes.runtime import Target, compile_program

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 << 20 if sys.platform == "darwin" else 1 << 10)

runtime = compile_program("openvino", program(CASES[sys.argv[1]]), Target(max_tokens=6144, dtype="float32", threads=2))
runtime.forward(rows(8))
before = peak()
runtime.forward(rows(6144))
print(peak() - before)
"""


@pytest.mark.parametrize("case", ["window", "slopes", "table"])
def test_a_long_row_never_has_a_square_of_scores_in_memory(case: str) -> None:
    done = subprocess.run([sys.executable, "-c", _MEASURE, case], capture_output=True, check=True, text=True)  # noqa: S603
    assert int(done.stdout) < 6144**2 * 4 >> 20
