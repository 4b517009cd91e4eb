"""Tensors of PyTorch at the door: in, where a caller has some, and out, where one asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from textmill.contract import SparseVector
from textmill.errors import ExtraMissing

if TYPE_CHECKING:
    from types import ModuleType

Tensor: TypeAlias = Any
"""A ``torch.Tensor``; PyTorch may be missing."""


class Array(np.ndarray[Any, Any]):
    """A numpy array that also answers to what code calls on a tensor on its way to numpy."""

    def cpu(self) -> Self:
        """Itself: it is in the memory of the CPU."""
        return self

    def detach(self) -> Self:
        """Itself: nothing is recorded for gradients."""
        return self

    def numpy(self) -> npt.NDArray[Any]:
        """The same values as a plain array."""
        return np.asarray(self)


def array_of(values: npt.NDArray[Any]) -> Array:
    """The values, not copied, as an `Array`."""
    return values.view(Array)


def is_tensor(value: object) -> bool:
    """Whether it is a tensor; PyTorch is not loaded to see that."""
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach")


def holds_tensors(value: object) -> bool:
    """Whether it is a tensor, or a list of them."""
    return is_tensor(value) or (isinstance(value, list | tuple) and bool(value) and is_tensor(value[0]))


def to_tensor(values: npt.NDArray[Any]) -> Tensor:
    """The values as a tensor on the CPU. Raises ExtraMissing where PyTorch is not installed."""
    return _torch("convert_to_tensor=True gives tensors of PyTorch; leave it out for numpy arrays").dense_tensor(values)


def no_values() -> Tensor:
    """The tensor of nothing at all, as sentence-transformers gives it. Raises as `to_tensor`."""
    return to_tensor(np.empty(0, np.float32))


def to_sparse_tensor(vectors: Sequence[SparseVector], size: int) -> Tensor:
    """Vectors of so many entries as one coalesced COO tensor (vectors, size). Raises ExtraMissing where PyTorch is not installed."""
    torch = _torch(
        "SparseEncoder gives tensors of PyTorch; pass convert_to_tensor=False for textmill.contract.SparseVector"
    )
    rows = np.repeat(np.arange(len(vectors)), [len(vector.indices) for vector in vectors])
    columns = np.concatenate([np.empty(0, np.int64), *(vector.indices for vector in vectors)]).astype(np.int64)
    values = np.concatenate([np.empty(0, np.float32), *(vector.values for vector in vectors)]).astype(np.float32)
    return torch.sparse_tensor(rows, columns, values, (len(vectors), size))


def from_tensor(tensor: Tensor) -> npt.NDArray[Any]:
    """A tensor's values, float32 where they are floats of less; those of a sparse one with its zeros."""
    whole = tensor.detach().cpu()
    whole = whole.to_dense() if whole.is_sparse else whole
    values: npt.NDArray[Any] = (whole.float() if whole.is_floating_point() else whole).numpy()
    return values


def sparse_rows(tensor: Tensor) -> list[SparseVector]:
    """The rows of a sparse tensor of one or two axes."""
    whole = tensor.detach().cpu().coalesce()
    whole = whole.unsqueeze(0).coalesce() if whole.ndim == 1 else whole
    (rows, columns), values = whole.indices().numpy(), whole.values().float().numpy()
    bounds = np.searchsorted(rows, np.arange(whole.shape[0] + 1))
    return [SparseVector(columns[first:end].astype(np.int32), values[first:end]) for first, end in pairwise(bounds)]


def _torch(why: str) -> ModuleType:
    """What makes tensors. Raises ExtraMissing where PyTorch is not installed."""
    try:
        from textmill.runtimes import torch_tensors  # noqa: PLC0415 - only where somebody wants tensors
    except ImportError:
        msg = f"{why}, or install it: pip install 'textmill[torch]'"
        raise ExtraMissing(msg) from None
    return torch_tensors
