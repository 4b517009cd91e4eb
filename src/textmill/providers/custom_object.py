"""An object of somebody else's as a model: which verbs it has, what they are given, and whether what they give makes sense."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from textmill.errors import ConfigInvalid, ForwardFailed, TextmillError

_log = logging.getLogger("textmill")

Floats = npt.NDArray[np.float32]
Verb = Literal["embed", "rerank", "classify"]
VERBS: tuple[Verb, ...] = get_args(Verb)
"""What an object may do, by the names of its methods."""

_OPTIONAL = ("kind", "prompt")
"""Keywords that are passed on where a method takes them."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the object, and which of the optional keywords it takes."""

    call: Callable[..., Any]
    takes: frozenset[str]


class CustomObject:
    """The object behind a model, called by the name ``title`` in messages; ``facts`` are what it was made of.

    A function counts as an object whose only verb is ``embed``. Raises ConfigInvalid for an object without any verb.
    """

    def __init__(self, given: object, title: str, facts: str = "") -> None:
        self._given = given
        self.facts = facts
        self.title = title
        self._methods = MappingProxyType(_methods(given))
        if not self._methods:
            msg = f"{title} is {_kind(given)} without a method {', '.join(VERBS[:-1])} or {VERBS[-1]}, so it can do nothing"
            raise ConfigInvalid(msg)

    @property
    def verbs(self) -> tuple[Verb, ...]:
        """What it does."""
        return tuple(self._methods)

    def takes(self, verb: Verb, keyword: str) -> bool:
        """Whether its method takes that keyword."""
        return keyword in self._methods[verb].takes

    def said(self, name: str, kind: type[Any]) -> Any:
        """An attribute that says something of the model, None where there is none. Raises ConfigInvalid for another kind."""
        value = getattr(self._given, name, None)
        if value is None or callable(value):
            return None
        return fitted(value, kind, f"{self.title} has an attribute {name} that is")

    def embed(self, texts: Sequence[str], keywords: Mapping[str, Any]) -> Floats:
        """Vectors (texts, dimensions). Raises ForwardFailed."""
        return self._array("embed", self._called("embed", keywords, list(texts)), len(texts), axes=2)

    def rerank(self, query: str, texts: Sequence[str], keywords: Mapping[str, Any]) -> Floats:
        """Scores (texts,). Raises ForwardFailed."""
        return self._array("rerank", self._called("rerank", keywords, query, list(texts)), len(texts), axes=1)

    def classify(self, inputs: Sequence[object], keywords: Mapping[str, Any]) -> Floats:
        """Scores (inputs, labels). Raises ForwardFailed."""
        return self._array("classify", self._called("classify", keywords, list(inputs)), len(inputs), axes=2)

    def close(self) -> None:
        """Have it let go of what it holds, where it has a method for that; what that raises is logged, as others are closed, too."""
        close = getattr(self._given, "close", None)
        if not callable(close):
            return
        try:
            made = close()
            if inspect.isawaitable(made):
                with ThreadPoolExecutor(1) as aside:  # this thread may have a loop that runs
                    aside.submit(asyncio.run, _awaited(made)).result()
        except (Exception, SystemExit):  # noqa: BLE001 - somebody else's code
            _log.exception("%s.close failed", self.title)

    def failed(self, verb: str, why: str) -> ForwardFailed:
        """The error that blames a verb of the object."""
        return ForwardFailed(f"{self.title}.{verb} {why}")

    def _called(self, verb: Verb, keywords: Mapping[str, Any], *given: object) -> Any:
        method = self._methods[verb]
        own = {name: value for name, value in keywords.items() if name in method.takes}
        try:
            made = method.call(*given, **own)
            return asyncio.run(_awaited(made)) if inspect.isawaitable(made) else made
        except TextmillError:
            raise  # it knows our errors, and means this one
        except BaseException as error:
            raise self.failed(verb, f"raised {type(error).__name__}: {error}") from error

    def _array(self, verb: Verb, made: Any, inputs: int, *, axes: int) -> Floats:
        """What a verb gave as float32, with a row for each input. Raises ForwardFailed for anything else."""
        try:
            values = np.asarray(_readable(made))
        except BaseException as error:
            raise self.failed(verb, f"gave {_given(made)}, which is no array of numbers: {error}") from error
        if values.dtype.kind not in "iuf":
            raise self.failed(verb, f"gave {_given(made)}, and must give numbers, a row for each input")
        if values.ndim != axes or len(values) != inputs or 0 in values.shape[1:]:
            wanted = f"({inputs}, …)" if axes > 1 else f"({inputs},)"
            raise self.failed(
                verb, f"gave an array of shape {values.shape} for {inputs} inputs, and must give {wanted}"
            )
        with np.errstate(over="ignore"):  # what is too large is infinite, which is refused
            values = values.astype(np.float32)
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values).reshape(inputs, -1).all(axis=1))[0])
            raise self.failed(verb, f"gave values for input {row} that are no finite numbers")
        return values


async def _awaited(made: Any) -> Any:
    return await made


def _methods(given: object) -> dict[Verb, Method]:
    found: dict[Verb, Method] = {}
    for verb in VERBS:
        call = getattr(given, verb, None)
        if callable(call):
            found[verb] = Method(call, _optional(call))
    if not found and callable(given) and not isinstance(given, type):
        found["embed"] = Method(given, _optional(given))
    return found


def _optional(call: Callable[..., Any]) -> frozenset[str]:
    try:
        parameters = inspect.signature(call).parameters
    except (TypeError, ValueError):  # of C, which does not say
        return frozenset()
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
        return frozenset(_OPTIONAL)
    return frozenset(
        name
        for name in _OPTIONAL
        if name in parameters and parameters[name].kind is not inspect.Parameter.POSITIONAL_ONLY
    )


def fitted(value: Any, kind: type[Any], what: str) -> Any:
    """A value of that kind; NumPy's whole numbers are such, too. Raises ConfigInvalid, which begins with ``what``."""
    if kind is int and isinstance(value, np.integer):
        return int(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        msg = f"{what} {_kind(value)}, and it must be {kind.__name__}"
        raise ConfigInvalid(msg)
    return value


def _readable(made: Any) -> Any:
    """A tensor of PyTorch as one that NumPy reads, wherever it is, and also in bfloat16 or with a gradient; anything else as it is."""
    if not all(callable(getattr(made, name, None)) for name in ("detach", "cpu", "float", "is_complex")):
        return made
    return made if made.is_complex() else made.detach().cpu().float()


def _kind(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"


def _given(value: object) -> str:
    return "None" if value is None else f"something of type {type(value).__name__}"
