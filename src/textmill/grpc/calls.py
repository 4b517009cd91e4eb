"""Calls: who may, to which model, how they are counted, and the one place where errors become statuses."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import grpc
from grpc import StatusCode

from textmill.contract import Answered, ModelInfo, Task
from textmill.errors import ForwardFailed, Unavailable
from textmill.grpc.ahead import Ahead, Limits, Messages
from textmill.grpc.failures import Unauthenticated, code_of, message_of, trailers_of
from textmill.grpc.messages import parsed
from textmill.grpc.metadata import characters_of, metadata_field
from textmill.grpc.served import Model
from textmill.grpc.service import Lend, Service
from textmill.grpc.verb import Verb
from textmill.grpc.watch import Watch
from textmill.store.about import about
from textmill.telemetry.request import note_characters

T = TypeVar("T")
I = TypeVar("I", bound=Any)  # noqa: E741 - an input
O = TypeVar("O")  # noqa: E741 - options
R = TypeVar("R")

_log = logging.getLogger("textmill.grpc")

MODEL = "x-model"
"""The key of a call's metadata that names a model; without it the default answers."""


_TASKS: Mapping[str, Task] = {
    **dict.fromkeys(("Embed", "EmbedStream"), "embed"),
    **dict.fromkeys(("EmbedSparse", "EmbedSparseStream"), "embed_sparse"),
    **dict.fromkeys(("EmbedAll", "EmbedAllStream"), "embed_tokens"),
    **dict.fromkeys(("Predict", "PredictPair", "PredictStream", "PredictPairStream"), "classify"),
    **dict.fromkeys(("Rerank", "RerankStream"), "rerank"),
}
"""What a model must do for an rpc."""


async def answered(service: Service, rpc: str, context: Any, work: Callable[[Model], Awaitable[T]]) -> T:
    """Do the work of a call with the model that it names. Where it fails, end the call with a status."""
    metadata = _metadata(context)

    async def held(watch: Watch) -> T:
        async with _model(service, rpc, metadata) as model:
            watch.enter(model.info.name)
            return await work(model)

    return await _told(service, rpc, context, metadata, held)


async def streamed(service: Service, rpc: str, context: Any, work: Callable[[Lend, ModelInfo], Awaitable[T]]) -> T:
    """The same for a stream, which may be silent for hours: it holds its model only while it has something computed.

    A lease raises Unavailable where another model has come in its place meanwhile.
    """
    metadata = _metadata(context)

    async def lent(watch: Watch) -> T:
        async with _model(service, rpc, metadata) as model:
            first = model.info
        watch.enter(first.name)

        @asynccontextmanager
        async def again() -> AsyncIterator[Model]:
            async with _model(service, rpc, metadata) as model:
                if model.info.fingerprint != first.fingerprint:
                    msg = f"{first.name} has changed since this stream began; begin another, and mix no vectors of both"
                    raise Unavailable(msg)
                yield model

        return await work(again, first)

    return await _told(service, rpc, context, metadata, lent)


async def _told(
    service: Service, rpc: str, context: Any, metadata: list[tuple[bytes, bytes]], work: Callable[[Watch], Awaitable[T]]
) -> T:
    try:
        return await _counted(service, rpc, metadata, work)
    except Exception as error:
        # It has been counted by now: who is told of it finds it in the metrics.
        await context.abort(code_of(error), message_of(error), trailers_of(error))
        raise


async def _counted(
    service: Service, rpc: str, metadata: list[tuple[bytes, bytes]], work: Callable[[Watch], Awaitable[T]]
) -> T:
    """The same, watched; what fails is logged where the server is to blame."""
    with Watch(service.telemetry, rpc, metadata) as watch:
        try:
            with service.permits.begin(), service.underway.call():
                return await work(watch)
        except asyncio.CancelledError:
            watch.code = StatusCode.CANCELLED
            raise
        except grpc.aio.BaseError as error:  # the client left while it was being sent something
            watch.code = StatusCode.CANCELLED
            raise asyncio.CancelledError from error
        except Exception as error:
            watch.code = code_of(error)
            if watch.code is StatusCode.INTERNAL:
                _log.exception("%s failed", rpc)
            elif isinstance(error, ForwardFailed):
                _log.error("%s: %s", rpc, error)
            watch.fail(error)
            raise


async def unary(verb: Verb[I, O, R], service: Service, rpc: str, data: bytes, context: Any) -> bytes:
    """Answer one message."""
    started = time.perf_counter()

    async def work(model: Model) -> bytes:
        given, options = verb.read(parsed(verb.request, data))
        made = await service.ask(verb, model, [given], options)
        if not isinstance(made, Answered):
            return verb.answer(made, 0)
        characters = characters_of(given)
        await context.send_initial_metadata(about(model.info, made, characters, started))
        return verb.answer(made, 0) + metadata_field(made, 0, characters, started)

    return await answered(service, rpc, context, work)


async def stream(verb: Verb[I, O, R], service: Service, rpc: str, messages: Messages, context: Any) -> None:
    """Answer each message of a stream, in order."""

    async def work(lend: Lend, _: ModelInfo) -> None:
        ahead = Ahead(messages, verb, partial(service.ask_patiently, verb, lend, part=True), limits(service))
        async with aclosing(ahead.replies()) as replies:
            async for reply in replies:
                characters = characters_of(reply.asked.input)
                note_characters(characters)
                told = metadata_field(reply.made, reply.index, characters, reply.asked.since)
                await context.write(verb.answer(reply.made, reply.index) + told)

    await streamed(service, rpc, context, work)


def limits(service: Service) -> Limits:
    """How much of a stream may be held."""
    return Limits(service.settings.ahead, service.settings.message_limit)


def _metadata(context: Any) -> list[tuple[bytes, bytes]]:
    given = context.invocation_metadata() or ()
    return [(key.encode(), value.encode() if isinstance(value, str) else value) for key, value in given]


def _model(service: Service, rpc: str, metadata: list[tuple[bytes, bytes]]) -> AbstractAsyncContextManager[Model]:
    if not service.admits(metadata):
        msg = "the API key is missing or wrong; send it as the metadata authorization: Bearer KEY"
        raise Unauthenticated(msg)
    name = next((value.decode(errors="replace") for key, value in metadata if key == MODEL.encode()), None)
    return service.store.lease(name, _TASKS.get(rpc.rpartition("/")[2]))
