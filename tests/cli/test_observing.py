"""A server as a process of its own, watched: its traces at a collector, its metrics, its log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from textmill.cli.observing import observing
from textmill.config import ServeOptions
from textmill.errors import ConfigInvalid

pytestmark = pytest.mark.timeout(60)  # a process imports everything anew, and the machine may be busy

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Collector(ThreadingHTTPServer):
    """Takes OTLP over HTTP; ``spans`` has what came, ``headers`` those of the last request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Any] = []
        self.services: set[str] = set()
        self.headers: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/traces"


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        request = ExportTraceServiceRequest()
        request.ParseFromString(self.rfile.read(int(self.headers["content-length"])))
        self.server.headers = dict(self.headers)
        for resource in request.resource_spans:
            names = [each.value.string_value for each in resource.resource.attributes if each.key == "service.name"]
            self.server.services.update(names)
            for scope in resource.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


Serve = Callable[..., "tuple[subprocess.Popen[str], str]"]


@pytest.fixture
def serve(tiny: str) -> Iterator[Serve]:
    """Starts a server of the tiny model; the process and its URL."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, **variables: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "textmill", "serve", tiny, "--port", "0", "--threads", "1", *arguments]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables}  # noqa: TID251 - to pass it on
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environ)  # noqa: S603 - ours
        started.append(process)
        assert process.stdout
        line = process.stdout.readline()
        assert " ready on " in line, line or process.communicate()[1]
        return process, line.split(" ready on ")[1].split()[0]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def stop(process: subprocess.Popen[str]) -> list[str]:
    """End the server; the lines of its log."""
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return errors.splitlines()


def test_a_request_can_be_followed_from_its_caller_to_its_batch(serve: Serve, collector: Collector) -> None:
    process, url = serve(
        *("--otlp-endpoint", collector.url, "--trace-sample", "0", "--log-format", "json", "--log-requests"),
        OTEL_SERVICE_NAME="mill",
        OTEL_EXPORTER_OTLP_HEADERS="x-tenant=one",
    )
    headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "a=1"}
    assert httpx.post(f"{url}/embed", json={"inputs": ["a", "b c"]}, headers=headers).status_code == 200
    assert httpx.post(f"{url}/embed", json={"inputs": "not sampled"}).status_code == 200
    lines = [json.loads(line) for line in stop(process)]

    spans = {span.name: span for span in collector.spans}
    assert len(collector.spans) == len(spans) == 6
    root, batch = spans["POST /embed"], spans["batch"]
    assert root.trace_id.hex() == TRACE
    assert root.parent_span_id.hex() == "b7ad6b7169203331"
    assert root.trace_state == "a=1"
    for name in ("tokenize", "queue", "inference"):
        assert spans[name].parent_span_id == root.span_id
        assert root.start_time_unix_nano <= spans[name].start_time_unix_nano + 1_000_000
        assert spans[name].end_time_unix_nano <= root.end_time_unix_nano + 1_000_000
    assert [link.span_id for link in batch.links] == [root.span_id]
    assert [link.span_id for link in spans["inference"].links] == [batch.span_id]
    assert spans["runtime"].parent_span_id == batch.span_id
    assert batch.trace_id != root.trace_id
    assert collector.services == {"mill"}
    assert collector.headers["x-tenant"] == "one"

    logged = [line for line in lines if line["message"] == "Success"]
    assert [line.get("trace_id") for line in logged] == [TRACE, None]
    assert logged[0]["span_id"] == root.span_id.hex()


def test_no_secret_is_in_the_log(serve: Serve, collector: Collector) -> None:
    process, url = serve(
        *("--otlp-endpoint", collector.url, "--log-level", "debug", "--log-requests", "--offline"),
        *("--api-key", "right-secret", "--token", "hub-secret"),
        TEXTMILL_LOG_FORMAT="json",
        OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20otlp-secret",
    )
    for name, value in (
        ("authorization", "Bearer right-secret"),
        ("authorization", "Bearer wrong-secret"),
        ("authorization", "Basic wrong-secret"),
        ("api-key", "wrong-secret"),
        ("cookie", "wrong-secret"),
    ):
        for body in ({"inputs": "a"}, {"inputs": ""}, {"inputs": 1}):
            httpx.post(f"{url}/embed?key=wrong-secret", json=body, headers={name: value})
    lines = stop(process)

    assert any('"message": "Success"' in line for line in lines)
    assert [line for line in lines if "secret" in line] == []
    assert collector.headers["authorization"] == "Bearer otlp-secret"


def test_a_collector_that_is_away_hurts_no_request_and_delays_no_exit(serve: Serve) -> None:
    process, url = serve("--otlp-endpoint", "http://127.0.0.1:9", OTEL_BSP_SCHEDULE_DELAY="10")
    for _ in range(3):
        assert httpx.post(f"{url}/embed", json={"inputs": "a"}).status_code == 200
    assert len([line for line in stop(process) if " INFO " not in line]) <= 1


def test_metrics_have_a_port_of_their_own_and_keep_the_main_one(serve: Serve) -> None:
    with httpx.Client() as client:
        _, url = serve("--prometheus-port", str(port := _free_port()))
        client.post(f"{url}/embed", json={"inputs": ["a", "b"]})
        for address in (f"http://127.0.0.1:{port}", url):
            lines = client.get(f"{address}/metrics").text.splitlines()
            assert "te_embed_count 2" in lines
            assert "te_embed_success 2" in lines
            assert 'textmill_model_state{model="tiny",state="ready"} 1' in lines
            assert 'textmill_model_state{model="tiny",state="loading"} 0' in lines
        assert client.get(f"http://127.0.0.1:{port}/health").text == "OK"


def _free_port() -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return server.server_address[1]


def test_an_endpoint_that_is_none_is_known_before_a_model_loads() -> None:
    options = ServeOptions(otlp_endpoint="collector", models=("no-such-model",))
    with pytest.raises(ConfigInvalid, match="--otlp-endpoint"), observing(options):
        pass
