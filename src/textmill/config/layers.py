"""Values of options from several sources, each with the place where it was stated, and which of them holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from textmill.config.options import ModelOptions
from textmill.errors import ConfigInvalid

Kind = TypeVar("Kind", bound=ModelOptions)

_EXCLUSIVE = (("default_prompt", "default_prompt_name"),)
"""Options of which one at most may be stated, whatever the sources."""


@dataclass(frozen=True, slots=True)
class Stated:
    """A value of the option's type, and the name of the flag, variable, key or keyword that it was stated by."""

    value: object
    where: str


Layer = Mapping[str, Stated]
"""What one source states, by the option's name."""


def stated(layers: Sequence[Layer], name: str) -> Stated | None:
    """What the first layer that knows of the option states; None where none does."""
    return next((layer[name] for layer in layers if name in layer), None)


def settle(kind: type[Kind], layers: Sequence[Layer]) -> Kind:
    """The options, each from the first layer that states it, or its default.

    Raises ConfigInvalid, naming both places, where two options are stated that exclude each other.
    """
    for one, other in _EXCLUSIVE:
        first, second = stated(layers, one), stated(layers, other)
        if first is not None and second is not None:
            msg = f"{first.where} and {second.where} exclude each other; give one of them"
            raise ConfigInvalid(msg)
    values = {name: stated.value for layer in reversed(layers) for name, stated in layer.items()}
    return msgspec.convert(values, kind)
