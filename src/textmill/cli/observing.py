"""What a server shows of itself beside its answers: a port for metrics, and traces on their way to a collector."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from textmill.cli.door import bind
from textmill.config import ServeOptions, otlp_protocol
from textmill.telemetry import Telemetry

_FLUSH_S = 1.5
"""How long the last traces may take, behind the drain: `docker stop` kills two seconds after that has ended."""


@contextmanager
def observing(options: ServeOptions) -> Iterator[Telemetry]:
    """The metrics of a server, on a port of their own and with traces where the options want these.

    At the end the port closes, and traces that are left are sent, for at most 1.5 seconds. Raises ConfigInvalid where the
    port is taken or the collector's address is none, ExtraMissing where OpenTelemetry is not installed.
    """
    telemetry = Telemetry(log_requests=options.log_requests)
    telemetry.expect(options.models)
    with ExitStack() as opened:
        if options.otlp_endpoint is not None:
            from textmill.telemetry.otlp import open_tracer  # noqa: PLC0415 - an extra, and slow to import

            telemetry.tracer = open_tracer(
                options.otlp_endpoint,
                options.otlp_service_name,
                options.trace_sample,
                telemetry.observe_export,
                otlp_protocol(),
            )
            opened.callback(telemetry.tracer.close, _FLUSH_S)
        if options.prometheus_port is not None:
            from textmill.cli.metrics_port import FLAG, serving  # noqa: PLC0415 - its server costs start-up time

            door = opened.enter_context(bind(options.host, options.prometheus_port, flag=FLAG))
            opened.enter_context(serving(door, telemetry.render))
        yield telemetry
