"""Weights on a device that PyTorch knows."""

from __future__ import annotations

import numpy as np
import torch  # noqa: TID253 - one of the files that own the framework
from torch import Tensor as Array  # noqa: TID253 - as above

from textmill.arch.ops import Tensor


class Store:
    """The weights on the device, each taken there when it is first asked for.

    On a CPU at float32 a float32 weight stays where it lies, in the checkpoint's mapped memory. To a GPU a weight goes through
    pinned memory, in the file's precision, and is converted there.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        self.dtype = dtype
        self._arrays: dict[Tensor, Array] = {}

    def __getitem__(self, tensor: Tensor) -> Array:
        array = self._arrays.get(tensor)
        if array is None:
            # torch has no read-only tensors; checkpoints are mapped privately, so theirs pass for writable.
            array = torch.from_numpy(np.require(tensor.data, requirements=("C", "W")))
            if tensor.dtype == "bfloat16":
                array = array.view(torch.bfloat16)
            if self.device.type == "cuda":
                array = array.pin_memory().to(self.device, non_blocking=True)
            array = self._arrays[tensor] = array.to(self.device, self.dtype)
        return array

    def clear(self) -> None:
        """Forget all weights."""
        self._arrays.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
