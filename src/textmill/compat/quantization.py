"""Vectors in fewer bits, as ``quantize_embeddings`` of sentence-transformers makes them."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from textmill.tasks.bits import signed_bits, unsigned_bits

Precision = Literal["float32", "int8", "uint8", "binary", "ubinary"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

_BUCKETS = 255
_SIGN = 128


def quantized(vectors: npt.NDArray[np.float32], precision: Precision) -> npt.NDArray[Any]:
    """The vectors (n, dimensions) in that precision: bytes, or bits packed into bytes.

    ``int8`` and ``uint8`` have a bucket for each 255th of what these vectors reach in a dimension. Raises ValueError for them from
    a single vector, which reaches nothing, and for another precision.
    """
    match precision:
        case "float32":
            return vectors
        case "int8":
            return (_buckets(vectors, precision) - _SIGN).astype(np.int8)
        case "uint8":
            return _buckets(vectors, precision).astype(np.uint8)
        case "binary":
            return signed_bits(vectors)
        case "ubinary":
            return unsigned_bits(vectors)
    msg = f"precision is {precision!r}; it can be {', '.join(PRECISIONS)}"
    raise ValueError(msg)


def _buckets(vectors: npt.NDArray[np.float32], precision: str) -> npt.NDArray[np.float32]:
    if len(vectors) == 1:
        msg = f"{precision} needs the range of several vectors, and this is one; encode more texts together, or take float32"
        raise ValueError(msg)
    starts = vectors.min(axis=0)
    steps = (vectors.max(axis=0) - starts) / _BUCKETS
    steps = np.where(steps == 0, 1, steps).astype(np.float32)
    return np.asarray(np.clip(np.floor((vectors - starts) / steps), 0, _BUCKETS), np.float32)
