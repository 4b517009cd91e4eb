"""An object of Python that a model file names as ``module:object``, and whether this server may import its module."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_PLACE = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<name>[A-Za-z_]\w*)")


@dataclass(frozen=True, slots=True)
class Place:
    """A module, and the name of something in it."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"


def place_of(model: str) -> Place | None:
    """The place that ``parameters.model`` means; None for anything else."""
    found = _PLACE.fullmatch(model.strip())
    return None if found is None else Place(found["module"], found["name"])


def is_allowed(module: str, allowed: Iterable[str]) -> bool:
    """Whether a module is one of those, or lies below one."""
    return any(f"{module}.".startswith(f"{each}.") for each in allowed)


def refusal_of(model: str, allowed: Iterable[str]) -> str | None:
    """Why the object may not be imported, None where it may: its module, or one that it lies in, must be allowed."""
    place = place_of(model)
    if place is None:
        return f"backend python needs parameters.model as module:object, such as my_models.english:Embedder, and it is {model!r:.200}"
    if is_allowed(place.module, allowed):
        return None
    return (
        f"backend python runs code of the module {place.module}, which this server may not; "
        f"start it with --python-models {place.module} to allow it"
    )
