"""Vectors in the types that Cohere's clients ask for: floats, bytes, bits, and base64.

Of bytes Cohere has never said how they come of floats, beyond that its models are trained for it. Here the step between two of
them depends on nothing but the number of dimensions, so that bytes of any two calls may be compared, also by their products:
the values of a unit vector of d dimensions have the root mean square 1/√d, and the bytes -127 to 127 stand for eight times that
to either side, at most for -1 to 1. What lies beyond is cut off there. ``uint8`` is the same plus 128.

Bits are those of `textmill.tasks.bits`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import orjson

from textmill.http.vectors import RowsToJson, Vectors, base64_of, float_rows
from textmill.tasks.bits import signed_bits, unsigned_bits

_MOST = 127
_REACH = 8.0
"""How many root mean squares a byte reaches: values beyond are rare even in models with dominant dimensions, and at this step
the cosine between a vector and its bytes is 0.9998."""


def step(dimensions: int) -> float:
    """What one step of ``int8`` and ``uint8`` stands for in unit vectors of so many dimensions."""
    return min(1.0, _REACH / float(np.sqrt(dimensions))) / _MOST


def int8(rows: Vectors) -> npt.NDArray[np.int8]:
    """Each value of unit vectors in steps of `step`, -127 to 127, in the shape of ``rows``; vectors of other lengths are scaled first."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit = rows / np.where(lengths > 0, lengths, 1)
    return np.clip(np.rint(unit / step(rows.shape[-1])), -_MOST, _MOST).astype(np.int8)


def uint8(rows: Vectors) -> npt.NDArray[np.uint8]:
    """`int8` plus 128: 1 to 255."""
    return (int8(rows).astype(np.int16) + 128).astype(np.uint8)


def _int8_rows(rows: Vectors, _first: int) -> bytes:
    return _dumped(int8(rows))


def _uint8_rows(rows: Vectors, _first: int) -> bytes:
    return _dumped(uint8(rows))


def _binary_rows(rows: Vectors, _first: int) -> bytes:
    return _dumped(signed_bits(rows))


def _ubinary_rows(rows: Vectors, _first: int) -> bytes:
    return _dumped(unsigned_bits(rows))


def _base64_rows(rows: Vectors, _first: int) -> bytes:
    return orjson.dumps(base64_of(rows))


def _dumped(values: npt.NDArray[np.int8] | npt.NDArray[np.uint8]) -> bytes:
    return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)


TYPES: Mapping[str, RowsToJson] = {
    "float": float_rows,
    "int8": _int8_rows,
    "uint8": _uint8_rows,
    "binary": _binary_rows,
    "ubinary": _ubinary_rows,
    "base64": _base64_rows,
}
"""How vectors are written, by the names of Cohere's `embedding_types`."""
