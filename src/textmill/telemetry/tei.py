"""The series of Text Embeddings Inference, by their names, labels and buckets there."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, repeat
from operator import mul
from typing import Literal, get_args

from textmill.contract import Answered, Classifications, Entities, Scores, Timings
from textmill.errors import (
    ForwardFailed,
    InvalidInput,
    LoadFailed,
    ModelNotFound,
    Overloaded,
    TooManyInputs,
    Unavailable,
    WrongTask,
)
from textmill.telemetry.series import counter, gauge, histogram

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

FORMS: tuple[Form, ...] = get_args(Form)
ERRS: tuple[Err, ...] = get_args(Err)

_SECONDS = tuple(accumulate(repeat(1.5, 35), mul, initial=0.00001))[1:]
_ROWS = tuple(2**k for k in range(13))
_TOKENS = tuple(2**k for k in range(21))
_LENGTHS = tuple(2**k for k in range(20))

_STAGES = ("tokenization", "queue", "inference")

_ERRS: dict[type[BaseException], Err | None] = {
    TooManyInputs: "batch_size",
    WrongTask: "model_type",
    InvalidInput: "validation",
    Overloaded: "overloaded",
    ForwardFailed: "inference",
    LoadFailed: "inference",
    Unavailable: "inference",
    ModelNotFound: None,
    Exception: "inference",
}
"""Ours to theirs. TEI has one model and does not look at names; what is not on this list is a bug, or broken files."""


def err_of(error: BaseException) -> Err | None:
    """The label of an error; None where it does not count. What an input is to blame for is found while it is tokenised."""
    if isinstance(error, InvalidInput) and (error.index is not None or error.param in ("query", "prompt_name")):
        return "tokenization"
    return next((_ERRS[cls] for cls in type(error).__mro__ if cls in _ERRS), None)


def family_of(made: Answered) -> Family:
    """What an answer is."""
    return "predict" if isinstance(made, (Classifications, Scores, Entities)) else "embed"


class _Family:
    """The series of one family, each an input's."""

    def __init__(self, family: str) -> None:
        self._count = counter(f"te_{family}_count")
        self._success = counter(f"te_{family}_success")
        self._duration = histogram(f"te_{family}_duration", _SECONDS)
        self._stages = [histogram(f"te_{family}_{stage}_duration", _SECONDS) for stage in _STAGES]
        self.count, self.success, self.duration = self._count.of(), self._success.of(), self._duration.of()
        self.stages = [stage.of() for stage in self._stages]

    def lines(self) -> Iterator[str]:
        yield from self._count.lines()
        yield from self._success.lines()
        for times in (self._duration, *self._stages):
            yield from times.lines()


class TeiSeries:
    """All of them. ``max_tokens`` bounds the buckets of lengths. Not thread-safe: `Telemetry` holds a lock."""

    def __init__(self, max_tokens: int) -> None:
        self._requests = counter("te_request_count", "method")
        self._successes = counter("te_request_success", "method")
        self._failures = counter("te_request_failure", "err")
        for form in FORMS:
            self._requests.of(form)
            self._successes.of(form)
        for err in ERRS:
            self._failures.of(err)
        self._duration = histogram("te_request_duration", _SECONDS)
        self._stages = [histogram(f"te_request_{stage}_duration", _SECONDS) for stage in _STAGES]
        self._stage_cells = [stage.of() for stage in self._stages]
        self._families: dict[Family, _Family] = {"embed": _Family("embed"), "predict": _Family("predict")}
        self._next_size = histogram("te_batch_next_size", _ROWS)
        self._next_tokens = histogram("te_batch_next_tokens", _TOKENS)
        self._queue = gauge("te_queue_size")
        self.limit_lengths(max_tokens)

    def limit_lengths(self, max_tokens: int) -> None:
        """Begin the lengths of inputs anew, with buckets up to so many tokens."""
        self._length = histogram("te_request_input_length", [bound for bound in _LENGTHS if bound <= max_tokens])

    def entered(self, form: Form) -> None:
        """Count a request that a route begins to work on."""
        self._requests.of(form).add()

    def succeeded(self, form: Form, seconds: float) -> None:
        """Count a request that was answered well."""
        self._successes.of(form).add()
        self._duration.of().add(seconds)

    def failed(self, err: Err) -> None:
        """Count a request that was not."""
        self._failures.of(err).add()

    def taken(self, family: Family, inputs: int) -> None:
        """Count inputs that are to be computed."""
        self._families[family].count.add(inputs)

    def answered(self, made: Answered, seconds: float) -> None:
        """Count what a call computed in so many seconds; all its inputs have these, and the means of its stages."""
        times = (made.timings.tokenize, made.timings.queue, made.timings.inference)
        inputs = len(made.tokens)
        family = self._families[family_of(made)]
        for cell, mean in zip(family.stages, times, strict=True):
            cell.add(mean, inputs)
        family.duration.add(seconds, inputs)
        family.success.add(inputs)
        lengths = self._length.of()
        for length in made.tokens:
            lengths.add(length)

    def spent(self, timings: Timings) -> None:
        """Count a request's stages."""
        for cell, seconds in zip(self._stage_cells, (timings.tokenize, timings.queue, timings.inference), strict=True):
            cell.add(seconds)

    def batch(self, rows: int, tokens: int) -> None:
        """Count a batch of distinct rows."""
        self._next_size.of().add(rows)
        self._next_tokens.of().add(tokens)

    def lines(self, waiting: int) -> Iterator[str]:
        """All of them in the text format; ``waiting`` rows are in line."""
        self._queue.of().value = waiting
        for counts in (self._requests, self._successes, self._failures):
            yield from counts.lines()
        for times in (self._duration, *self._stages, self._length):
            yield from times.lines()
        for family in self._families.values():
            yield from family.lines()
        yield from self._next_size.lines()
        yield from self._next_tokens.lines()
        yield from self._queue.lines()
