"""Vectors as bits: one for each value, eight in a byte."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def unsigned_bits(vectors: Floats) -> npt.NDArray[np.uint8]:
    """The vectors (n, d) as bytes (n, ⌈d/8⌉): a bit is 1 for what is above 0, the first the most significant; zeros fill the last byte.

    As sentence-transformers' ``quantize_embeddings`` has it for ``ubinary``.
    """
    return np.packbits(vectors > 0, axis=-1)


def signed_bits(vectors: Floats) -> npt.NDArray[np.int8]:
    """`unsigned_bits` less 128: sentence-transformers' ``binary``, and that of Cohere and Jina."""
    return (unsigned_bits(vectors).astype(np.int16) - 128).astype(np.int8)
