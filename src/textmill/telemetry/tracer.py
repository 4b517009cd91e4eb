"""Decides which requests are traced, and makes spans of them once they have ended. Knows no OpenTelemetry."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import getrandbits

from textmill.contract import BatchReport
from textmill.telemetry.request import Request, SpanId

Headers = Iterable[tuple[bytes, bytes]]
"""As ASGI gives them: names in lower case."""

Value = str | int | float
_LINKS = 128
"""Links of a span, as many as OpenTelemetry's SDK keeps by default."""
_LOW = (1 << 64) - 1
_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Span:
    """A span that has ended, with times in nanoseconds since 1970.

    ``remote`` says that the parent is another process's; ``serves`` that it answers a caller; ``error`` is what went wrong.
    """

    name: str
    id: SpanId
    parent: SpanId | None
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Value] = field(default_factory=dict)
    links: Sequence[SpanId] = ()
    remote: bool = False
    serves: bool = False
    error: str | None = None


class Tracer:
    """Follows the caller's decision where there is one (W3C's ``traceparent``), else keeps that ``share`` of requests.

    ``send`` gets the spans of a request, or of a batch, once it has ended; it must be quick. Thread-safe.
    """

    def __init__(
        self, share: float, send: Callable[[Sequence[Span]], None], close: Callable[[float], None] = lambda _: None
    ) -> None:
        self._bound = round(share * (1 << 64))
        self._send = send
        self._close = close

    def begin(self, headers: Headers) -> Request | None:
        """A request that comes with these headers; None where it is not to be traced."""
        parents, states = [], []
        for name, value in headers:
            if name == b"traceparent":
                parents.append(value)
            elif name == b"tracestate":
                states.append(value)
        found = parse(parents[0]) if len(parents) == 1 else None
        if found is None:
            trace = getrandbits(128) or 1
            # The half of the id that TraceIdRatioBased of OpenTelemetry decides by, so that other services agree.
            return Request(SpanId(trace, _number())) if trace & _LOW < self._bound else None
        trace, span, sampled = found
        if not sampled:
            return None
        state = b",".join(states).decode("latin-1")
        return Request(SpanId(trace, _number(), state), SpanId(trace, span, state))

    def end(self, request: Request, name: str, attributes: Mapping[str, Value], seconds: float, status: int) -> None:
        """Send the spans of a request that was answered with this HTTP status."""
        if request.id is None:
            return
        computed: Mapping[str, Value] = (
            {
                "textmill.model": request.model,
                "textmill.inputs": request.inputs,
                "textmill.tokens": request.tokens,
                "textmill.truncated_inputs": request.truncated,
            }
            if request.inputs
            else {}
        )
        root = Span(
            name,
            request.id,
            request.parent,
            request.wall_ns,
            request.wall_ns + round(seconds * 1e9),
            {**attributes, **computed},
            remote=True,
            serves=True,
            error=str(status) if status >= _SERVER_ERROR else None,
        )
        self._send([root, *(_stage_span(request, request.id, stage) for stage in request.stages)])

    def batch(self, model: str, report: BatchReport) -> None:
        """Make the spans of a batch, where requests that are traced took part in it, and tell these of it."""
        parts = [(handle, since) for handle, since in report.traced if isinstance(handle, Request)]
        if not parts:
            return
        trace = getrandbits(128) or 1
        whole = SpanId(trace, _number())
        for request, since in parts:
            joined = max(since, report.began)  # who came while the batch ran has waited in no line
            request.stage("queue", since, max(0.0, report.began - since))
            request.stage("inference", joined, report.began + report.seconds - joined, whole)
        clock = parts[0][0]
        start, end = clock.wall(report.began), clock.wall(report.began + report.seconds)
        links = list(dict.fromkeys(request.id for request, _ in parts if request.id is not None))
        attributes: Mapping[str, Value] = {
            "textmill.model": model,
            "textmill.rows": report.rows,
            "textmill.tokens": report.tokens,
            "textmill.padded_tokens": report.padded_tokens,
            "textmill.deduplicated_rows": report.deduplicated_rows,
            "textmill.failed_rows": report.failed_rows,
        }
        error = f"{report.failed_rows} rows failed" if report.failed_rows else None
        self._send(
            [
                Span("batch", whole, None, start, end, attributes, links[:_LINKS], error=error),
                Span("runtime", SpanId(trace, _number()), whole, start, end, {"textmill.model": model}),
            ]
        )

    def close(self, timeout: float) -> None:
        """Send what is left, for at most so many seconds."""
        self._close(timeout)


def parse(traceparent: bytes) -> tuple[int, int, bool] | None:
    """The trace, the caller's span and whether it is sampled; None where the value says nothing (W3C Trace Context, 3.2)."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None or found[1] == b"ff" or (found[1] == b"00" and found[5]):
        return None
    trace, span = int(found[2], 16), int(found[3], 16)
    return (trace, span, bool(int(found[4], 16) & 1)) if trace and span else None


def _stage_span(request: Request, root: SpanId, stage: tuple[str, float, float, SpanId | None]) -> Span:
    name, began, seconds, link = stage
    start = request.wall(began)
    own = SpanId(root.trace, _number(), root.state)
    return Span(name, own, root, start, start + round(seconds * 1e9), links=() if link is None else (link,))


def _number() -> int:
    """The number of a new span, never 0."""
    return getrandbits(64) or 1
