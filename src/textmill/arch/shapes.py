"""Run a program with shapes in place of numbers, to find at load what would otherwise fail at the first request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from textmill.arch.heads import PER_TOKEN, Output
from textmill.arch.ops import Activation, Inputs, Pool, Tensor
from textmill.arch.positions import Relative, Rotation, Slopes, Table
from textmill.arch.program import Program
from textmill.errors import ModelBroken


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a weight, or the feature axes of a value that each token or each row has.

    ``source`` is the tensor that a weight is, or that a value was last made with: what a message can point at.
    """

    axes: tuple[int, ...]
    per: Literal["weight", "token", "row"]
    source: str

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.axes))}{',' if len(self.axes) == 1 else ''})"


def check(program: Program) -> dict[Output, Shape]:
    """The shape of each of the program's outputs, for a token or for a row.

    Raises ModelBroken, naming the tensor, where one is missing, has no place in the model, does not fit config.json or its
    neighbours, or has values that are no numbers.
    """
    index = Shape((), "token", "the input")
    ops = ShapeOps()
    outputs = program.run(ops, Inputs(index, index, index, index))
    optional = tuple(program.architecture.OPTIONAL)
    unread = [
        tensor.name
        for name, tensor in program.tensors.items()
        if tensor.name not in ops.read and not name.startswith(optional)
    ]
    if unread:
        msg = (
            f"the checkpoint's tensor {unread[0]} has no place in the model that its config.json describes"
            f"{f' (nor have {len(unread) - 1} others)' if unread[1:] else ''}; they do not belong together"
        )
        raise ModelBroken(msg)
    for tensor in dict.fromkeys(program.tensors.values()):
        if tensor.name in ops.read and not tensor.finite:
            msg = f"the checkpoint's tensor {tensor.name} has values that are NaN or infinity; download it again, or report it to its author"
            raise ModelBroken(msg)
    for output, shape in outputs.items():
        if output in PER_TOKEN and shape.per != "token":
            msg = f"the model's heads pool its tokens, so it has no {output} output"
            raise ModelBroken(msg)
        if output not in PER_TOKEN and shape.per != "row":
            msg = "the model ends in token states, not in one vector a text; its modules.json needs a Pooling module"
            raise ModelBroken(msg)
    return outputs


class ShapeOps:
    """The tensor vocabulary over shapes: each verb checks what it would compute with. ``read`` names the tensors used."""

    def __init__(self) -> None:
        self.read: set[str] = set()

    def weight(self, tensor: Tensor) -> Shape:
        """Take the tensor's shape."""
        self.read.add(tensor.name)
        return Shape(tensor.shape, "weight", tensor.name)

    def embedding(self, table: Shape, index: Shape) -> Shape:
        """One row of the table for each token."""
        if len(table.axes) != 2:  # noqa: PLR2004 - a table has two axes
            raise _misfit(table, "a table of two axes")
        return Shape((*index.axes, table.axes[1]), index.per, table.source)

    def add(self, x: Shape, y: Shape) -> Shape:
        """Broadcast."""
        return _broadcast(x, y)

    def multiply(self, x: Shape, y: Shape) -> Shape:
        """Broadcast."""
        return _broadcast(x, y)

    def activation(self, x: Shape, name: Activation) -> Shape:  # noqa: ARG002 - the vocabulary's signature
        """Keep the shape."""
        return x

    def linear(self, x: Shape, weight: Shape, bias: Shape | None) -> Shape:
        """Replace the last axis by the weight's first."""
        out = weight.axes[0] if weight.axes else 0
        _expect(weight, (out, x.axes[-1]), after=x)
        if bias is not None:
            _expect(bias, (out,), after=weight)
        return Shape((*x.axes[:-1], out), x.per, weight.source)

    def layer_norm(self, x: Shape, weight: Shape, bias: Shape | None, eps: float) -> Shape:  # noqa: ARG002 - as above
        """Keep the shape; weight and bias have the last axis."""
        _expect(weight, x.axes[-1:], after=x)
        if bias is not None:
            _expect(bias, x.axes[-1:], after=x)
        return replace(x, source=weight.source)

    def rms_norm(self, x: Shape, weight: Shape, eps: float) -> Shape:
        """Keep the shape; the weight has the last axis."""
        return self.layer_norm(x, weight, None, eps)

    def normalize(self, x: Shape) -> Shape:
        """Keep the shape."""
        return x

    def split_heads(self, x: Shape, heads: int) -> Shape:
        """Split the last axis."""
        if x.axes[-1] % heads:
            raise _misfit(x, f"a multiple of {heads} heads")
        return replace(x, axes=(*x.axes[:-1], heads, x.axes[-1] // heads))

    def merge_heads(self, x: Shape) -> Shape:
        """Join the last two axes."""
        return replace(x, axes=(*x.axes[:-2], x.axes[-2] * x.axes[-1]))

    def rope(self, x: Shape, positions: Shape, rotation: Rotation) -> Shape:  # noqa: ARG002 - as above
        """Keep the shape; there is a frequency for each pair, and some features may stay as they are."""
        if x.axes[-1] < 2 * len(rotation.frequencies):
            raise _misfit(x, f"heads of at least {2 * len(rotation.frequencies)} features")
        return x

    def attention(
        self,
        query: Shape,
        key: Shape,
        value: Shape,
        *,
        causal: bool,  # noqa: ARG002 - as above
        scale: float,  # noqa: ARG002
        window: int | None = None,  # noqa: ARG002
        bias: Table[Shape] | Slopes | None = None,
        relative: Relative[Shape] | None = None,
    ) -> Shape:
        """Keep the query's heads, with the value's width; keys serve groups of queries."""
        heads, width = query.axes
        if key.axes[-1] != width or heads % key.axes[0]:
            raise _misfit(key, f"heads of {width} features whose number divides {heads}")
        if value.axes[0] != key.axes[0]:
            raise _misfit(value, f"{key.axes[0]} heads, as {key.source}")
        if isinstance(bias, Table) and bias.entries.axes[1:] != (heads,):
            raise _misfit(bias.entries, f"a bias for each of {heads} heads")
        for positions in () if relative is None else (relative.keys, relative.queries):
            if positions is not None and positions.axes[1:] != (heads, width):
                raise _misfit(positions, f"{heads} heads of {width} features, as {query.source}")
        return replace(value, axes=(heads, value.axes[-1]))

    def experts(
        self,
        x: Shape,
        router: Shape,
        first: Shape,
        second: Shape,
        bias: Shape | None,
        *,
        top: int,
        activation: Activation,  # noqa: ARG002 - as above
    ) -> Shape:
        """Keep the shape."""
        count, features = router.axes
        _expect(router, (count, x.axes[-1]), after=x)
        _expect(first, (count, first.axes[1], features), after=router)
        _expect(second, (count, first.axes[1], features), after=first)
        if bias is not None:
            _expect(bias, (features,), after=second)
        if not 1 <= top <= count:
            raise _misfit(router, f"at least {top} experts")
        return replace(x, source=second.source)

    def convolve(self, x: Shape, weight: Shape, bias: Shape) -> Shape:
        """Replace the last axis by the weight's first."""
        out, _, width = weight.axes
        _expect(weight, (out, x.axes[-1], width), after=x)
        _expect(bias, (out,), after=weight)
        return replace(x, axes=(out,), source=weight.source)

    def pool(self, x: Shape, how: Pool) -> Shape:
        """From tokens to a row."""
        if x.per != "token":
            msg = f"{how} pooling needs token states, but the texts are vectors already; modules.json pools twice"
            raise ModelBroken(msg)
        return replace(x, per="row")

    def concatenate(self, parts: Sequence[Shape]) -> Shape:
        """Join the last axes."""
        return replace(parts[0], axes=(*parts[0].axes[:-1], sum(part.axes[-1] for part in parts)))


def _broadcast(x: Shape, y: Shape) -> Shape:
    try:
        axes = np.broadcast_shapes(x.axes, y.axes)
    except ValueError:
        raise _misfit(y, f"{x}, as {x.source}") from None
    value = x if y.per == "weight" else y
    return replace(value, axes=axes)


def _expect(weight: Shape, axes: tuple[int, ...], *, after: Shape) -> None:
    if weight.axes != axes:
        raise _misfit(weight, f"{replace(weight, axes=axes)} to follow {after.source}")


def _misfit(shape: Shape, expected: str) -> ModelBroken:
    return ModelBroken(f"the checkpoint's tensor {shape.source} gives shape {shape}, but the model needs {expected}")
