"""How alike vectors are, by the measures of sentence-transformers: dense ones, and sparse ones without their zeros."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from textmill.compat.tensors import (
    Array,
    Tensor,
    array_of,
    from_tensor,
    holds_tensors,
    is_tensor,
    sparse_rows,
    to_tensor,
)
from textmill.contract import SparseVector

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measure:
    """One way to compare: each of one group of vectors with each of another, each with the one at its place, and sparse ones."""

    all: Callable[[Floats, Floats], Floats]
    pairs: Callable[[Floats, Floats], Floats]
    sparse: Callable[[_Sparse, _Sparse], Floats]


@dataclass(frozen=True, slots=True)
class _Sparse:
    """Sparse vectors one behind the other: where each begins, and their entries."""

    starts: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int64]
    values: Floats

    def sums(self, each: Floats) -> Floats:
        """The sum of a value for each entry, vector by vector."""
        return np.diff(np.concatenate([[0.0], np.cumsum(each)])[self.starts])

    def met(self, other: _Sparse, join: Callable[[Floats, Floats], Floats]) -> Floats:
        """For each pair of vectors the sum over the other's entries of ``join`` of the two values there."""
        size = 1 + max(int(self.indices.max(initial=0)), int(other.indices.max(initial=0)))
        made = np.zeros((len(self.starts) - 1, len(other.starts) - 1))
        for row in range(len(made)):
            whole = np.zeros(size)
            part = slice(self.starts[row], self.starts[row + 1])
            whole[self.indices[part]] = self.values[part]
            made[row] = other.sums(join(whole[other.indices], other.values))
        return made


def compare(first: Any, second: Any, name: str) -> Array | Tensor:
    """The measure of that name of each of the first with each of the second: float32 (first, second).

    Arrays, lists of numbers or arrays, or lists of `SparseVector`; tensors where tensors came in.
    """
    measure = MEASURES[name]
    left, right = _sparse(first), _sparse(second)
    if left is not None and right is not None:
        made = measure.sparse(left, right)
    else:
        made = measure.all(_rows(first), _rows(second))
    return _as_given(made, first, second)


def compare_pairs(first: Any, second: Any, name: str) -> Array | Tensor:
    """As `compare`, each vector with the one at its place only: float32 (vectors,)."""
    left, right = _dense(first), _dense(second)
    return _as_given(MEASURES[name].pairs(left, right), first, second)


def _as_given(made: Floats, first: Any, second: Any) -> Array | Tensor:
    values = np.asarray(made, np.float32)
    if holds_tensors(first) or holds_tensors(second):
        place = first if is_tensor(first) else second if is_tensor(second) else None
        tensor = to_tensor(values)
        return tensor if place is None else tensor.to(place.device)
    return array_of(values)


def _sparse(given: Any) -> _Sparse | None:
    if is_tensor(given) and given.is_sparse:
        rows = sparse_rows(given)
    elif isinstance(given, SparseVector):
        rows = [given]
    elif isinstance(given, list | tuple) and given and isinstance(given[0], SparseVector):
        rows = list(given)
    elif isinstance(given, list | tuple) and given and is_tensor(given[0]) and given[0].is_sparse:
        rows = [row for tensor in given for row in sparse_rows(tensor)]
    else:
        return None
    starts = np.cumsum([0, *(len(row.indices) for row in rows)])
    indices = np.concatenate([row.indices for row in rows]).astype(np.int64)
    return _Sparse(starts, indices, np.concatenate([row.values for row in rows]).astype(np.float64))


def _rows(given: Any) -> Floats:
    values = _dense(given)
    return values[None] if values.ndim == 1 else values


def _dense(given: Any) -> Floats:
    if is_tensor(given):
        return from_tensor(given).astype(np.float64)
    if holds_tensors(given):
        return np.stack([from_tensor(tensor) for tensor in given]).astype(np.float64)
    sparse = _sparse(given)
    return np.asarray(given, np.float64) if sparse is None else _whole(sparse)


def _whole(sparse: _Sparse) -> Floats:
    made = np.zeros((len(sparse.starts) - 1, 1 + int(sparse.indices.max(initial=0))))
    made[np.repeat(np.arange(len(made)), np.diff(sparse.starts)), sparse.indices] = sparse.values
    return made


def _unit(values: Floats) -> Floats:
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12))


def _each(first: Floats, second: Floats, distance: Callable[[Floats], Floats]) -> Floats:
    """A distance row by row, so that the differences of all pairs never stand in memory."""
    made = np.empty((len(first), len(second)))
    for row, vector in enumerate(first):
        made[row] = -distance(second - vector)
    return made


def _taxicab(difference: Floats) -> Floats:
    return np.asarray(np.abs(difference).sum(axis=-1))


def _euclid(difference: Floats) -> Floats:
    return np.asarray(np.sqrt(np.square(difference).sum(axis=-1)))


def _sparse_dot(first: _Sparse, second: _Sparse) -> Floats:
    return first.met(second, np.multiply)


def _sparse_cosine(first: _Sparse, second: _Sparse) -> Floats:
    sizes = [np.maximum(np.sqrt(each.sums(each.values**2)), 1e-12) for each in (first, second)]
    return _sparse_dot(first, second) / sizes[0][:, None] / sizes[1]


def _sparse_euclid(first: _Sparse, second: _Sparse) -> Floats:
    squares = first.sums(first.values**2)[:, None] + second.sums(second.values**2)
    return -np.sqrt(np.maximum(squares - 2 * _sparse_dot(first, second), 0))


def _sparse_taxicab(first: _Sparse, second: _Sparse) -> Floats:
    there = first.met(second, lambda one, other: np.abs(other - one) - np.abs(one))
    return -(first.sums(np.abs(first.values))[:, None] + there)


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "cosine": Measure(
            lambda one, other: _unit(one) @ _unit(other).T,
            lambda one, other: (_unit(one) * _unit(other)).sum(axis=-1),
            _sparse_cosine,
        ),
        "dot": Measure(lambda one, other: one @ other.T, lambda one, other: (one * other).sum(axis=-1), _sparse_dot),
        "euclidean": Measure(
            lambda one, other: _each(one, other, _euclid), lambda one, other: -_euclid(one - other), _sparse_euclid
        ),
        "manhattan": Measure(
            lambda one, other: _each(one, other, _taxicab), lambda one, other: -_taxicab(one - other), _sparse_taxicab
        ),
    }
)
"""By the names of sentence-transformers; distances are negative, so that more is always more alike."""


def measure_name(value: object, names: Sequence[str] = tuple(MEASURES)) -> str:
    """The name of a measure, from it or from sentence-transformers' enum. Raises ValueError for another."""
    name = str(getattr(value, "value", value))
    if name not in names:
        msg = f"similarity_fn_name is {name!r}; it can be {', '.join(names)}"
        raise ValueError(msg)
    return name
