"""Two thin layers around the routes: CORS for browsers, and a count of every request."""

from __future__ import annotations

import time
from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from textmill.http.endpoint import Endpoint
from textmill.http.failures import ClientLeft
from textmill.telemetry import Telemetry

_CLIENT_LEFT = 499
"""nginx's status for a client that closed the connection; it is counted, never sent."""


class Cors:
    """Starlette's CORS for requests that come from a web page; all others pass untouched and unpaid."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._cors = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_methods=("GET", "POST"),
            allow_headers=("*",),
            expose_headers=("*",),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and any(name == b"origin" for name, _ in scope["headers"]):
            await self._cors(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class Count:
    """Reports each request's route, status, model and duration."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        except ClientLeft:
            status = _CLIENT_LEFT
        finally:
            endpoint = scope.get("endpoint")
            # Unknown paths share one label: clients must not be able to grow the registry.
            route = endpoint.operation.paths[0] if isinstance(endpoint, Endpoint) else "unknown"
            seconds = time.perf_counter() - started
            self._telemetry.observe_request(route, status, scope.get("textmill.model", ""), seconds)
