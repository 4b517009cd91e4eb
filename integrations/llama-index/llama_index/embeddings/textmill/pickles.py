"""What goes into a pickle of a component, and how it is made again: what it holds open is opened where it is unpickled."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Container
from typing import Any

from llama_index.core.bridge.pydantic import BaseModel

_log = logging.getLogger(__name__)


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
