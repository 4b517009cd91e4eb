"""What is known of a running server: metrics, spans and the log's lines about requests, each named once."""

from textmill.telemetry.metrics import Telemetry

__all__ = ["Telemetry"]
