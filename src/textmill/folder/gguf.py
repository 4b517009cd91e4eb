"""What the head of a GGUF file says of its model (the GGUF specification, versions 2 and 3); the weights are never read."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from textmill.errors import ModelBroken

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_KEYS = 65_536
_MAX_LAYERS = 1024
_MAX_TEXT = 8 << 20
"""Bytes of a key or text; a chat template has some thousands."""
_NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_TEXT, _ARRAY = 8, 9
_POOLINGS = {0: "none", 1: "mean", 2: "cls", 3: "last", 4: "rank"}


@dataclass(frozen=True, slots=True)
class GgufFacts:
    """The facts of a GGUF file. ``pooling`` is empty where the file names none, ``context`` 0 where it has no such key.

    ``cached`` is how many numbers the cache of keys and values holds for each token, of all layers together; 0 where the file does not
    tell, or the model has no such cache.
    """

    architecture: str
    context: int = 0
    pooling: str = ""
    chat_template: bool = False
    type: str = ""
    cached: int = 0


def read_gguf(path: Path) -> GgufFacts:
    """The facts of a file; raises ModelBroken, naming it, for one that is cut off or of another kind."""
    try:
        stamp = path.stat()
        return _read(path, stamp.st_mtime_ns, stamp.st_size)
    except (OSError, struct.error, ValueError, IndexError, UnicodeDecodeError) as error:
        msg = f"{path} is no whole GGUF file: {error}"
        raise ModelBroken(msg) from None


@lru_cache(maxsize=256)
def _read(path: Path, _mtime: int, _size: int) -> GgufFacts:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        values = _Head(data).values()
    architecture = str(values.get("general.architecture", ""))
    pooling = values.get(f"{architecture}.pooling_type")
    context = values.get(f"{architecture}.context_length", 0)
    return GgufFacts(
        architecture=architecture,
        context=context if isinstance(context, int) else 0,
        pooling=_POOLINGS.get(pooling, "") if isinstance(pooling, int) else "",
        chat_template=bool(values.get("tokenizer.chat_template")),
        type=str(values.get("general.type", "")),
        cached=_cached(architecture, values),
    )


def _cached(architecture: str, values: Mapping[str, Any]) -> int:
    """Numbers in the cache of a token: of each layer's heads of keys and values."""
    try:
        layers, heads = values[f"{architecture}.block_count"], values[f"{architecture}.attention.head_count"]
        shared = values.get(f"{architecture}.attention.head_count_kv", heads)
        most = max(heads) if isinstance(heads, list) else heads
        usual = values[f"{architecture}.embedding_length"] // most
        widths = [values.get(f"{architecture}.attention.{kind}_length", usual) for kind in ("key", "value")]
        of_all = sum(shared) if isinstance(shared, list) else layers * shared
        return int(of_all * sum(widths)) if values.get(f"{architecture}.attention.causal", True) else 0
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return 0


class _Head:
    """The keys and values at the beginning of a file, long arrays and those of texts left out."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def values(self) -> Mapping[str, Any]:
        if self._data[:4] != MAGIC:
            msg = "it does not begin with GGUF"
            raise ValueError(msg)
        self._at = 4
        version, _, keys = self._number("<I"), self._number("<Q"), self._number("<Q")
        if version not in _VERSIONS or keys > _MAX_KEYS:
            msg = f"its version is {version} and it has {keys} keys"
            raise ValueError(msg)
        found = {}
        for _ in range(keys):
            key, kind = self._text(), self._number("<I")
            found[key] = self._value(kind)
        return found

    def _value(self, kind: int) -> Any:
        if kind == _TEXT:
            return self._text()
        if kind == _ARRAY:
            return self._array(self._number("<I"), self._number("<Q"))
        if kind not in _NUMBERS:
            msg = f"it has a value of type {kind}"
            raise ValueError(msg)
        return self._number(_NUMBERS[kind])

    def _array(self, kind: int, count: int) -> list[Any] | None:
        """A short array of numbers, such as one for each layer; others are gone past. Those of arrays do not occur in models."""
        if kind in _NUMBERS and count <= _MAX_LAYERS:
            return [self._number(_NUMBERS[kind]) for _ in range(count)]
        if kind in _NUMBERS:
            self._go(count * struct.calcsize(_NUMBERS[kind]))
            return None
        if kind != _TEXT or count > len(self._data):
            msg = f"it has an array of {count} values of type {kind}"
            raise ValueError(msg)
        for _ in range(count):
            self._go(self._number("<Q"))
        return None

    def _number(self, form: str) -> Any:
        value = struct.unpack_from(form, self._data, self._at)[0]
        self._at += struct.calcsize(form)
        return value

    def _text(self) -> str:
        length = self._number("<Q")
        if length > _MAX_TEXT:
            msg = f"it has a text of {length} bytes"
            raise ValueError(msg)
        start = self._at
        self._go(length)
        return self._data[start : self._at].decode(errors="replace")

    def _go(self, count: int) -> None:
        self._at += count
        if self._at > len(self._data):
            msg = "it is cut off"
            raise ValueError(msg)
