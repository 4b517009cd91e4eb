"""Forms of vectors in OpenAI's and Jina's answers: numbers, base64, bits, or several of them at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import orjson

from textmill.http.vectors import RowsToJson, Vectors, base64_of, openai_base64_rows, openai_float_rows
from textmill.tasks.bits import signed_bits, unsigned_bits

Encoding = Literal["float", "base64", "binary", "ubinary"]


def rows_in(wanted: Encoding | Sequence[Encoding]) -> RowsToJson:
    """OpenAI's items with vectors in that form; for a list each vector is an object with all of these by their names."""
    if not isinstance(wanted, str):
        return _several(tuple(dict.fromkeys(wanted)))
    if wanted in _WHOLE:
        return _WHOLE[wanted]
    return _items(_FORMS[wanted])


_FORMS: Mapping[Encoding, Callable[[Vectors], Sequence[Any]]] = {
    "float": lambda rows: rows,  # type: ignore[dict-item,return-value] # an array is a sequence of its rows
    "base64": base64_of,
    "binary": signed_bits,  # type: ignore[dict-item] # as above
    "ubinary": unsigned_bits,  # type: ignore[dict-item] # as above
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
