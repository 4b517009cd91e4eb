"""Vectors at a chosen size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

EUCLID, NONE, LARGEST = 2, -1, 0
"""Norms as llama.cpp counts them; any other is the p of a p-norm."""
_INT16 = 32_760
"""What the largest value becomes by the norm `LARGEST`: vectors that fit 16 bits."""


def scaled(vectors: Floats, norm: int) -> Floats:
    """The vectors (n, d) scaled so that their norm is 1, or as they are for `NONE`; a zero vector stays zero."""
    if norm == NONE:
        return vectors
    if norm == EUCLID:
        return normalized(vectors)
    sizes = np.abs(vectors).astype(np.float64)
    largest = sizes.max(axis=1, keepdims=True, initial=0)
    divisors = np.where(largest > 0, largest, 1)
    if norm == LARGEST:
        divisors = divisors / _INT16
    else:  # small powers of small values would be 0
        divisors = divisors * np.maximum(((sizes / divisors) ** norm).sum(axis=1, keepdims=True), 1) ** (1 / norm)
    return np.asarray(vectors / divisors, np.float32)


def normalized(vectors: Floats) -> Floats:
    """The vectors (n, d) at unit length; a zero vector stays zero."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    made: Floats = vectors / np.maximum(lengths, np.float32(1e-12))[:, None]
    return made
