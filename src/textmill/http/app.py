"""The app: all operations of all dialects, and the one place where errors become answers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from textmill.errors import TextmillError
from textmill.http import openai, site, tei
from textmill.http.endpoint import Endpoint
from textmill.http.failures import NoRoute, WrongMethod, failure
from textmill.http.middleware import Cors, Count
from textmill.http.openai import OPENAI
from textmill.http.openapi import openapi
from textmill.http.operation import Dialect, Operation
from textmill.http.service import Service, Store
from textmill.http.settings import HttpSettings
from textmill.http.tei_dialect import TEXT_EMBEDDINGS_INFERENCE
from textmill.telemetry import Telemetry

_log = logging.getLogger("textmill.http")


def create_app(store: Store, settings: HttpSettings, telemetry: Telemetry) -> Starlette:
    """The ASGI app over a store. When it shuts down it closes the store, with ``settings.drain_s`` as deadline.

    Raises ConfigInvalid for an empty API key.
    """
    service = Service(store, settings, telemetry)

    @cache
    def document() -> bytes:
        return openapi(operations, settings.version)

    operations: Sequence[Operation[Any]] = (*openai.OPERATIONS, *tei.OPERATIONS, *site.operations(document))
    return Starlette(
        routes=[
            Route(path, Endpoint(operation, service), methods=[operation.method])
            for path, operation in _paths(operations, settings)
        ],
        middleware=[Middleware(Cors, settings.cors_origins), Middleware(Count, telemetry)],
        exception_handlers={HTTPException: _unrouted, TextmillError: _refused, Exception: _broken},
        lifespan=_closing(service),
    )


def _paths(operations: Sequence[Operation[Any]], settings: HttpSettings) -> list[tuple[str, Operation[Any]]]:
    """Paths with their operations. Those that the options choose come first: Vertex AI is free to choose /predict."""
    chosen = {"/vertex": settings.predict_route, "/health": settings.health_route}
    every = [(path, operation) for operation in operations for path in operation.paths]
    return [(route, operation) for path, operation in every if (route := chosen.get(path))] + every


def _closing(service: Service) -> Callable[[Starlette], contextlib.AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.store.close, service.settings.drain_s)

    return lifespan


async def _refused(request: Request, error: Exception) -> Response:
    """Answer an error in the dialect of its route; log it where the caller is not to blame."""
    shown = failure(error)
    answer = _dialect(request).refuse(shown)
    if isinstance(error, TextmillError) and shown.kind.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("%s %s: %s", request.method, request.url.path, error)
    response = Response(answer.body, answer.status, dict(answer.headers))
    if answer.body:
        response.headers["content-type"] = answer.content_type
    return response


async def _broken(request: Request, error: Exception) -> Response:
    """Answer a bug. Starlette raises it again afterwards, and the server logs it with its traceback."""
    return await _refused(request, error)


async def _unrouted(request: Request, error: Exception) -> Response:
    """Answer Starlette's own errors: an unknown path or a method that a path does not have."""
    allow = (getattr(error, "headers", None) or {}).get("Allow")
    path = request.url.path
    if allow:
        allow = ", ".join(sorted(allow.split(", ")))
        return await _refused(request, WrongMethod(f"{path} does not take {request.method}; use {allow}", allow=allow))
    return await _refused(request, NoRoute(f"nothing is served at {path}; /docs lists what is"))


def _dialect(request: Request) -> Dialect:
    endpoint = request.scope.get("endpoint")
    if isinstance(endpoint, Endpoint):
        return endpoint.operation.dialect
    return OPENAI if request.url.path.startswith(("/v1/", "/v2/")) else TEXT_EMBEDDINGS_INFERENCE
