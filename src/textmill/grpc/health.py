"""gRPC's health checks (grpc.health.v1): which services answer now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from grpc import StatusCode
from grpc_health.v1.health_pb2 import DESCRIPTOR, HealthCheckRequest, HealthCheckResponse

from textmill.contract import Task
from textmill.errors import InvalidInput, Unavailable
from textmill.grpc.messages import parsed
from textmill.grpc.service import Service

SERVICE: Any = DESCRIPTOR.services_by_name["Health"]
FILE: Any = DESCRIPTOR

_SERVING: bytes = HealthCheckResponse(status="SERVING").SerializeToString()
_NOT_SERVING: bytes = HealthCheckResponse(status="NOT_SERVING").SerializeToString()
_UNKNOWN: bytes = HealthCheckResponse(status="SERVICE_UNKNOWN").SerializeToString()

_LOOK_S = 0.5
"""How often a watched service is looked at."""

_TASKS: Mapping[str, frozenset[Task]] = {
    "tei.v1.Embed": frozenset({"embed", "embed_sparse", "embed_tokens"}),
    "tei.v1.Predict": frozenset({"classify"}),
    "tei.v1.Rerank": frozenset({"rerank"}),
}
_ALWAYS = ("", "tei.v1.Info", "tei.v1.Tokenize")


class Health:
    """Answers without a key and without waiting for batches.

    The whole server, "", serves while each model can answer and until it begins to shut down; Embed, Predict and Rerank serve
    while a model that does such things can answer.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def check(self, data: bytes, context: Any) -> bytes:
        """Health.Check."""
        name = await _asked(data, context)
        status = self._status(name)
        if status is _UNKNOWN:
            await context.abort(StatusCode.NOT_FOUND, f"there is no service {name!r} here")
        return status

    async def watch(self, data: bytes, context: Any) -> AsyncIterator[bytes]:
        """Health.Watch: the status now, and each time that it changes."""
        name = await _asked(data, context)
        told = b""
        with suppress(Unavailable), self._service.watching.call():  # a server that ends has said that it does not serve
            while True:
                status = self._status(name)
                if status is not told:
                    yield status
                    told = status
                await asyncio.sleep(_LOOK_S)

    def _status(self, name: str) -> bytes:
        if name not in _ALWAYS and name not in _TASKS:
            return _UNKNOWN
        if self._service.permits.draining:
            return _NOT_SERVING
        if name in _TASKS:
            able = [
                model
                for known, info, model in self._service.store.known()
                if known.refusal is None and _TASKS[name].intersection(known.tasks if info is None else info.tasks)
            ]
            serving = any(model is None or model.ready for model in able)  # one that is not loaded will be for a call
        else:
            serving = self._service.store.ready
        return _SERVING if serving else _NOT_SERVING


async def _asked(data: bytes, context: Any) -> str:
    """The service that a message asks for; ends the call where it is no such message."""
    try:
        name: str = parsed(HealthCheckRequest, data).service
    except InvalidInput as error:
        await context.abort(StatusCode.INVALID_ARGUMENT, str(error))
        raise
    return name
