"""The series of Text Embeddings Inference, by their names, labels and buckets there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, repeat
from operator import mul
from threading import Lock
from typing import Literal

from textmill.contract import Answered, Classifications, Entities, Scores, Timings
from textmill.errors import (
    ForwardFailed,
    InvalidInput,
    Overloaded,
    TooManyInputs,
    Unavailable,
    WrongTask,
)
from textmill.telemetry.series import Counter, Histogram

Form = Literal["single", "batch"]
"""Whether a request has an input by itself, or a list of them."""

Family = Literal["embed", "predict"]
"""What inputs are for: vectors, or scores."""

Err = Literal[
    "validation",
    "batch_size",
    "model_type",
    "tokenization",
    "overloaded",
    "inference",
    "dropped",
    "missing_values",
]

_SECONDS = tuple(accumulate(repeat(1.5, 35), mul, initial=0.00001))[1:]
_ROWS = tuple(2**k for k in range(13))
_TOKENS = tuple(2**k for k in range(21))
_LENGTHS = tuple(2**k for k in range(20))

_STAGES = ("tokenization", "queue", "inference")

_ERRS: dict[type[BaseException], Err] = {
    TooManyInputs: "batch_size",
    WrongTask: "model_type",
    InvalidInput: "validation",
    Overloaded: "overloaded",
    ForwardFailed: "inference",
    Unavailable: "inference",
}
"""Ours to theirs; errors that are not here happen before a route's own work, which TEI does not count."""


def err_of(error: BaseException) -> Err | None:
    """The label of an error; None where TEI has none. What an input is to blame for is found while it is tokenised."""
    if isinstance(error, InvalidInput) and (error.index is not None or error.param == "query"):
        return "tokenization"
    return next((_ERRS[cls] for cls in type(error).__mro__ if cls in _ERRS), None)


def family_of(made: Answered) -> Family:
    """What an answer is."""
    return "predict" if isinstance(made, (Classifications, Scores, Entities)) else "embed"


class _Family:
    """The series of one family, each an input's."""

    def __init__(self, family: str) -> None:
        self.count = Counter(f"te_{family}_count")
        self.success = Counter(f"te_{family}_success")
        self.duration = Histogram(f"te_{family}_duration", _SECONDS)
        self.stages = [Histogram(f"te_{family}_{stage}_duration", _SECONDS) for stage in _STAGES]

    def all(self) -> Sequence[Counter | Histogram]:
        return self.count, self.success, self.duration, *self.stages


class TeiSeries:
    """All of them. Thread-safe. ``max_tokens`` bounds the buckets of lengths."""

    def __init__(self, max_tokens: int) -> None:
        self._lock = Lock()
        self._requests = Counter("te_request_count", "method", ("single", "batch"))
        self._successes = Counter("te_request_success", "method", ("single", "batch"))
        self._failures = Counter("te_request_failure", "err", Err.__args__)  # type: ignore[attr-defined]  # of a Literal
        self._duration = Histogram("te_request_duration", _SECONDS)
        self._stages = [Histogram(f"te_request_{stage}_duration", _SECONDS) for stage in _STAGES]
        self._families: dict[Family, _Family] = {"embed": _Family("embed"), "predict": _Family("predict")}
        self._next_size = Histogram("te_batch_next_size", _ROWS)
        self._next_tokens = Histogram("te_batch_next_tokens", _TOKENS)
        self.limit_lengths(max_tokens)

    def limit_lengths(self, max_tokens: int) -> None:
        """Begin the lengths of inputs anew, with buckets up to so many tokens."""
        self._length = Histogram("te_request_input_length", [bound for bound in _LENGTHS if bound <= max_tokens])

    def entered(self, form: Form) -> None:
        """Count a request that a route begins to work on."""
        with self._lock:
            self._requests.add(1, form)

    def succeeded(self, form: Form, seconds: float) -> None:
        """Count a request that was answered well."""
        with self._lock:
            self._successes.add(1, form)
            self._duration.add(seconds)

    def failed(self, err: Err) -> None:
        """Count a request that was not."""
        with self._lock:
            self._failures.add(1, err)

    def taken(self, family: Family, inputs: int) -> None:
        """Count inputs that are to be computed."""
        with self._lock:
            self._families[family].count.add(inputs)

    def answered(self, made: Answered) -> None:
        """Count what a call computed; its times are means over its inputs, and so count for each of them."""
        times = _seconds(made.timings)
        inputs = len(made.tokens)
        family = self._families[family_of(made)]
        with self._lock:
            for histogram, seconds in zip(self._stages, times, strict=True):
                histogram.add(seconds)
            for histogram, seconds in zip(family.stages, times, strict=True):
                histogram.add(seconds, inputs)
            family.duration.add(sum(times), inputs)
            family.success.add(inputs)
            for length in made.tokens:
                self._length.add(length)

    def batch(self, rows: int, tokens: int) -> None:
        """Count a batch of distinct rows."""
        with self._lock:
            self._next_size.add(rows)
            self._next_tokens.add(tokens)

    def lines(self, waiting: int) -> Iterator[str]:
        """All of them in the text format; ``waiting`` rows are in line."""
        with self._lock:
            for series in self._all():
                yield from series.lines()
        yield "# TYPE te_queue_size gauge"
        yield f"te_queue_size {waiting}"

    def _all(self) -> Iterator[Counter | Histogram]:
        yield from (self._requests, self._successes, self._failures)
        yield from (self._duration, *self._stages, self._length)
        for family in self._families.values():
            yield from family.all()
        yield self._next_size
        yield self._next_tokens


def _seconds(timings: Timings) -> tuple[float, float, float]:
    """The times of the stages, in the order of their names."""
    return timings.tokenize, timings.queue, timings.inference
