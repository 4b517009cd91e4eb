"""A checkpoint's tensors seen from a prefix, handed to the runtime as they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from textmill.arch.ops import Ops, Tensor
from textmill.errors import ModelBroken

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Weights(Generic[T]):
    """Reads like the checkpoint: ``weights.at("encoder.layer.0")["output.dense.weight"]``.

    Layers take the sizes that config.json gives them and raise ModelBroken where the tensor has others; what follows from
    the layers before is checked by `textmill.arch.shapes`. Where ``biased``, linear layers and layer norms must have a bias.
    """

    ops: Ops[T]
    tensors: Mapping[str, Tensor]
    prefix: str = ""
    biased: bool = False

    def at(self, name: str) -> Weights[T]:
        """The tensors below ``name``."""
        return replace(self, prefix=f"{self.prefix}{name}.")

    def with_biases(self) -> Weights[T]:
        """The same tensors, of layers that must have a bias."""
        return replace(self, biased=True)

    def __getitem__(self, name: str) -> T:
        """The tensor of that name; raises ModelBroken where the checkpoint lacks it."""
        return self.ops.weight(self._tensor(name))

    def get(self, name: str) -> T | None:
        """The tensor of that name, or None where the checkpoint lacks it."""
        return self[name] if self.prefix + name in self.tensors else None

    def embedding(self, name: str, index: T, entries: int, features: int) -> T:
        """Rows of the table of that name, which is (entries, features)."""
        return self.ops.embedding(self.table(name, entries, features), index)

    def table(self, name: str, entries: int, features: int) -> T:
        """The table of that name, which is (entries, features)."""
        tensor = self._tensor(f"{name}.weight")
        if tensor.shape != (entries, features):
            raise _misfit(tensor, f"({entries}, {features})")
        return self.ops.weight(tensor)

    def linear(self, name: str, x: T, features: int | None = None) -> T:
        """Apply the linear layer of that name, with its bias where it has one; ``features`` is the width of its output."""
        tensor = self._tensor(f"{name}.weight")
        if features is not None and tensor.shape[:1] != (features,):
            raise _misfit(tensor, f"({features}, …)")
        return self.ops.linear(x, self.ops.weight(tensor), self._bias(name))

    def product(self, name: str, x: T, features: int) -> T:
        """Apply the linear layer of that name, which never has a bias; ``features`` is the width of its output."""
        tensor = self._tensor(f"{name}.weight")
        if tensor.shape[:1] != (features,):
            raise _misfit(tensor, f"({features}, …)")
        return self.ops.linear(x, self.ops.weight(tensor), None)

    def convolve(self, name: str, x: T, features: int, width: int) -> T:
        """Apply the convolution of that name; its kernel is (features, features, width)."""
        tensor = self._tensor(f"{name}.weight")
        if tensor.shape != (features, features, width):
            raise _misfit(tensor, f"({features}, {features}, {width})")
        return self.ops.convolve(x, self.ops.weight(tensor), self[f"{name}.bias"])

    def layer_norm(self, name: str, x: T, eps: float) -> T:
        """Apply the layer norm of that name, with its bias where it has one."""
        return self.ops.layer_norm(x, self[f"{name}.weight"], self._bias(name), eps)

    def rms_norm(self, name: str, x: T, eps: float) -> T:
        """Apply the root-mean-square norm of that name."""
        return self.ops.rms_norm(x, self[f"{name}.weight"], eps)

    def _bias(self, name: str) -> T | None:
        return self[f"{name}.bias"] if self.biased else self.get(f"{name}.bias")

    def _tensor(self, name: str) -> Tensor:
        tensor = self.tensors.get(self.prefix + name)
        if tensor is None:
            msg = f"the checkpoint has no tensor {self.prefix}{name}; its weights do not belong to its config.json"
            raise ModelBroken(msg)
        return tensor


def _misfit(tensor: Tensor, expected: str) -> ModelBroken:
    return ModelBroken(
        f"the checkpoint's tensor {tensor.name} has shape {tensor.shape}, but its config.json makes it {expected}"
    )
