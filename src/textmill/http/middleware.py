"""A thin layer around the routes: a count of every request."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from textmill.http.endpoint import Endpoint
from textmill.http.failures import ClientLeft
from textmill.telemetry import Telemetry

_CLIENT_LEFT = 499
"""nginx's status for a client that closed the connection; it is counted, never sent."""


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
