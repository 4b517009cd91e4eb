"""Metrics: each is named once here, and each room reports through one method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textmill.contract import Answered, BatchReport

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS = tuple(2.0**k for k in range(13))
_TOKENS = tuple(2.0**k for k in range(4, 19))


class Telemetry:
    """The process's metrics, in a registry of their own. Thread-safe; an observation costs a few microseconds."""

    def __init__(self) -> None:
        # Imported here: only servers measure, and the library must import fast.
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram  # noqa: PLC0415

        self._registry = registry = CollectorRegistry()
        self._children: dict[tuple[Any, ...], Any] = {}

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"textmill_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"textmill_{name}", text, labels, registry=registry, buckets=buckets)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"textmill_{name}", text, ("model",), registry=registry)

        self._requests = counter("requests", "Requests answered.", "route", "status", "model")
        self._request_seconds = histogram("request_seconds", "Time of a whole request.", _SECONDS, "route")
        self._inputs = counter("inputs", "Inputs computed.", "model")
        self._truncated = counter("truncated_inputs", "Inputs that were cut to the model's length.", "model")
        self._tokens = counter("tokens", "Tokens computed, special tokens and prompts included.", "model")
        self._stage_seconds = histogram(
            "stage_seconds", "Time of a request in a stage: mean over its inputs.", _SECONDS, "model", "stage"
        )
        self._batch_rows = histogram("batch_rows", "Rows in a batch.", _ROWS, "model")
        self._batch_tokens = histogram("batch_tokens", "Tokens in a batch, without padding.", _TOKENS, "model")
        self._batch_seconds = histogram("batch_seconds", "Time of a forward pass.", _SECONDS, "model")
        self._padded_tokens = counter(
            "padded_tokens", "Tokens of batches with every row padded to the longest.", "model"
        )
        self._deduplicated = counter("deduplicated_rows", "Rows answered from an identical one in flight.", "model")
        self._failed = counter("failed_rows", "Rows that the runtime failed on.", "model")
        self._waiting_rows = gauge("waiting_rows", "Rows in line.")
        self._waiting_tokens = gauge("waiting_tokens", "Tokens in line.")
        self._ready = gauge("model_ready", "1 where the model answers, else 0.")

    def _child(self, metric: Counter | Gauge | Histogram, *labels: str) -> Any:
        # prometheus_client checks and joins label values at each call; a dict look-up is ten times cheaper.
        key = (metric, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child

    def observe_request(self, route: str, status: int | str, model: str, seconds: float) -> None:
        """Count an answered request, of gRPC with the name of its status. ``route`` and ``model`` must come from closed sets, never from the client."""
        self._child(self._requests, route, str(status), model).inc()
        self._child(self._request_seconds, route).observe(seconds)

    def observe_answer(self, model: str, made: Answered) -> None:
        """Count what a call computed and where its time went."""
        self._child(self._inputs, model).inc(len(made.tokens))
        self._child(self._tokens, model).inc(sum(made.tokens))
        self._child(self._stage_seconds, model, "tokenize").observe(made.timings.tokenize)
        self._child(self._stage_seconds, model, "queue").observe(made.timings.queue)
        self._child(self._stage_seconds, model, "inference").observe(made.timings.inference)
        cut = sum(made.truncated)
        if cut:
            self._child(self._truncated, model).inc(cut)

    def observe_batch(self, model: str, report: BatchReport) -> None:
        """Count a batch."""
        self._child(self._batch_rows, model).observe(report.rows)
        self._child(self._batch_tokens, model).observe(report.tokens)
        self._child(self._batch_seconds, model).observe(report.seconds)
        self._child(self._padded_tokens, model).inc(report.padded_tokens)
        self._child(self._deduplicated, model).inc(report.deduplicated_rows)
        self._child(self._failed, model).inc(report.failed_rows)

    def observe_model(self, model: str, *, ready: bool, waiting: tuple[int, int]) -> None:
        """Say whether a model answers, and the rows and tokens that wait; asked for at each scrape, as it changes by itself."""
        self._child(self._ready, model).set(int(ready))
        self._child(self._waiting_rows, model).set(waiting[0])
        self._child(self._waiting_tokens, model).set(waiting[1])

    def render(self) -> tuple[bytes, str]:
        """All metrics in Prometheus' text format, and its content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest  # noqa: PLC0415 - as in __init__

        return generate_latest(self._registry), CONTENT_TYPE_LATEST
