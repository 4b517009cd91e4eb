"""Pages of a mapped checkpoint that are given back."""

from __future__ import annotations

import mmap
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tests.runtimes.conftest import resident

from textmill.arch.ops import Tensor
from textmill.runtimes.pages import Pages

SIZE = 1 << 24


def tensors_over(arrays: Iterable[npt.NDArray[np.float32]]) -> list[Tensor]:
    return [Tensor(array, "float32", f"tensor.{number}") for number, array in enumerate(arrays)]


@pytest.fixture
def weights(tmp_path: Path) -> npt.NDArray[np.float32]:
    path = tmp_path / "weights"
    np.arange(SIZE // 4, dtype=np.float32).tofile(path)
    with path.open("rb") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY), np.float32)


def test_dropped_pages_are_no_longer_this_process_s_memory_and_read_as_before(
    weights: npt.NDArray[np.float32],
) -> None:
    total = weights.sum(dtype=np.float64)
    assert resident(weights) >= SIZE
    Pages(tensors_over([weights[:1024].reshape(32, 32), weights[1024:]])).drop()
    assert resident(weights) == 0
    assert weights.sum(dtype=np.float64) == total


def test_pages_are_dropped_while_something_reads_and_at_the_end(weights: npt.NDArray[np.float32]) -> None:
    with Pages(tensors_over([weights])).dropped():
        weights.sum()
        deadline = time.monotonic() + 10
        while resident(weights) and time.monotonic() < deadline:
            time.sleep(0.001)
        assert resident(weights) == 0
        weights.sum()
    assert resident(weights) == 0


def test_a_failure_of_what_reads_is_passed_on(weights: npt.NDArray[np.float32]) -> None:
    with pytest.raises(ValueError, match="reshape"), Pages(tensors_over([weights])).dropped():
        weights.reshape(3, 5)
    assert not [thread for thread in threading.enumerate() if thread.name == "textmill-pages"]


def test_pages_that_the_kernel_keeps_stay(weights: npt.NDArray[np.float32], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textmill.runtimes.pages._DROP", 12345)  # no advice that a kernel knows
    total = weights.sum()
    with Pages(tensors_over([weights])).dropped():
        assert weights.sum() == total


def test_a_tensor_in_memory_of_its_own_is_left_alone() -> None:
    array = np.arange(4096, dtype=np.float32)
    Pages(tensors_over([array, array[::2]])).drop()
    assert array[17] == 17
