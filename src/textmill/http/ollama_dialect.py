"""How Ollama says no, and what its routes have in common: names of models, when these leave, and times."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

import orjson
from msgspec import Meta, Struct

from textmill.contract import Task
from textmill.errors import InvalidInput
from textmill.http.answer import JSON, Answer
from textmill.http.failures import Failure
from textmill.http.service import Model, Service

_LATEST = ":latest"
_SPAN = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_DURATION = re.compile(rf"({_SPAN.pattern})+|[+-]?\d+(\.\d*)?")
_SECOND = 10**9

ModelName = Annotated[
    str | None,
    Meta(description="A name of `/api/tags`, also with `:latest` behind it; absent means the default model."),
]
KeepAlive = Annotated[
    float | str | None,
    Meta(
        description='Seconds, or a text such as `"5m"`. 0 without anything to answer unloads the model; all else is accepted, and '
        "models leave as the server's options say."
    ),
]


class OllamaError(Struct, frozen=True):
    """Ollama's error, and its kind for programs."""

    error: str
    error_type: str


class Ollama:
    """Errors as Ollama's clients read them."""

    name = "Ollama"
    failure_schema = OllamaError

    def refuse(self, failure: Failure) -> Answer:
        """`OllamaError`, with the status that OpenAI's routes have, which are Ollama's for what it refuses itself."""
        kind = failure.kind
        body = orjson.dumps({"error": failure.message, "error_type": kind.tei_type})
        return Answer(body, kind.status, headers=failure.headers)

    def forms(self, status: int) -> tuple[str, ...]:
        """Always JSON."""
        del status
        return (JSON,)


OLLAMA = Ollama()

FAILURES = {
    400: "The body is not JSON, a field is wrong, a text is too long, or the model does something else.",
    401: "The API key is missing or wrong.",
    404: "No model of that name is known.",
    413: "The body is larger than the server accepts.",
    422: "With `textmill tei`: an option is wrong, or a field has the wrong type.",
    424: "With `textmill tei`: the model does something else, or failed.",
    429: "Too much work waits; come back after Retry-After seconds.",
    500: "The model failed on this request.",
    503: "The model could not be loaded, or is shutting down.",
}


def named(service: Service, name: str | None) -> str | None:
    """The name by which the store knows a model: where it does not know the one that is given, the one with or without ``:latest``."""
    known = service.store.names()
    if not name or name in known:
        return name
    if name.endswith(_LATEST):
        return name.removesuffix(_LATEST)
    return name + _LATEST if name + _LATEST in known else name


async def model_of(service: Service, name: str | None, task: Task) -> Model:
    """The model that a request means, loaded if need be; see `Service.model`."""
    return await service.model(named(service, name), task)


def leaves(keep_alive: float | str | None) -> bool:
    """Whether a model is to leave at once. Raises InvalidInput for a text that is no duration."""
    if keep_alive is None or not isinstance(keep_alive, str):
        return keep_alive == 0
    if not _DURATION.fullmatch(keep_alive):
        msg = f"keep_alive is {keep_alive[:40]!r}; it is a number of seconds, or a text such as '5m', '1h30m' or '0'"
        raise InvalidInput(msg, param="keep_alive")
    return not any(digit in "123456789" for digit in keep_alive)


async def unload(service: Service, name: str | None) -> str:
    """Have a model leave, for callers who may manage; its name. Raises Unauthorised, Forbidden, ModelNotFound, and what `Store.unload` raises."""
    service.allow("manage")
    known, _, _ = service.find_named(named(service, name))
    await service.store.unload(known.name)
    return known.name


def stamp(seconds: float) -> str:
    """A moment as Go writes it; seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def nanoseconds(seconds: float) -> int:
    """A duration as Ollama counts it."""
    return max(0, round(seconds * _SECOND))
