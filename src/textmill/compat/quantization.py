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


def quantize_embeddings(
    embeddings: npt.ArrayLike,
    precision: Precision,
    ranges: npt.ArrayLike | None = None,
    calibration_embeddings: npt.ArrayLike | None = None,
) -> npt.NDArray[Any]:
    """Vectors (n, dimensions) in that precision: bytes, or bits packed into bytes.

    Args:
        embeddings: float32 (n, dimensions).
        precision: ``int8`` and ``uint8`` have a bucket for each 255th of a dimension's range; ``binary`` and ``ubinary`` have a bit
            for each dimension, set above zero.
        ranges: (2, dimensions), the smallest and the largest values of each dimension.
        calibration_embeddings: vectors whose range is taken where ``ranges`` are not given; by default that of the vectors.

    Raises:
        ValueError: bytes of a single vector, which has no range; another precision.

    """
    vectors = np.asarray(embeddings, np.float32)
    match precision:
        case "float32":
            return vectors
        case "binary":
            return signed_bits(vectors)
        case "ubinary":
            return unsigned_bits(vectors)
    if precision not in PRECISIONS:
        msg = f"precision is {precision!r}; it can be {', '.join(PRECISIONS)}"
        raise ValueError(msg)
    if not len(vectors):
        return vectors.astype(np.uint8 if precision == "uint8" else np.int8)
    low, high = _range(vectors, precision, ranges, calibration_embeddings)
    steps = (high - low) / _BUCKETS
    buckets: npt.NDArray[Any] = np.clip(np.floor((vectors - low) / np.where(steps == 0, 1, steps)), 0, _BUCKETS)
    return buckets.astype(np.uint8) if precision == "uint8" else (buckets - _SIGN).astype(np.int8)


def _range(
    vectors: npt.NDArray[np.float32],
    precision: str,
    ranges: npt.ArrayLike | None,
    calibration: npt.ArrayLike | None,
) -> npt.NDArray[np.float32]:
    """The smallest and the largest values of each dimension: float32 (2, dimensions)."""
    if ranges is not None:
        return np.asarray(ranges, np.float32)
    measured = vectors if calibration is None else np.asarray(calibration, np.float32)
    if len(measured) == 1:
        msg = (
            f"{precision} needs the range of several vectors, and this is one; take more texts together, give ranges, "
            "or take float32"
        )
        raise ValueError(msg)
    return np.stack([measured.min(axis=0), measured.max(axis=0)])
