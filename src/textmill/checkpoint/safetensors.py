"""One safetensors file, as views of mapped memory.

The safetensors library reads and checks the header. It would copy every tensor into memory of its own, and numpy has no
bfloat16, so the data are viewed here. The format (https://huggingface.co/docs/safetensors) is eight bytes with the header's
length, little-endian, then the header, then the tensors side by side: where one begins is the sum of what precedes it.
"""

from __future__ import annotations

import math
import mmap
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from textmill.arch.ops import DType, Tensor
from textmill.checkpoint.lfs import refuse_pointer
from textmill.errors import ModelBroken

_LENGTH_BYTES = 8
_DTYPES: Mapping[str, tuple[DType, type[np.generic]]] = {
    "F32": ("float32", np.float32),
    "F16": ("float16", np.float16),
    "BF16": ("bfloat16", np.uint16),
}
_INTEGER_BYTES = {"BOOL": 1, "I8": 1, "U8": 1, "I16": 2, "U16": 2, "I32": 4, "U32": 4, "I64": 8, "U64": 8}
_OTHERS = {"I8": np.int8, "U8": np.uint8, "I16": np.int16, "I32": np.int32, "I64": np.int64, "F64": np.float64}
_BYTES = _INTEGER_BYTES | {"F64": 8} | {code: np.dtype(native).itemsize for code, (_, native) in _DTYPES.items()}
_PARAMETERS = ("weight", "bias", "gamma", "beta")
"""How the names of layers' parameters end."""
_MASK_AXES = 3
"""Older checkpoints call a mask (1, 1, tokens, tokens) the bias of their attention."""
_open: Any = safe_open  # the library's stub gives no types


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor of a header; its data begin ``place`` bytes into the file."""

    dtype: str
    shape: tuple[int, ...]
    place: int


class SafetensorsFile:
    """An open file: ``entries`` by name, and views of the data.

    Raises ModelBroken for a file that is missing, truncated or damaged, or has a dtype whose size is not known here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        refuse_pointer(path)
        try:
            with path.open("rb") as file:
                self._size = file.seek(0, 2)
                with _open(path, framework="numpy") as header:
                    # A private mapping is writable, so frameworks share it without a copy; writes never reach the file.
                    self._mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
                    self.entries = self._entries(header)
        except SafetensorError as error:
            said = str(error).removeprefix("Error while deserializing header: ")
            self._refuse(f"safetensors says {textwrap.shorten(said, 160, placeholder=' ...')}")
        except FileNotFoundError:
            msg = f"{path.parent} has no {path.name}"
            raise ModelBroken(msg) from None
        except OSError as error:
            msg = f"{path} cannot be opened: {error}"
            raise ModelBroken(msg) from error

    def tensor(self, name: str, *, called: str) -> Tensor | None:
        """A view of a tensor, to be ``called`` so in messages; None for an integer buffer, such as position ids or a mask.

        Raises ModelBroken for weights of a dtype that textmill does not compute with.
        """
        entry = self.entries[name]
        if entry.dtype in _INTEGER_BYTES:
            if name.endswith(_PARAMETERS) and not (name.endswith("bias") and len(entry.shape) >= _MASK_AXES):
                self._refuse_dtype(name, entry.dtype)
            return None
        if entry.dtype not in _DTYPES:
            self._refuse_dtype(name, entry.dtype)
        dtype, native = _DTYPES[entry.dtype]
        data = np.frombuffer(self._mapped, native, count=math.prod(entry.shape), offset=entry.place)
        # Old writers did not pad their header; frameworks may not read values across a word's edge.
        data = data if data.flags.aligned else data.copy()
        try:
            return Tensor(data.reshape(entry.shape), dtype, called)
        except (ValueError, OverflowError) as error:  # more axes than numpy has, or no values but a length past 2**63
            self._refuse(f"tensor {name} has an impossible shape ({error})")

    def others(self, name: str) -> npt.NDArray[Any] | None:
        """A copy of a tensor in a dtype that models do not compute with, integers or float64; None for any other tensor."""
        entry = self.entries[name]
        if entry.dtype not in _OTHERS:
            return None
        native = np.dtype(_OTHERS[entry.dtype])
        data = np.frombuffer(self._mapped, np.uint8, count=math.prod(entry.shape) * native.itemsize, offset=entry.place)
        return data.copy().view(native).reshape(entry.shape)

    def _entries(self, header: Any) -> dict[str, Entry]:
        """The tensors of an open header, in the order of their data."""
        entries = {}
        place = _LENGTH_BYTES + int.from_bytes(self._mapped[:_LENGTH_BYTES], "little")
        for name in header.offset_keys():
            tensor = header.get_slice(name)
            dtype, shape = tensor.get_dtype(), tuple(tensor.get_shape())
            if dtype not in _BYTES:
                self._refuse_dtype(name, dtype)
            entries[name] = Entry(dtype, shape, place)
            place += math.prod(shape) * _BYTES[dtype]
        # The library refuses gaps today; should it ever allow them, every view after one would be of the wrong bytes.
        if place != len(self._mapped):
            self._refuse(f"its tensors end at {place}")
        return entries

    def _refuse_dtype(self, name: str, dtype: str) -> NoReturn:
        msg = (
            f"{self.path}: tensor {name} has dtype {dtype}, but textmill reads {', '.join(_DTYPES)}; "
            "take a checkpoint that is not quantised, or convert it to float32"
        )
        raise ModelBroken(msg)

    def _refuse(self, problem: str) -> NoReturn:
        msg = f"{self.path} is truncated or damaged: it has {self._size} bytes, and {problem}; download it again"
        raise ModelBroken(msg)
