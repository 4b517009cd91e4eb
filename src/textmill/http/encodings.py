"""Forms of vectors in OpenAI's and Jina's answers: numbers, base64, bits, or several of them at once."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import orjson

from textmill.http.vectors import RowsToJson, Vectors, openai_base64_rows, openai_float_rows

Encoding = Literal["float", "base64", "binary", "ubinary"]


def rows_in(wanted: Encoding | Sequence[Encoding]) -> RowsToJson:
    """OpenAI's items with vectors in that form; for a list each vector is an object with all of these by their names."""
    if not isinstance(wanted, str):
        return _several(tuple(dict.fromkeys(wanted)))
    if wanted in _WHOLE:
        return _WHOLE[wanted]
    return _items(_FORMS[wanted])


def bits(rows: Vectors) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Eight values to a byte, the first at its highest bit: 1 where it is greater than 0. Rows are filled up with zeros, as numpy's packbits does."""
    return np.packbits(rows > 0, axis=-1)


def signed_bits(rows: Vectors) -> np.ndarray[Any, np.dtype[np.int8]]:
    """`bits` less 128, as sentence-transformers, Cohere and Jina have it."""
    return (bits(rows).astype(np.int16) - 128).astype(np.int8)


def _base64(rows: Vectors) -> list[str]:
    return [b2a_base64(row.tobytes(), newline=False).decode() for row in rows.astype("<f4", copy=False)]


_FORMS: Mapping[Encoding, Callable[[Vectors], Sequence[Any]]] = {
    "float": lambda rows: rows,  # type: ignore[dict-item,return-value] # an array is a sequence of its rows
    "base64": _base64,
    "binary": signed_bits,  # type: ignore[dict-item] # as above
    "ubinary": bits,  # type: ignore[dict-item] # as above
}
_WHOLE: Mapping[str, RowsToJson] = {"float": openai_float_rows, "base64": openai_base64_rows}


def _items(form: Callable[[Vectors], Sequence[Any]]) -> RowsToJson:
    def encode(rows: Vectors, first: int) -> bytes:
        made = [_item(value, first + index) for index, value in enumerate(form(rows))]
        return orjson.dumps(made, option=orjson.OPT_SERIALIZE_NUMPY)

    return encode


def _several(wanted: Sequence[Encoding]) -> RowsToJson:
    def encode(rows: Vectors, first: int) -> bytes:
        columns = [_FORMS[each](rows) for each in wanted]
        made = [
            _item(dict(zip(wanted, values, strict=True)), first + index)
            for index, values in enumerate(zip(*columns, strict=True))
        ]
        return orjson.dumps(made, option=orjson.OPT_SERIALIZE_NUMPY)

    return encode


def _item(embedding: object, index: int) -> dict[str, object]:
    return {"object": "embedding", "embedding": embedding, "index": index}
