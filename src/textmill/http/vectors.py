"""Vectors to JSON, straight from numpy: shortest float32 decimals, or base64."""

from __future__ import annotations

import asyncio
from binascii import b2a_base64
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import orjson

from textmill.contract import Chunk, SparseVector

Vectors = npt.NDArray[np.float32]
RowsToJson = Callable[[Vectors, int], bytes]
"""A JSON array of some rows; the integer is the index of the first."""

_VALUES_A_STEP = 65_536
"""About 2 ms of encoding: the event loop serves others between steps of a large answer."""
_ENTRIES_A_STEP = 8_192
"""The same for entries of sparse vectors."""


def float_rows(rows: Vectors, _first: int) -> bytes:
    """``[[…], …]``, as TEI answers. NaN and infinities become null."""
    return orjson.dumps(rows, option=orjson.OPT_SERIALIZE_NUMPY)


def openai_float_rows(rows: Vectors, first: int) -> bytes:
    """OpenAI's items with lists of numbers."""
    items = [{"object": "embedding", "embedding": row, "index": first + i} for i, row in enumerate(rows)]
    return orjson.dumps(items, option=orjson.OPT_SERIALIZE_NUMPY)


def base64_of(rows: Vectors) -> list[str]:
    """Each vector as little-endian float32 in base64, standard alphabet and padding."""
    return [b2a_base64(row.tobytes(), newline=False).decode() for row in rows.astype("<f4", copy=False)]


def openai_base64_rows(rows: Vectors, first: int) -> bytes:
    """OpenAI's items with vectors as `base64_of` has them."""
    items = [{"object": "embedding", "embedding": text, "index": first + i} for i, text in enumerate(base64_of(rows))]
    return orjson.dumps(items)


async def json_array(vectors: Vectors, encode: RowsToJson) -> bytes:
    """The vectors as one JSON array of bytes, in steps where there are many."""
    vectors = np.ascontiguousarray(vectors)
    count, width = vectors.shape
    step = max(1, _VALUES_A_STEP // max(1, width))
    if count <= step:
        return encode(vectors, 0)
    pieces: list[bytes] = []
    for first in range(0, count, step):
        pieces.append(encode(vectors[first : first + step], first)[1:-1])
        await asyncio.sleep(0)
    return b"[" + b",".join(pieces) + b"]"


async def nested_array(arrays: Sequence[Vectors]) -> bytes:
    """Arrays of any number of rows as one JSON array of arrays of vectors, in steps where there are many."""
    return b"[" + b",".join([await json_array(vectors, float_rows) for vectors in arrays]) + b"]"


async def sparse_array(vectors: Sequence[SparseVector]) -> bytes:
    """``[[{"index": …, "value": …}, …], …]``, as TEI answers, in steps where there are many."""
    pieces: list[bytes] = []
    entries = 0
    for vector in vectors:
        pairs = zip(vector.indices.tolist(), vector.values, strict=True)
        items = [{"index": index, "value": value} for index, value in pairs]
        pieces.append(orjson.dumps(items, option=orjson.OPT_SERIALIZE_NUMPY))
        entries += len(items)
        if entries >= _ENTRIES_A_STEP:
            entries = 0
            await asyncio.sleep(0)
    return b"[" + b",".join(pieces) + b"]"


async def chunk_array(texts: Sequence[Sequence[Chunk]]) -> bytes:
    """``[[{"start": …, "end": …, "tokens": …, "embedding": […]}, …], …]``, in steps, a text each."""
    pieces = []
    for chunks in texts:
        items = [{"start": c.start, "end": c.end, "tokens": c.tokens, "embedding": c.vector} for c in chunks]
        pieces.append(orjson.dumps(items, option=orjson.OPT_SERIALIZE_NUMPY))
        await asyncio.sleep(0)
    return b"[" + b",".join(pieces) + b"]"
