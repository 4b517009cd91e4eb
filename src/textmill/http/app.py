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
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from textmill.errors import TextmillError
from textmill.http import (
    azure,
    chat,
    cohere,
    completions,
    edits,
    infinity,
    localai,
    localai_gallery,
    models,
    ollama,
    openai,
    pipelines,
    probes,
    rerank,
    rerank_root,
    site,
    tei,
    tokens,
    weaviate,
)
from textmill.http.address import alike, in_order, matches
from textmill.http.cors import Cors
from textmill.http.endpoint import Endpoint
from textmill.http.failures import Forbidden, NoRoute, Unauthorised, WrongMethod, kind_of
from textmill.http.inputs import ForeignTokens
from textmill.http.middleware import Count
from textmill.http.ollama_dialect import OLLAMA
from textmill.http.openai import OPENAI
from textmill.http.openapi import openapi
from textmill.http.operation import Dialect, Operation
from textmill.http.prefix import Prefix, get_route_path
from textmill.http.service import Installer, Service, Store
from textmill.http.settings import HttpSettings
from textmill.http.tei_dialect import TEXT_EMBEDDINGS_INFERENCE
from textmill.store.permits import Permits
from textmill.telemetry import Telemetry

_log = logging.getLogger("textmill.http")

OPERATIONS: tuple[Operation[Any], ...] = (
    *openai.OPERATIONS,
    *chat.OPERATIONS,
    *completions.OPERATIONS,
    *edits.OPERATIONS,
    *rerank.OPERATIONS,
    *cohere.OPERATIONS,
    *tokens.OPERATIONS,
    *tei.OPERATIONS,
    *rerank_root.OPERATIONS,
    *weaviate.OPERATIONS,
    *infinity.OPERATIONS,
    *azure.OPERATIONS,
    *pipelines.OPERATIONS,
    *localai.OPERATIONS,
    *localai_gallery.OPERATIONS,
    *models.OPERATIONS,
    *ollama.OPERATIONS,
    *probes.OPERATIONS,
)
"""All but those of the site, in the order of the document; a server without a gallery leaves out that one's."""


def create_app(
    store: Store,
    settings: HttpSettings,
    telemetry: Telemetry,
    permits: Permits | None = None,
    installer: Installer | None = None,
    texts: ForeignTokens | None = None,
) -> Starlette:
    """The ASGI app over a store. When it shuts down it closes the store, with ``settings.drain_s`` as deadline.

    ``permits`` are given where others, such as the process that drains, look at them too. Without an
    ``installer`` nothing is served that installs or deletes models; with one, it begins with the app and closes with it.
    ``texts`` reads token ids in requests for embeddings; without it they are the model's own.

    Raises ConfigInvalid for an empty API key.
    """
    service = Service(
        store, settings, telemetry, permits or Permits(settings.max_concurrent_requests), installer, texts
    )

    @cache
    def document() -> bytes:
        return openapi(operations, settings.version, next((known.name for known, _, _ in store.known()), ""))

    operations = (
        *(each for each in OPERATIONS if installer is not None or each not in localai_gallery.OPERATIONS),
        *site.operations(document, metrics=settings.metrics),
    )
    return _app_of(service, operations, gallery=installer is not None)


def _app_of(service: Service, operations: Sequence[Operation[Any]], *, gallery: bool) -> Starlette:
    """The app that serves these operations; without a ``gallery`` nothing stands where that would."""
    paths = _paths(operations, service.settings)
    refusals = _Refusals(service, paths)
    app = Starlette(
        routes=[
            *(Route(path, _nowhere) for path in ([] if gallery else _GALLERY)),
            *(Route(path, Endpoint(operation, service), methods=[operation.method]) for path, operation in paths),
            Route("/docs/", RedirectResponse("../docs"), methods=["GET"]),
        ],
        middleware=[
            Middleware(Cors, service.settings.cors_origins),
            Middleware(Count, service.telemetry),
            Middleware(Prefix, service.store, [path for path, _ in paths if "{" not in path]),
        ],
        exception_handlers={
            HTTPException: refusals.unrouted,
            TextmillError: refusals.refused,
            Exception: refusals.broken,
        },
        lifespan=_closing(service),
    )
    app.router.redirect_slashes = False
    return app


def _paths(operations: Sequence[Operation[Any]], settings: HttpSettings) -> list[tuple[str, Operation[Any]]]:
    """Paths with their operations. Those that the options choose come first: Vertex AI is free to choose /predict."""
    chosen = {"/vertex": settings.predict_route, "/health": settings.health_route}
    every = [(path, operation) for operation in operations for path in operation.paths]
    return [(route, operation) for path, operation in every if (route := chosen.get(path))] + in_order(every)


_GALLERY = [path for operation in localai_gallery.OPERATIONS for path in operation.paths]


class _Nowhere:
    """What stands at the paths of the gallery where it is switched off: else they would be names of models."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer nothing."""
        del receive, send
        raise _no_route(scope)


_nowhere = _Nowhere()


def _no_route(scope: Scope) -> NoRoute:
    instead = ollama.ELSEWHERE.get(get_route_path(scope), "/docs lists what is")
    return NoRoute(f"nothing is served at {scope['path']}; {instead}")


def _closing(service: Service) -> Callable[[Starlette], contextlib.AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        running = asyncio.create_task(service.store.run())
        running.add_done_callback(_tell_end)
        if service.installer is not None:
            await asyncio.to_thread(service.installer.resume)
        yield
        running.cancel()
        await asyncio.wait([running])
        if service.installer is not None:
            await asyncio.to_thread(service.installer.close)
            service.galleries.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(service.store.close, service.settings.drain_s)

    return lifespan


def _tell_end(running: asyncio.Task[None]) -> None:
    """Log what ended the store's own work before its time."""
    if not running.cancelled() and (error := running.exception()) is not None:
        _log.critical("models follow their files no longer, and idle ones stay", exc_info=error)


class _Refusals:
    """Turns errors into answers, each in the dialect of its route."""

    def __init__(self, service: Service, paths: Sequence[tuple[str, Operation[Any]]]) -> None:
        self._service = service
        self._paths = paths

    async def refused(self, request: Request, error: Exception) -> Response:
        """Answer an error; log it where the caller is not to blame."""
        answer = _dialect(request).refuse(self._service.refuse(error))
        if isinstance(error, TextmillError) and kind_of(error).status == HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("%s %s: %s", request.method, request.url.path, error)
        response = Response(answer.body, answer.status, dict(answer.headers))
        if answer.body:
            response.headers["content-type"] = answer.content_type
        return response

    async def broken(self, request: Request, error: Exception) -> Response:
        """Answer a bug. Starlette raises it again afterwards, and the server logs it with its traceback."""
        return await self.refused(request, error)

    async def unrouted(self, request: Request, _: Exception) -> Response:
        """Answer Starlette's own errors: an unknown path or a method that a path does not have."""
        path = request.url.path
        routed = get_route_path(request.scope)
        # The plainest of the paths: others fit only since names may have slashes.
        fitting = next((template for template, _ in self._paths if matches(template, routed)), None)
        operations = [each for template, each in self._paths if fitting is not None and alike(template, fitting)]
        if not operations:
            return await self.refused(request, _no_route(request.scope))
        try:
            if not any(operation.public for operation in operations):
                self._service.rights.check(operations[0].right, "GET", request.scope["headers"])
        except (Unauthorised, Forbidden) as error:
            return await self.refused(request, error)
        methods = {operation.method for operation in operations}
        allow = ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
        return await self.refused(
            request, WrongMethod(f"{path} does not take {request.method}; use {allow}", allow=allow)
        )


def _dialect(request: Request) -> Dialect:
    spoken: Dialect | None = request.scope.get("textmill.dialect")
    if spoken is not None:
        return spoken
    endpoint = request.scope.get("endpoint")
    if isinstance(endpoint, Endpoint):
        return endpoint.operation.dialect
    path = get_route_path(request.scope)
    if path.startswith("/api/"):
        return OLLAMA
    # An address without its route, which clients that want the whole of it are given, is of that dialect too.
    return OPENAI if f"{path}/".startswith(("/v1/", "/v2/", "/openai/", "/jina/")) else TEXT_EMBEDDINGS_INFERENCE
