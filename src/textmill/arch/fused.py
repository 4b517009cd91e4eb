"""Layers that a checkpoint keeps as one tensor, cut into those that an architecture reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from textmill.arch.ops import Tensor
from textmill.errors import ModelBroken


def cut_layers(tensors: Mapping[str, Tensor], cuts: Mapping[str, Sequence[str]]) -> dict[str, Tensor]:
    """Each fused layer as its parts, of equally many outputs, in order; all other tensors as they are.

    ``cuts`` maps the end of a fused layer's name to the ends of its parts' names: with ``{"Wqkv": ("q", "k", "v")}``,
    `layers.0.Wqkv.bias` becomes `layers.0.q.bias` and so on. The parts are views. Raises ModelBroken, naming the tensor, where
    it cannot be cut.
    """
    plain: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        fused = next((end for end in cuts if layer == end or layer.endswith(f".{end}")), None)
        if fused is None:
            plain[name] = tensor
            continue
        before = layer.removesuffix(fused)
        for part, piece in zip(cuts[fused], cut(tensor, len(cuts[fused])), strict=True):
            plain[f"{before}{part}.{kind}"] = piece
    return plain


def cut(tensor: Tensor, count: int) -> tuple[Tensor, ...]:
    """The tensor's rows in ``count`` equal parts; raises ModelBroken where they do not come out even."""
    rows = tensor.shape[0] if tensor.shape else 0
    if not rows or rows % count:
        msg = (
            f"the checkpoint's tensor {tensor.name} has shape {tensor.shape}; it must hold {count} layers of equal size"
        )
        raise ModelBroken(msg)
    size = rows // count
    return tuple(replace(tensor, data=tensor.data[at : at + size]) for at in range(0, rows, size))
