"""LocalAI's routes about models: what is loaded, load this, unload that."""

from __future__ import annotations

import asyncio
from types import NoneType
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from textmill.errors import ModelNotFound
from textmill.http.answer import Answer
from textmill.http.openai import OPENAI
from textmill.http.operation import Operation
from textmill.http.service import Service
from textmill.store.memory import resident


class NamedModel(Struct, frozen=True):
    """Which model is meant."""

    model: Annotated[str, Meta(description="A name of `/v1/models`.", min_length=1)]


class MonitoredModel(Struct, frozen=True):
    """Which model is meant."""

    model: Annotated[str, Meta(description="A name of `/v1/models`; also in a JSON body.", min_length=1)]


class Memory(Struct, frozen=True):
    """Bytes that the process holds; all models are in it."""

    total: int
    breakdown: Annotated[
        dict[str, int], Meta(description="`model`, as was seen when it loaded, and the `rest` of the process.")
    ]


class Status(Struct, frozen=True):
    """How a model is."""

    state: Annotated[
        Literal[-1, 0, 1, 2], Meta(description="0 not loaded, 1 texts wait for it, 2 ready, -1 it cannot answer.")
    ]
    memory: Memory


class LoadedModel(Struct, frozen=True):
    """A model that is loaded, and what runs it."""

    id: str
    backend: str


class System(Struct, frozen=True):
    """What runs models here, and which are loaded."""

    backends: list[str]
    loaded_models: list[LoadedModel]


class Done(Struct, frozen=True):
    """What was done."""

    message: str


class Loaded(Struct, frozen=True):
    """What was done, and what is loaded now."""

    loaded: list[str]
    message: str


class Version(Struct, frozen=True):
    """The version of the server."""

    version: str


async def system(service: Service, _: None) -> Answer:
    """GET /system."""
    loaded = [LoadedModel(model.info.name, model.info.runtime) for model in service.store.models()]
    return Answer(msgspec.json.encode(System(sorted({model.backend for model in loaded}), loaded)))


async def load(service: Service, request: NamedModel) -> Answer:
    """POST /backend/load."""
    model = await service.model(request.model)
    loaded = [each.info.name for each in service.store.models()]
    return Answer(msgspec.json.encode(Loaded(loaded, f"{model.info.name} is loaded")), model=model.info.name)


async def shutdown(service: Service, request: NamedModel) -> Answer:
    """POST /backend/shutdown."""
    if not await service.store.unload(request.model):
        msg = f"{request.model} is not loaded"
        raise ModelNotFound(msg)
    return Answer(msgspec.json.encode(Done(f"{request.model} is unloaded")))


async def monitor(service: Service, query: MonitoredModel) -> Answer:
    """GET /backend/monitor."""
    known, _, model = service.find(query.model)
    if model is None:
        return Answer(msgspec.json.encode(Status(0 if known.refusal is None else -1, Memory(0, {}))), model=known.name)
    total = await asyncio.to_thread(resident)
    of_model = min(service.store.memory(known.name), total)
    breakdown = {"model": of_model, "rest": total - of_model} if of_model else {"rest": total}
    state: Literal[-1, 1, 2] = -1 if not model.ready else 1 if any(model.waiting) else 2
    return Answer(msgspec.json.encode(Status(state, Memory(total, breakdown))), model=known.name)


async def version(service: Service, _: None) -> Answer:
    """GET /version."""
    return Answer(msgspec.json.encode(Version(service.settings.version)))


_FAILURES = {
    400: "The body is not JSON, a field is wrong, or the model stays as long as the server.",
    401: "The API key is missing or wrong.",
    403: "The key may not manage models, or a page of another origin asks.",
    404: "No model of that name is known, or it is not loaded.",
    413: "The body is larger than the server accepts.",
    429: "Too much work waits; come back after Retry-After seconds.",
    500: "A bug; the server's log explains it.",
    503: "The model could not be loaded, is busy, or the server is shutting down.",
}

OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="GET",
        paths=("/system",),
        dialect=OPENAI,
        handle=system,
        takes=NoneType,
        gives=System,
        summary="Say which models are loaded (LocalAI)",
        statuses={status: _FAILURES[status] for status in (401, 403, 404, 500)},
        right="manage",
    ),
    Operation(
        method="GET",
        paths=("/backend/monitor", "/v1/backend/monitor"),
        dialect=OPENAI,
        handle=monitor,
        takes=MonitoredModel,
        gives=Status,
        summary="Say how a model is, and what memory it takes (LocalAI)",
        answers_with={"state": 2, "memory": {"total": 402653184, "breakdown": {"model": 94371840, "rest": 308281344}}},
        statuses={status: _FAILURES[status] for status in (400, 401, 403, 404, 413, 500)},
        right="manage",
        either=True,
    ),
    Operation(
        method="GET",
        paths=("/version",),
        dialect=OPENAI,
        handle=version,
        takes=NoneType,
        gives=Version,
        summary="Say which version this is (LocalAI)",
        statuses={status: _FAILURES[status] for status in (401, 404, 500)},
    ),
    Operation(
        method="POST",
        paths=("/backend/load", "/v1/backend/load"),
        dialect=OPENAI,
        handle=load,
        takes=NamedModel,
        gives=Loaded,
        summary="Load a model (LocalAI)",
        description="Returns when it can answer. It leaves again as any other: when it is idle for long, or for another.",
        example={"model": "text-embedding-ada-002"},
        answers_with={"loaded": ["text-embedding-ada-002"], "message": "text-embedding-ada-002 is loaded"},
        statuses=_FAILURES,
        right="manage",
    ),
    Operation(
        method="POST",
        paths=("/backend/shutdown", "/v1/backend/shutdown"),
        dialect=OPENAI,
        handle=shutdown,
        takes=NamedModel,
        gives=Done,
        summary="Free a model's memory (LocalAI)",
        description="Waits up to 30 seconds for the requests that use it; it loads again when a request names it.",
        example={"model": "text-embedding-ada-002"},
        answers_with={"message": "text-embedding-ada-002 is unloaded"},
        statuses=_FAILURES,
        right="manage",
    ),
)
