"""Checkpoints of static embeddings: the table, as sentence-transformers 6 (StaticEmbedding) and model2vec write it.

The first calls it ``embedding.weight``. The second calls it ``embeddings`` and may have a factor for each token (``weights``)
and, where tokens share rows, the row of each (``mapping``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from textmill.arch.ops import Tensor
from textmill.checkpoint.jsonfile import JsonFile
from textmill.checkpoint.modules import Module
from textmill.checkpoint.safetensors import SafetensorsFile
from textmill.checkpoint.tensors import WEIGHTS
from textmill.errors import ModelBroken

MODULE = "StaticEmbedding"
MODEL2VEC = "model2vec"
ARCHITECTURE = "static"
MAX_TOKENS = 131_072
"""sentence-transformers has no limit; this one keeps what a single text can cost within reason."""

_TABLE = "embedding.weight"
_ROWS, _MAPPING, _FACTORS = "embeddings", "mapping", "weights"
_AXES = 2


def model2vec_modules(folder: Path) -> list[Module]:
    """What modules.json would say of a folder of model2vec that has none; nothing for another folder."""
    config = JsonFile.read_if_there(folder / "config.json")
    if config.data.get("model_type") != MODEL2VEC:
        return []
    modules = [Module(f"sentence_transformers.models.{MODULE}", ".", 0)]
    if config.get("normalize", bool, default=False):
        modules.append(Module("sentence_transformers.models.Normalize", "1_Normalize", 1))
    return modules


def read_config(folder: Path) -> JsonFile:
    """The config.json that such a checkpoint would have, by the sizes of its table.

    The table has one row more than the file: zeros, for a text without tokens.
    """
    file = SafetensorsFile(folder / WEIGHTS)
    rows, width = _shape(file)
    if _MAPPING in file.entries:
        rows = file.entries[_MAPPING].shape[0] if file.entries[_MAPPING].shape else 0
    sizes: dict[str, Any] = {"model_type": ARCHITECTURE, "vocab_size": rows + 1, "hidden_size": width}
    return JsonFile(folder / "config.json", sizes)


def open_table(folder: Path) -> Mapping[str, Tensor]:
    """The table with a row for each token id, float32, and the row of zeros.

    Raises ModelBroken for tensors that miss, exceed or do not fit each other.
    """
    file = SafetensorsFile(folder / WEIGHTS)
    count, width = _shape(file)
    rows = _values(file, _table_name(file))
    known = {_TABLE} if _TABLE in file.entries else {_ROWS, _MAPPING, _FACTORS}
    for name in file.entries:
        if name not in known:
            _refuse(file, name, "has no place in a table of static embeddings")
    if _MAPPING in file.entries:
        rows = rows[_mapping(file, count)]
    table = np.zeros((len(rows) + 1, width), np.float32)
    table[:-1] = rows
    if _FACTORS in file.entries:
        factors = _values(file, _FACTORS)
        if factors.shape != (len(rows),):
            _refuse(file, _FACTORS, f"has shape {factors.shape}, but there are {len(rows)} tokens")
        table[:-1] *= factors[:, None]
    return {_TABLE: Tensor(table, "float32", _TABLE)}


def rows_said(folder: Path) -> str:
    """Where the number of token ids stands, for messages, with ``{}`` for it."""
    file = SafetensorsFile(folder / WEIGHTS)
    name = _MAPPING if _MAPPING in file.entries else _table_name(file)
    return f"{WEIGHTS} has {{}} rows in {name}"


def max_tokens(folder: Path) -> int:
    """The most tokens of a text: where tokenizer.json cuts, which counts here as it does in sentence-transformers."""
    tokenizer = JsonFile.read_if_there(folder / "tokenizer.json")
    cut = JsonFile(tokenizer.path, tokenizer.data.get("truncation") or {"max_length": MAX_TOKENS})
    return min(cut.size("max_length"), MAX_TOKENS)


def _table_name(file: SafetensorsFile) -> str:
    for name in (_TABLE, _ROWS):
        if name in file.entries:
            return name
    msg = f"{file.path} has no tensor {_TABLE} (nor model2vec's {_ROWS}), the table of static embeddings"
    raise ModelBroken(msg)


def _shape(file: SafetensorsFile) -> tuple[int, int]:
    name = _table_name(file)
    shape = file.entries[name].shape
    if len(shape) != _AXES or 0 in shape:
        _refuse(file, name, f"has shape {shape}, but a table has rows and features")
    return shape[0], shape[1]


def _mapping(file: SafetensorsFile, count: int) -> npt.NDArray[Any]:
    mapping = file.others(_MAPPING)
    if mapping is None or mapping.ndim != 1 or not np.issubdtype(mapping.dtype, np.integer):
        _refuse(file, _MAPPING, "must have one whole number for each token")
    if len(mapping) and not 0 <= int(mapping.min()) <= int(mapping.max()) < count:
        _refuse(file, _MAPPING, f"points to row {int(mapping.max())}, but {_ROWS} has {count}")
    return mapping


def _values(file: SafetensorsFile, name: str) -> npt.NDArray[Any]:
    other = file.others(name)
    if other is not None:
        return other
    tensor = file.tensor(name, called=name)
    if tensor is None:
        _refuse(file, name, "has values that are no numbers")
    return tensor.widened()


def _refuse(file: SafetensorsFile, name: str, problem: str) -> NoReturn:
    msg = f"{file.path}: tensor {name} {problem}"
    raise ModelBroken(msg)
