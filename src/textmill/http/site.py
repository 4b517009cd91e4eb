"""What people and machines read about the server: metrics, the OpenAPI document and its page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.resources import files
from types import NoneType
from typing import Any

from textmill.http.answer import JSON, Answer
from textmill.http.operation import Operation
from textmill.http.service import Service
from textmill.http.tei_dialect import FAILURES, TEI

_HTML = "text/html; charset=utf-8"
_PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'"
)


class Site(TEI):
    """Pages that belong to no dialect; their errors are TEI's."""

    name = "This server"


SITE = Site()


async def scraped(service: Service, _: None) -> Answer:
    """GET /metrics."""
    body, content_type = service.telemetry.render()
    return Answer(body, content_type=content_type)


async def docs(_service: Service, _: None) -> Answer:
    """GET /docs: one page without anything from elsewhere."""
    page = files("textmill.http").joinpath("docs.html").read_bytes()
    return Answer(page, content_type=_HTML, headers=(("content-security-policy", _PAGE_POLICY),))


def operations(document: Callable[[], bytes], *, metrics: bool = True) -> Sequence[Operation[Any]]:
    """The site's operations; ``document`` gives the OpenAPI document of all operations, these included."""

    async def openapi(_service: Service, _: None) -> Answer:
        return Answer(document())

    return (
        *([_page(("/metrics",), scraped, "text/plain", "Metrics for Prometheus")] if metrics else []),
        _page(("/docs",), docs, "text/html", "This page"),
        _page(("/openapi.json", "/api-doc/openapi.json"), openapi, JSON, "The OpenAPI document"),
    )


def _page(paths: tuple[str, ...], handle: Any, content_type: str, summary: str) -> Operation[None]:
    return Operation(
        method="GET",
        paths=paths,
        dialect=SITE,
        handle=handle,
        takes=NoneType,
        gives=content_type,
        summary=summary,
        statuses={500: FAILURES[500]},
        right="none",
    )
