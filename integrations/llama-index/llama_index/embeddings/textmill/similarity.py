"""How alike vectors are, by the names that sentence-transformers has for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


def _cosine(one: Vectors, other: Vectors) -> Vectors:
    return _unit(one) @ _unit(other).T


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True).astype(np.float32)
    unit: Vectors = vectors / np.maximum(lengths, np.float32(1e-12))
    return unit


def _euclidean(one: Vectors, other: Vectors) -> Vectors:
    return np.stack([-np.linalg.norm(other - row, axis=1) for row in one])


def _manhattan(one: Vectors, other: Vectors) -> Vectors:
    return np.stack([-np.abs(other - row).sum(axis=1) for row in one])


SIMILARITIES: Mapping[str, Callable[[Vectors, Vectors], Vectors]] = MappingProxyType(
    {"cosine": _cosine, "dot": lambda one, other: one @ other.T, "euclidean": _euclidean, "manhattan": _manhattan}
)
"""Of two arrays of vectors, all of the one with all of the other; distances are negative, so that more is more alike."""
