"""Metrics: each is named once here or in `tei.py`, and each room reports through one method."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from textmill.contract import Answered, BatchReport, ModelInfo, Timings
from textmill.errors import ForwardFailed, TextmillError
from textmill.telemetry.request import CURRENT, Request
from textmill.telemetry.tei import Family, Form, TeiSeries, err_of
from textmill.telemetry.tracer import Headers, Tracer, Value

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

_log = logging.getLogger("textmill.request")

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ROWS = tuple(2.0**k for k in range(13))
_TOKENS = tuple(2.0**k for k in range(4, 19))
_STATES = ("loading", "ready", "failed")
_ANY_LENGTH = 1 << 19
_TEI_NAMES = {"/v1/embeddings": "openai_embed"}
"""What TEI's log calls routes that it does not call by their paths."""


class Watched(Protocol):
    """A model as a scrape looks at it."""

    @property
    def info(self) -> ModelInfo:
        """What it is."""
        ...

    @property
    def ready(self) -> bool:
        """Whether it can answer."""
        ...

    @property
    def waiting(self) -> tuple[int, int]:
        """Rows and tokens in line."""
        ...


class Telemetry:
    """The process's metrics, in a registry of their own, and what becomes of requests that are traced or logged.

    Thread-safe; an observation costs a few microseconds. ``tracer`` of None traces nothing; with ``log_requests`` each
    request that computes is a line in the log.
    """

    def __init__(self, *, log_requests: bool = False) -> None:
        # Imported here: only servers measure, and the library must import fast.
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram  # noqa: PLC0415

        self._registry = registry = CollectorRegistry()
        self._children: dict[tuple[Any, ...], Any] = {}
        self._tei = TeiSeries(_ANY_LENGTH)
        self._models: Callable[[], Sequence[Watched]] = tuple
        self.tracer: Tracer | None = None
        self.log_requests = log_requests

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"textmill_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"textmill_{name}", text, labels, registry=registry, buckets=buckets)

        def gauge(name: str, text: str, *more: str) -> Gauge:
            return Gauge(f"textmill_{name}", text, ("model", *more), registry=registry)

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
        self._padding_tokens = counter(
            "padding_tokens", "Of these, the padding: what rows of one length would have saved.", "model"
        )
        self._deduplicated = counter("deduplicated_rows", "Rows answered from an identical one in flight.", "model")
        self._failed = counter("failed_rows", "Rows that the runtime failed on.", "model")
        self._spans = counter("spans", "Spans sent to the collector, and spans that it did not take.", "outcome")
        self._waiting_rows = gauge("waiting_rows", "Rows in line.")
        self._waiting_tokens = gauge("waiting_tokens", "Tokens in line.")
        self._ready = gauge("model_ready", "1 where the model answers, else 0.")
        self._state = gauge("model_state", "1 for the state that the model is in, 0 for the others.", "state")

    def _child(self, metric: Counter | Gauge | Histogram, *labels: str) -> Any:
        # prometheus_client checks and joins label values at each call; a dict look-up is ten times cheaper.
        key = (metric, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child

    def begin(self, headers: Headers) -> Request | None:
        """A request that came with these headers, where it is to be watched; what works on it has it as `CURRENT`."""
        request = None if self.tracer is None else self.tracer.begin(headers)
        return Request() if request is None and self.log_requests else request

    def end(self, request: Request, name: str, attributes: Mapping[str, Value], seconds: float, status: int) -> None:
        """Send the spans of a request that has been answered with this HTTP status, and log it where that is wanted."""
        if self.tracer is not None:
            self.tracer.end(request, name, attributes, seconds, status)
        if self.log_requests and request.answer is not None and status < HTTPStatus.BAD_REQUEST:
            route = str(attributes.get("http.route", name))
            shown = _TEI_NAMES.get(route, route.strip("/"))
            _log.info("Success", extra={"span": _shown(shown, request.answer.timings, seconds)})

    def observe_entry(self, form: Form) -> None:
        """Count a request that a route begins to compute."""
        self._tei.entered(form)

    def observe_inputs(self, family: Family, inputs: int) -> None:
        """Count inputs that are about to be computed."""
        self._tei.taken(family, inputs)

    def observe_failure(self, error: BaseException) -> None:
        """Count a request that ended with an error after its entry; log it where requests are logged."""
        err = err_of(error)
        if err is not None:
            self._tei.failed(err)
        # The HTTP room logs failures of the runtime, and the server logs bugs.
        if self.log_requests and isinstance(error, TextmillError) and not isinstance(error, ForwardFailed):
            _log.error("%s", error)

    def observe_dropped(self) -> None:
        """Count a request whose client left before the answer."""
        self._tei.failed("dropped")

    def observe_request(
        self, route: str, status: int | str, model: str, seconds: float, *, form: Form | None = None
    ) -> None:
        """Count an answered request. ``route`` and ``model`` must come from closed sets, never from the client.

        ``status`` is HTTP's number or the name of gRPC's; ``form`` that of its entry, None where it computes nothing.
        """
        self._child(self._requests, route, str(status), model).inc()
        self._child(self._request_seconds, route).observe(seconds)
        if form is not None and (status == "OK" if isinstance(status, str) else status < HTTPStatus.BAD_REQUEST):
            self._tei.succeeded(form, seconds)

    def observe_answer(self, model: str, made: Answered) -> None:
        """Count what a call computed and where its time went."""
        request = CURRENT.get()
        if request is not None:
            request.model, request.answer = model, made
        self._tei.answered(made)
        self._child(self._inputs, model).inc(len(made.tokens))
        self._child(self._tokens, model).inc(sum(made.tokens))
        self._child(self._stage_seconds, model, "tokenize").observe(made.timings.tokenize)
        self._child(self._stage_seconds, model, "queue").observe(made.timings.queue)
        self._child(self._stage_seconds, model, "inference").observe(made.timings.inference)
        cut = sum(made.truncated)
        if cut:
            self._child(self._truncated, model).inc(cut)

    def observe_batch(self, model: str, report: BatchReport) -> None:
        """Count a batch, and tell the requests in it that are traced."""
        if report.traced and self.tracer is not None:
            self.tracer.batch(model, report)
        self._tei.batch(report.rows, report.tokens)
        self._child(self._batch_rows, model).observe(report.rows)
        self._child(self._batch_tokens, model).observe(report.tokens)
        self._child(self._batch_seconds, model).observe(report.seconds)
        self._child(self._padded_tokens, model).inc(report.padded_tokens)
        self._child(self._padding_tokens, model).inc(report.padded_tokens - report.tokens)
        self._child(self._deduplicated, model).inc(report.deduplicated_rows)
        self._child(self._failed, model).inc(report.failed_rows)

    def observe_export(self, outcome: str, spans: int) -> None:
        """Count spans that a collector took (sent) or did not take (lost)."""
        self._child(self._spans, outcome).inc(spans)

    def observe_model(self, model: str, *, ready: bool, waiting: tuple[int, int]) -> None:
        """Say whether a model answers, and the rows and tokens that wait."""
        self._child(self._ready, model).set(int(ready))
        self._child(self._waiting_rows, model).set(waiting[0])
        self._child(self._waiting_tokens, model).set(waiting[1])
        self._enter(model, "ready" if ready else "failed")

    def expect(self, models: Sequence[str]) -> None:
        """Say that these models are to be loaded."""
        for model in models:
            self._enter(model, "loading")

    @contextmanager
    def loading(self, model: str) -> Iterator[None]:
        """While this lasts the model loads; it has failed if an error ends it."""
        self._enter(model, "loading")
        try:
            yield
        except BaseException:
            self._enter(model, "failed")
            raise
        for state in _STATES:  # it may have another name from now on, that of its files
            self._state.remove(model, state)
            self._children.pop((self._state, model, state))

    def _enter(self, model: str, current: str) -> None:
        for state in _STATES:
            self._child(self._state, model, state).set(int(state == current))

    def watch(self, models: Callable[[], Sequence[Watched]]) -> None:
        """Look at these models at each scrape, and fit the buckets of lengths to them."""
        self._models = models
        longest = max((model.info.max_tokens for model in models()), default=_ANY_LENGTH)
        self._tei.limit_lengths(longest)

    def render(self) -> tuple[bytes, str]:
        """All metrics in Prometheus' text format, and its content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest  # noqa: PLC0415 - as in __init__

        rows = 0
        for model in self._models():
            waiting = model.waiting
            rows += waiting[0]
            self.observe_model(model.info.name, ready=model.ready, waiting=waiting)
        theirs = "\n".join((*self._tei.lines(rows), ""))
        return generate_latest(self._registry) + theirs.encode(), CONTENT_TYPE_LATEST


def _shown(name: str, timings: Timings, seconds: float) -> dict[str, str]:
    """A request's times as TEI's log has them."""
    return {
        "name": name,
        "total_time": _time(seconds),
        "tokenization_time": _time(timings.tokenize),
        "queue_time": _time(timings.queue),
        "inference_time": _time(timings.inference),
    }


def _time(seconds: float) -> str:
    """Seconds in the largest unit of which there is one, as Rust prints durations."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.6f}".rstrip("0").rstrip(".") + unit
    return f"{round(seconds * 1e9)}ns"
