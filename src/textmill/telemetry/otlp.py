"""Sends spans by OpenTelemetry's SDK over OTLP. The one file that names it, imported only where traces are wanted.

The SDK reads its own environment: ``OTEL_EXPORTER_OTLP_HEADERS``, ``…_CERTIFICATE``, ``…_TIMEOUT`` and ``…_COMPRESSION``,
``OTEL_RESOURCE_ATTRIBUTES`` and ``OTEL_BSP_*``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Literal
from urllib.parse import SplitResult, urlsplit, urlunsplit

from textmill.errors import ConfigInvalid, ExtraMissing
from textmill.telemetry.request import SpanId
from textmill.telemetry.tracer import Span, Tracer

_MISSING = "traces need OpenTelemetry, which is not installed: pip install 'textmill[otel]'"

try:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, TraceState
    from opentelemetry.trace.status import Status, StatusCode
except ImportError as error:
    raise ExtraMissing(_MISSING) from error

_log = logging.getLogger(__name__)

Protocol = Literal["grpc", "http/protobuf"]
_DEFAULT_NAME = "textmill"
_HTTP_PORT = 4318
_PATH = "/v1/traces"
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_SCOPE = InstrumentationScope("textmill")
_UNSET, _ERROR = Status(StatusCode.UNSET), StatusCode.ERROR


def open_tracer(
    endpoint: str, service: str, share: float, observe: Callable[[str, int], None], protocol: Protocol | None = None
) -> Tracer:
    """A tracer that sends to an OTLP collector; ``observe`` is told how many spans arrived, or did not.

    Without a ``protocol`` an endpoint with a path or with port 4318 is taken for HTTP, any other for gRPC. Sending begins
    with the first span, and its failures are told in the log once. Raises ConfigInvalid for what is no URL.
    """
    # What the exporters log of each attempt, `Reporting` says once.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    url = _url(endpoint)
    http = protocol == "http/protobuf" or (protocol is None and (url.path.strip("/") != "" or url.port == _HTTP_PORT))
    try:
        exporter = _http_exporter(url) if http else _grpc_exporter(url)
    except ImportError as error:
        raise ExtraMissing(_MISSING) from error
    except Exception as error:
        msg = f"OpenTelemetry's exporter cannot be made; see the OTEL_ variables of the environment: {error}"
        raise ConfigInvalid(msg) from error
    shown = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
    return tracer_of(Reporting(exporter, shown, observe), service, share)


def tracer_of(exporter: SpanExporter, service: str, share: float) -> Tracer:
    """A tracer that gives its spans to an exporter of the SDK's, in batches and in a thread of their own."""
    resource = _resource(service)
    processor = BatchSpanProcessor(exporter)

    def send(spans: Sequence[Span]) -> None:
        for span in spans:
            processor.on_end(_readable(span, resource))

    def close(timeout: float) -> None:
        # The processor's own end may take half a minute where the collector does not answer.
        ending = threading.Thread(target=processor.shutdown, name="textmill-traces-flush", daemon=True)
        ending.start()
        ending.join(timeout)

    return Tracer(share, send, close)


def _resource(service: str) -> Resource:
    """What sends the spans; a name that the environment gives (``OTEL_SERVICE_NAME``) comes before the default one."""
    found = Resource.create()
    given = not str(found.attributes["service.name"]).startswith("unknown_service")
    return found if given and service == _DEFAULT_NAME else found.merge(Resource({"service.name": service}))


class Reporting(SpanExporter):
    """An exporter that says once that traces do not arrive, and once that they do again."""

    def __init__(self, exporter: SpanExporter, collector: str, observe: Callable[[str, int], None]) -> None:
        self._exporter = exporter
        self._collector = collector
        self._observe = observe
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; raises nothing."""
        try:
            result = self._exporter.export(spans)
        except Exception:  # noqa: BLE001 - whatever it is, spans did not arrive, and requests must not care
            result = SpanExportResult.FAILURE
        arrived = result is SpanExportResult.SUCCESS
        self._observe("sent" if arrived else "lost", len(spans))
        if arrived and self._failing:
            _log.info("traces arrive at %s again", self._collector)
        elif not arrived and not self._failing:
            _log.warning(
                "traces do not arrive at %s; requests are answered all the same, and this is not said again until they do",
                self._collector,
            )
        self._failing = not arrived
        return result

    def shutdown(self) -> None:
        """End the exporter."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what the exporter keeps."""
        return self._exporter.force_flush(timeout_millis)


def _url(endpoint: str) -> SplitResult:
    try:
        url = urlsplit(endpoint)
        known = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:  # a port that is no number
        known = None
    if not known:
        msg = "--otlp-endpoint must be the URL of a collector, such as http://127.0.0.1:4317"
        raise ConfigInvalid(msg)
    return url


def _http_exporter(url: SplitResult) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - one of two

    path = url.path if url.path.strip("/") else _PATH
    return OTLPSpanExporter(endpoint=urlunsplit(url._replace(path=path)))


def _grpc_exporter(url: SplitResult) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - one of two

    return OTLPSpanExporter(endpoint=urlunsplit(url))


def _readable(span: Span, resource: Resource) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=_context(span.id, remote=False),
        parent=None if span.parent is None else _context(span.parent, remote=span.remote),
        resource=resource,
        attributes=dict(span.attributes),
        links=[Link(_context(link, remote=False)) for link in span.links],
        kind=SpanKind.SERVER if span.serves else SpanKind.INTERNAL,
        status=_UNSET if span.error is None else Status(_ERROR, span.error),
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=_SCOPE,
    )


def _context(where: SpanId, *, remote: bool) -> SpanContext:
    state = TraceState.from_header([where.state]) if where.state else None
    return SpanContext(where.trace, where.span, remote, _SAMPLED, state)
