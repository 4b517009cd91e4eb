"""What the classes have in common that run a model in this process: their fields are checked, and the model is held until they go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from difflib import get_close_matches
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator
from tqdm import tqdm

WINDOW = 256
"""Texts between two steps of a progress bar."""


class Checked(BaseModel):
    """Fields that are known, and a model that can be let go."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        """Name the nearest field for one that is not known."""
        names = {name for own, field in cls.model_fields.items() for name in (own, field.alias) if name}
        for name in given if isinstance(given, dict) else ():
            if name not in names:
                near = get_close_matches(name, names, 1)
                more = f"did you mean {near[0]}?" if near else f"it takes {', '.join(sorted(names))}"
                inside = "; what is meant for the model goes into model_kwargs" if "model_kwargs" in names else ""
                msg = f"{cls.__name__} has no {name!r}: {more}{inside}"
                raise ValueError(msg)
        return given

    def __getstate__(self) -> dict[Any, Any]:
        """The fields: what is pickled or copied loads its model, or shares it, where it comes up again."""
        return dict(self.__dict__)

    def __setstate__(self, state: dict[Any, Any]) -> None:
        type(self).__init__(self, **state)

    def __copy__(self) -> Self:
        return type(self)(**self.__dict__)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return type(self)(**deepcopy(self.__dict__, memo))

    def close(self) -> None:
        """Let the model go; no more calls. It is unloaded when nothing in the process holds it any more."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def windows(texts: Sequence[str], *, bar: bool) -> Iterator[Sequence[str]]:
    """The texts, all at once or in parts behind a progress bar."""
    if not bar:
        yield texts
        return
    with tqdm(total=len(texts), desc="Embedding", unit="text") as shown:
        for start in range(0, len(texts), WINDOW):
            part = texts[start : start + WINDOW]
            yield part
            shown.update(len(part))
