"""A thin layer around the routes: a look at every request for metrics, traces and the log."""

from __future__ import annotations

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from textmill.http.endpoint import Endpoint
from textmill.http.failures import ClientLeft
from textmill.telemetry import Telemetry
from textmill.telemetry.request import CURRENT, Request

_CLIENT_LEFT = 499
"""nginx's status for a client that closed the connection; it is counted, never sent."""


class Count:
    """Reports each request's route, status, model and duration, and watches those that are to be traced or logged."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request = self._telemetry.begin(scope["headers"])
        entered = None if request is None else CURRENT.set(request)
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
            self._report(scope, request, status, time.perf_counter() - started)
            if entered is not None:
                CURRENT.reset(entered)

    def _report(self, scope: Scope, request: Request | None, status: int, seconds: float) -> None:
        endpoint = scope.get("endpoint")
        operation = endpoint.operation if isinstance(endpoint, Endpoint) else None
        # Unknown paths share one label: clients must not be able to grow the registry.
        route = "unknown" if operation is None else operation.paths[0]
        model, form = scope.get("textmill.model", ""), scope.get("textmill.form")
        self._telemetry.observe_request(route, status, model, seconds, form=form)
        # Nobody wants to see every probe and every scrape, or what strangers try.
        if request is not None and operation is not None and not operation.public:
            method = scope["method"]
            attributes = {"http.request.method": method, "http.route": route, "http.response.status_code": status}
            self._telemetry.end(request, f"{method} {route}", attributes, seconds, status)
