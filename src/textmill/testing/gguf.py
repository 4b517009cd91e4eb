"""GGUF files without weights: heads that say what a model is, for tests that only look at them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

Value = str | int | float | bool | Sequence[str] | Sequence[int]


def write_gguf(path: Path, values: Mapping[str, Value], *, version: int = 3) -> Path:
    """Write a file with these keys and no tensors; whole numbers are uint32, lists arrays of texts or uint32; returns ``path``."""
    head = b"GGUF" + struct.pack("<IQQ", version, 0, len(values))
    path.write_bytes(head + b"".join(_text(key) + _value(value) for key, value in values.items()))
    return path


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _value(value: Value) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    texts = all(isinstance(item, str) for item in value)
    items = b"".join(_text(str(item)) if texts else struct.pack("<I", item) for item in value)
    return struct.pack("<IIQ", 9, 8 if texts else 4, len(value)) + items
