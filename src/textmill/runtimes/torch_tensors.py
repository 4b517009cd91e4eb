"""Arrays as tensors of PyTorch, for callers who want these."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch  # noqa: TID253 - one of the files that own the framework


def dense_tensor(values: npt.NDArray[Any]) -> torch.Tensor:
    """The values as a tensor on the CPU, not copied where they lie in one piece."""
    return torch.from_numpy(np.asarray(values, order="C"))  # np.ascontiguousarray would make a vector of a single value


def sparse_tensor(
    rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], values: npt.NDArray[np.float32], shape: tuple[int, int]
) -> torch.Tensor:
    """A coalesced COO tensor with these values at those places."""
    places = torch.from_numpy(np.stack([rows, columns]))
    return torch.sparse_coo_tensor(places, torch.from_numpy(values), shape, check_invariants=False).coalesce()
