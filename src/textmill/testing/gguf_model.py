"""GGUF files with weights: keys, a vocabulary and tensors, written the same byte for byte each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGUFWriter

from textmill.testing.gguf_vocabulary import Vocabulary

Value = str | int | float | bool | Sequence[int] | Sequence[str]
Tensors = Mapping[str, npt.NDArray[np.float32]]


def write_model(
    path: Path,
    architecture: str,
    keys: Mapping[str, Value],
    vocabulary: Vocabulary,
    tensors: Tensors,
    dtype: npt.DTypeLike = np.float16,
) -> Path:
    """Write a model; returns ``path``, whose folder is made where it is missing.

    Keys that begin with a dot belong to the architecture. Matrices are stored in ``dtype``, vectors in float32, as converters do.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = GGUFWriter(path, architecture)
    writer.add_type("model")
    for key, value in keys.items():
        _add(writer, architecture + key if key.startswith(".") else key, value)
    vocabulary.add_to(writer)
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor.astype(dtype if _shortened(name, tensor) else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _shortened(name: str, tensor: npt.NDArray[np.float32]) -> bool:
    """Whether llama.cpp takes a tensor in another type: rows of the two small tables are added to others, in float32."""
    return tensor.ndim > 1 and not name.startswith(("position_embd", "token_types"))


def _add(writer: GGUFWriter, key: str, value: Value) -> None:
    if isinstance(value, str):
        writer.add_string(key, value)
    elif isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_array(key, value)
