from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from opentelemetry.trace.status import StatusCode

from textmill.contract import BatchReport
from textmill.errors import ConfigInvalid
from textmill.telemetry.otlp import Reporting, open_tracer, tracer_of

SAMPLED = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_spans_reach_the_exporter_as_a_tree_with_links() -> None:
    exporter = InMemorySpanExporter()
    tracer = tracer_of(exporter, "mill", 1.0)
    request = tracer.begin([(b"traceparent", SAMPLED), (b"tracestate", b"a=1,b=2")])
    assert request is not None
    request.stage("tokenize", request.began, 0.1)
    tracer.batch("m", BatchReport(1, 4, 4, 0.5, 0, 1, request.began + 0.2, ((request, request.began),)))
    tracer.end(request, "POST /embed", {"http.route": "/embed"}, 1.0, 200)
    tracer.close(5.0)

    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert set(spans) == {"POST /embed", "tokenize", "queue", "inference", "batch", "runtime"}
    root, batch = spans["POST /embed"], spans["batch"]
    assert f"{root.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert root.parent is not None
    assert f"{root.parent.span_id:016x}" == "b7ad6b7169203331"
    assert root.parent.is_remote
    assert root.kind is SpanKind.SERVER
    assert root.context.trace_state.to_header() == "a=1,b=2"
    assert root.resource.attributes["service.name"] == "mill"
    for name in ("tokenize", "queue", "inference"):
        parent = spans[name].parent
        assert parent is not None
        assert parent.span_id == root.context.span_id
        assert not parent.is_remote
    assert [link.context.span_id for link in batch.links] == [root.context.span_id]
    assert [link.context.span_id for link in spans["inference"].links] == [batch.context.span_id]
    assert batch.parent is None
    assert batch.status.status_code is StatusCode.ERROR


def test_without_opentelemetry_the_way_to_install_it_is_said() -> None:
    program = (
        "import sys; sys.modules['opentelemetry.sdk.trace'] = None\n"
        "from textmill.errors import ExtraMissing\n"
        "try: import textmill.telemetry.otlp\n"
        "except ExtraMissing as error: print(error)"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # noqa: TID251 - to pass it on
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environ)  # noqa: S603 - ours
    assert "pip install 'textmill[otel]'" in done.stdout


class Flaky(SpanExporter):
    """Takes nothing while it is ``down``, and raises where it is ``broken``."""

    def __init__(self) -> None:
        self.down = True
        self.broken = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        del spans
        if self.broken:
            msg = "no network"
            raise OSError(msg)
        return SpanExportResult.FAILURE if self.down else SpanExportResult.SUCCESS


def test_a_collector_that_is_away_is_told_of_once_and_when_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    seen: list[tuple[str, int]] = []
    flaky = Flaky()
    reporting = Reporting(flaky, "http://collector:1", lambda outcome, spans: seen.append((outcome, spans)))
    for _ in range(5):
        reporting.export([ReadableSpan("a")])
    flaky.broken = True
    reporting.export([ReadableSpan("a")])
    flaky.broken = flaky.down = False
    for _ in range(2):
        reporting.export([ReadableSpan("a"), ReadableSpan("b")])
    assert seen == [("lost", 1)] * 6 + [("sent", 2)] * 2
    levels = [record.levelname for record in caplog.records if record.name == "textmill.telemetry.otlp"]
    assert levels == ["WARNING", "INFO"]
    assert "http://collector:1" in caplog.text


class Hanging(SpanExporter):
    """Does not come back until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        del spans
        self.let_go.wait(10)
        return SpanExportResult.SUCCESS


def test_closing_waits_no_longer_than_it_was_told_to() -> None:
    """It would take ten seconds if it waited, and the test's own limit would end it."""
    exporter = Hanging()
    tracer = tracer_of(exporter, "mill", 1.0)
    request = tracer.begin([])
    assert request is not None
    tracer.end(request, "POST /embed", {}, 1.0, 200)
    tracer.close(0.01)
    assert not exporter.let_go.is_set()
    exporter.let_go.set()


class Collector(TraceServiceServicer):
    """Takes OTLP over gRPC on a port of its own; ``requests`` has what came, with the metadata of each call."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, Any], ExportTraceServiceRequest]] = []

    def Export(  # noqa: N802 - as it is called in the .proto
        self, request: ExportTraceServiceRequest, context: Any
    ) -> ExportTraceServiceResponse:
        self.requests.append((dict(context.invocation_metadata()), request))
        return ExportTraceServiceResponse()


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    """A collector, and its URL."""
    made, server = Collector(), grpc.server(ThreadPoolExecutor(1))
    add_TraceServiceServicer_to_server(made, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield made, f"http://127.0.0.1:{port}"
    server.stop(0).wait()


def test_a_collector_gets_spans_over_grpc(collector: tuple[Collector, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=one")
    made, url = collector
    seen: list[tuple[str, int]] = []
    tracer = open_tracer(url, "mill", 0.0, lambda outcome, spans: seen.append((outcome, spans)))
    request = tracer.begin([(b"traceparent", SAMPLED)])
    assert request is not None
    request.stage("tokenize", request.began, 0.25)
    tracer.end(request, "tei.v1.Embed/Embed", {"rpc.method": "Embed", "rpc.grpc.status_code": 14}, 0.5, 503)
    tracer.close(10.0)

    assert seen == [("sent", 2)]
    [(metadata, exported)] = made.requests
    assert metadata["x-tenant"] == "one"
    [resource] = exported.resource_spans
    named = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert named["service.name"] == "mill"
    spans = {span.name: span for scope in resource.scope_spans for span in scope.spans}
    root, stage = spans["tei.v1.Embed/Embed"], spans["tokenize"]
    assert root.trace_id.hex() == stage.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert (root.parent_span_id.hex(), stage.parent_span_id) == ("b7ad6b7169203331", root.span_id)
    assert root.end_time_unix_nano - root.start_time_unix_nano == 500_000_000
    assert stage.end_time_unix_nano - stage.start_time_unix_nano == 250_000_000
    assert {each.key: each.value.int_value for each in root.attributes}["rpc.grpc.status_code"] == 14
    assert root.status.code == Status.STATUS_CODE_ERROR


@pytest.mark.parametrize("endpoint", ["collector:4317", "http://", "ftp://collector", "http://[::1", "http://a:b"])
def test_what_is_no_url_is_refused_at_the_start(endpoint: str) -> None:
    with pytest.raises(ConfigInvalid, match="--otlp-endpoint"):
        open_tracer(endpoint, "mill", 1.0, lambda _outcome, _spans: None)
