"""What goes into a pickle of a component, and how it is made again: what it holds open is opened where it is unpickled."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Container
from typing import Any, ClassVar, Self

from llama_index.core.bridge.pydantic import BaseModel, PrivateAttr

_log = logging.getLogger(__name__)


class Reopened(BaseModel):
    """A component that holds a model, or connections to a server: pickles have its arguments, and copies the same hold."""

    _client: Any = PrivateAttr()
    _unwritten: ClassVar[tuple[str, ...]] = ("callback_manager", "api_key")
    """Arguments that are not pickled."""

    def close(self) -> None:
        """Let the model, or the connections to its server, go."""
        self._client.close()

    async def aclose(self) -> None:
        """`close`; what an event loop has opened is closed with each call."""
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """The arguments without secrets; the model is loaded, or the server asked, where they are unpickled."""
        return state_of(self, self._own_class(), self._unwritten)

    def __setstate__(self, state: dict[str, Any]) -> None:
        restore(self, self._own_class(), state)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy that has the same model."""
        return super().__deepcopy__({**(memo or {}), id(self._client): self._client})

    @classmethod
    def _own_class(cls) -> type[BaseModel]:
        """The class of ours whose constructor makes it, of which it may be a user's subclass."""
        return next(kind for kind in cls.__mro__ if Reopened in kind.__bases__)


def state_of(component: BaseModel, base: type[BaseModel], unwritten: Container[str]) -> dict[str, Any]:
    """The arguments but for the ``unwritten``, and what a subclass of ``base`` keeps besides; the component stays as it is."""
    fields = type(component).model_fields
    given = {name: value for name, value in component.__dict__.items() if name in fields and name not in unwritten}
    if "embeddings_cache" in given and not _fit(given["embeddings_cache"]):
        _log.warning("the embeddings cache cannot be pickled, and is left out")
        given["embeddings_cache"] = None
    own = {name: value for name, value in component.__dict__.items() if name not in fields}
    private = component.__pydantic_private__ or {}
    own |= {name: value for name, value in private.items() if name not in base.__private_attributes__}
    fit = {name: value for name, value in own.items() if _fit(value)}
    return {"__dict__": given, "own": fit, "whole": len(fit) == len(own)}


def restore(component: BaseModel, base: type[BaseModel], state: dict[str, Any]) -> None:
    """Make the component anew by the constructor of ``base``, and give it what its subclass keeps.

    Where some of that cannot be pickled, the subclass's own constructor makes it, which then has to take its fields as keywords.
    """
    made_by: Any = base if state["whole"] else type(component)
    made_by.__init__(component, **state["__dict__"])
    for name, value in state["own"].items():
        setattr(component, name, value)


def _fit(value: Any) -> bool:
    try:
        pickle.dumps(value)
    except (TypeError, pickle.PicklingError, AttributeError):
        return False
    return True
