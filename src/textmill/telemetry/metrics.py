"""Metrics: each is named once here or in `tei.py`, and each room reports through one method."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from threading import Lock
from typing import Protocol

from textmill.contract import Answered, BatchReport, CacheReport, Ended, ModelInfo, Spent, Timings
from textmill.errors import ForwardFailed, TextmillError
from textmill.telemetry.caching import Caching
from textmill.telemetry.computing import SECONDS, Computing
from textmill.telemetry.request import CURRENT, Request
from textmill.telemetry.series import CONTENT_TYPE, counter, gauge, histogram
from textmill.telemetry.tei import Family, Form, TeiSeries, err_of
from textmill.telemetry.tracer import Headers, Tracer, Value
from textmill.telemetry.writing import Writing

_log = logging.getLogger("textmill.request")

_STATES = ("loading", "ready", "failed", "unloaded")
_ANY_LENGTH = 1 << 19
_TEI_NAMES = {"/v1/embeddings": "openai_embed"}
"""What TEI's log calls routes that it does not call by their paths."""
_CAPITAL = re.compile("(?<!^)[A-Z]")


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
    """The process's metrics, and what becomes of requests that are traced or logged.

    Thread-safe; an observation costs a few microseconds. ``tracer`` of None traces nothing; with ``log_requests`` each
    request that computes is a line in the log.
    """

    def __init__(self, *, log_requests: bool = False) -> None:
        self._lock = Lock()
        self._models: Callable[[], Sequence[Watched]] = tuple
        self.tracer: Tracer | None = None
        self.log_requests = log_requests
        self._tei = TeiSeries(_ANY_LENGTH)
        self._requests = counter("textmill_requests_total", "model", "route", "status", text="Requests answered.")
        self._request_seconds = histogram("textmill_request_seconds", SECONDS, "route", text="Time of a whole request.")
        self._computing = Computing()
        self._writing = Writing()
        self._caching = Caching()
        self._cache: Callable[[], CacheReport] | None = None
        self._spans = counter(
            "textmill_spans_total", "outcome", text="Spans sent to the collector, and spans that it did not take."
        )
        self._shown: set[str] = set()
        self._loading: set[str] = set()  # or failed to
        self._waiting_rows = gauge("textmill_waiting_rows", "model", text="Rows in line.")
        self._waiting_tokens = gauge("textmill_waiting_tokens", "model", text="Tokens in line.")
        self._ready = gauge("textmill_model_ready", "model", text="1 where the model answers, else 0.")
        self._state = gauge(
            "textmill_model_state", "model", "state", text="1 for the state that the model is in, 0 for the others."
        )

    def begin(self, headers: Headers) -> Request | None:
        """A request that came with these headers, where it is to be watched; what works on it has it as `CURRENT`."""
        request = None if self.tracer is None else self.tracer.begin(headers)
        return Request() if request is None and self.log_requests else request

    def end(self, request: Request, name: str, attributes: Mapping[str, Value], seconds: float, status: int) -> None:
        """Send the spans of a request that has been answered with this HTTP status, and log it where that is wanted.

        The log names it by the attribute ``http.route`` or ``rpc.method``.
        """
        if self.tracer is not None:
            self.tracer.end(request, name, attributes, seconds, status)
        if self.log_requests and request.inputs and status < HTTPStatus.BAD_REQUEST:
            _log.info("Success", extra={"span": _shown(_called(attributes), request, seconds)})

    def observe_entry(self, form: Form) -> None:
        """Count a request that a route begins to compute."""
        with self._lock:
            self._tei.entered(form)

    def observe_inputs(self, family: Family, inputs: int) -> None:
        """Count inputs that are about to be computed."""
        with self._lock:
            self._tei.taken(family, inputs)

    def observe_failure(self, error: BaseException) -> None:
        """Count a request that ended with an error after its entry; log it where requests are logged."""
        err = err_of(error)
        if err is not None:
            with self._lock:
                self._tei.failed(err)
        self.log_failure(error)

    def log_failure(self, error: BaseException) -> None:
        """Log why a request was refused, where requests are logged. The dialects log failures of the runtime, and bugs, at any rate."""
        if self.log_requests and isinstance(error, TextmillError) and not isinstance(error, ForwardFailed):
            _log.error("%s", error)

    def observe_dropped(self) -> None:
        """Count a request whose client left before the answer."""
        with self._lock:
            self._tei.failed("dropped")

    def observe_request(
        self, route: str, status: int | str, model: str, seconds: float, *, form: Form | None = None
    ) -> None:
        """Count an answered request. ``route`` and ``model`` must come from closed sets, never from the client.

        ``status`` is HTTP's number or the name of gRPC's; ``form`` that of its entry, None where it computes nothing.
        """
        with self._lock:
            self._requests.of(model, route, str(status)).add()
            self._request_seconds.of(route).add(seconds)
            if form is not None and (status == "OK" if isinstance(status, str) else status < HTTPStatus.BAD_REQUEST):
                self._tei.succeeded(form, seconds)

    def observe_answer(self, model: str, made: Answered, seconds: float, *, part: bool = False) -> None:
        """Count what a call computed, how long it took and where its time went.

        ``part`` says that its request has other calls too.
        """
        request = CURRENT.get()
        if request is not None:
            request.add(model, made)
        with self._lock:
            self._tei.answered(made, seconds)
            self._computing.of(model).answered(made)
        if not part:
            self.observe_stages(model, made.timings)

    def observe_stages(self, model: str, timings: Timings) -> None:
        """Count where a request's time went; with each answer but those of a part."""
        with self._lock:
            self._tei.spent(timings)
            self._computing.of(model).spent(timings)

    def observe_first_piece(self, model: str, seconds: float) -> None:
        """Count an answer of a model that writes, whose first piece took that long."""
        with self._lock:
            self._writing.began(model, seconds)

    def observe_choice(self, model: str, ended: Ended) -> None:
        """Count a choice that has come to its end."""
        with self._lock:
            self._writing.ended(model, ended)

    def observe_written(self, model: str, spent: Spent, began: float, first_s: float, rest_s: float) -> None:
        """Count what a whole answer took, which began at that moment of `time.monotonic`, whose first piece came after some seconds."""
        request = CURRENT.get()
        if request is not None:
            request.wrote(model, spent, began, first_s, rest_s)
        with self._lock:
            self._writing.spent(model, spent, rest_s)

    def observe_batch(self, model: str, report: BatchReport) -> None:
        """Count a batch, and tell the requests in it that are traced."""
        if report.traced and self.tracer is not None:
            self.tracer.batch(model, report)
        with self._lock:
            self._tei.batch(report.rows, report.tokens)
            self._computing.of(model).batch(report)

    def observe_export(self, outcome: str, spans: int) -> None:
        """Count spans that a collector took (sent) or did not take (lost)."""
        with self._lock:
            self._spans.of(outcome).add(spans)

    def observe_model(self, model: str, *, ready: bool, waiting: tuple[int, int]) -> None:
        """Say whether a model answers, and the rows and tokens that wait."""
        with self._lock:
            self._ready.of(model).value = int(ready)
            self._waiting_rows.of(model).value, self._waiting_tokens.of(model).value = waiting
            self._enter(model, "ready" if ready else "failed")

    def _observe_gone(self, shown: set[str]) -> None:
        """Say of models that were there at an earlier scrape that they are not."""
        with self._lock:
            for model in self._shown - shown - self._loading:
                self._ready.of(model).value = 0
                self._waiting_rows.of(model).value = self._waiting_tokens.of(model).value = 0
                self._enter(model, "unloaded")
            self._shown |= shown

    def expect(self, models: Sequence[str]) -> None:
        """Say that these models are to be loaded."""
        with self._lock:
            for model in models:
                self._enter(model, "loading")

    @contextmanager
    def loading(self, model: str) -> Iterator[None]:
        """While this lasts the model loads; it has failed if an error ends it."""
        self.expect([model])
        with self._lock:
            self._loading.add(model)
        try:
            yield
        except BaseException:
            with self._lock:
                self._enter(model, "failed")
            raise
        with self._lock:
            self._loading.discard(model)
            for state in _STATES:  # it may have another name from now on, that of its files
                self._state.forget(model, state)

    def _enter(self, model: str, current: str) -> None:
        for state in _STATES:
            self._state.of(model, state).value = int(state == current)

    def watch(self, models: Callable[[], Sequence[Watched]]) -> None:
        """Look at these models at each scrape, and fit the buckets of lengths to them."""
        self._models = models
        longest = max((model.info.max_tokens for model in models()), default=_ANY_LENGTH)
        self._tei.limit_lengths(longest)

    def watch_cache(self, report: Callable[[], CacheReport]) -> None:
        """Look at this cache at each scrape."""
        self._cache = report

    def render(self) -> tuple[bytes, str]:
        """All metrics in Prometheus' text format, and its content type."""
        rows, models = 0, self._models()
        self._observe_gone({model.info.name for model in models})
        for model in models:
            waiting = model.waiting
            rows += waiting[0]
            self.observe_model(model.info.name, ready=model.ready, waiting=waiting)
        gauges = (self._waiting_rows, self._waiting_tokens, self._ready, self._state)
        cache = None if self._cache is None else self._cache()
        with self._lock:
            lines = [line for series in (self._requests, self._spans, *gauges) for line in series.lines()]
            lines += self._request_seconds.lines()
            lines += self._computing.lines()
            lines += self._writing.lines()
            if cache is not None:
                self._caching.show(cache)
                lines += self._caching.lines()
            lines += self._tei.lines(rows)
        return "\n".join((*lines, "")).encode(), CONTENT_TYPE


def _called(attributes: Mapping[str, Value]) -> str:
    """A request's name in TEI's log: `embed_all` is POST /embed_all and the rpc EmbedAll."""
    if "rpc.method" in attributes:
        return _CAPITAL.sub(r"_\g<0>", str(attributes["rpc.method"])).lower()
    route = str(attributes["http.route"])
    return _TEI_NAMES.get(route, route.strip("/") or "/")


def _shown(name: str, request: Request, seconds: float) -> dict[str, str | int]:
    """A request's times as TEI's log has them, and how much was computed as its log has it of gRPC."""
    timings = request.timings
    return {
        "name": name,
        "total_time": _time(seconds),
        "tokenization_time": _time(timings.tokenize),
        "queue_time": _time(timings.queue),
        "inference_time": _time(timings.inference),
        "compute_chars": request.characters,
        "compute_tokens": request.tokens,
    }


def _time(seconds: float) -> str:
    """Seconds in the largest unit of which there is one, as Rust prints durations."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.6f}".rstrip("0").rstrip(".") + unit
    return f"{round(seconds * 1e9)}ns"
