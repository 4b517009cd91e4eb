"""What whoever runs the process asks it: whether to send it work, and whether to start it anew."""

from __future__ import annotations

from types import NoneType
from typing import Any

from textmill.errors import Unavailable
from textmill.http.answer import Answer
from textmill.http.operation import Operation
from textmill.http.service import Service
from textmill.http.site import SITE


async def ready(service: Service, _: None) -> Answer:
    """GET /health/ready."""
    if service.permits.draining:
        msg = "the server is shutting down"
        raise Unavailable(msg)
    return await live(service, None)


async def live(service: Service, _: None) -> Answer:
    """GET /health/live. A server that drains lives until it is done, whatever its models are up to meanwhile."""
    if not (service.permits.draining or service.store.ready):
        msg = "a model cannot answer: its engine died"
        raise Unavailable(msg)
    return Answer()


OPERATIONS: tuple[Operation[Any], ...] = (
    Operation(
        method="GET",
        paths=("/health/ready", "/readyz"),
        dialect=SITE,
        handle=ready,
        takes=NoneType,
        gives=None,
        summary="Say whether to send requests here",
        description="200 with an empty body while requests are taken; 503 from the moment that the server begins to shut down.",
        statuses={503: "The server is shutting down, or a model's engine died."},
        right="none",
    ),
    Operation(
        method="GET",
        paths=("/health/live", "/healthz"),
        dialect=SITE,
        handle=live,
        takes=NoneType,
        gives=None,
        summary="Say whether the process is sound",
        description="200 with an empty body, until the end of a shutdown too; 503 where only a restart helps.",
        statuses={503: "A model's engine died."},
        right="none",
    ),
)
