"""A request that is watched while it is under way: what its spans and its line in the log are made of.

Only requests that are traced or logged have one; for all others `CURRENT` is None, and watching costs next to nothing.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import NamedTuple

from textmill.contract import Answered, Spent, Timings

CURRENT: ContextVar[Request | None] = ContextVar("textmill_request", default=None)
"""The request that this code works on."""

_STAGES = 256
"""Stages of one request that are kept: a call of very many inputs is computed in very many batches."""


class SpanId(NamedTuple):
    """Where a span is: its trace and its number in it (W3C trace context). ``state`` is the trace's vendors' own."""

    trace: int
    span: int
    state: str = ""


class Stage(NamedTuple):
    """A part of a request's time: its name, when it began (`time.monotonic`), its seconds, and the span that it took part in."""

    name: str
    began: float
    seconds: float
    link: SpanId | None


class Request:
    """One request. Its stages may come from any thread; all else is its own task's.

    ``id`` is its span, None where it is not traced; ``parent`` the caller's, where there is one.
    """

    __slots__ = (
        *("_timings", "began", "characters", "id", "inputs"),
        *("model", "parent", "stages", "tokens", "truncated", "wall_ns"),
    )

    def __init__(self, id: SpanId | None = None, parent: SpanId | None = None) -> None:  # noqa: A002 - what it is
        self.id = id
        self.parent = parent
        self.began = time.monotonic()
        self.wall_ns = time.time_ns()
        self.stages: list[Stage] = []
        self.model = ""
        self.inputs = self.characters = self.tokens = self.truncated = 0
        self._timings = (0.0, 0.0, 0.0)

    def add(self, model: str, made: Answered) -> None:
        """Keep what one of its calls computed: most requests are one call, a stream is many."""
        inputs, new = len(made.tokens), made.timings
        share = inputs / (self.inputs + inputs)
        means = zip(self._timings, (new.tokenize, new.queue, new.inference), strict=True)
        self._timings = tuple(old + share * (late - old) for old, late in means)  # type: ignore[assignment]  # three of three
        self.model = model
        self.inputs += inputs
        self.tokens += sum(made.tokens)
        self.truncated += sum(made.truncated)

    def wrote(self, model: str, spent: Spent, began: float, first_s: float, rest_s: float) -> None:
        """Keep what was written by one of its calls, which began at that moment of `time.monotonic`."""
        self.stage("first_token", began, first_s)
        self.stage("writing", began + first_s, rest_s)
        share = 1 / (self.inputs + 1)
        tokenize, queue, inference = self._timings
        self._timings = (tokenize, queue, inference + share * (first_s + rest_s - inference))
        self.model = model
        self.inputs += 1
        self.tokens += spent.prompt_tokens + spent.completion_tokens

    @property
    def timings(self) -> Timings:
        """Where its time went: means over its inputs."""
        return Timings(*self._timings)

    def stage(self, name: str, began: float, seconds: float, link: SpanId | None = None) -> None:
        """Keep a part of its time, up to the 256th."""
        if len(self.stages) < _STAGES:
            self.stages.append(Stage(name, began, seconds, link))

    def wall(self, moment: float) -> int:
        """Nanoseconds since 1970 at a moment of `time.monotonic`."""
        return self.wall_ns + round((moment - self.began) * 1e9)


def note_characters(count: int) -> None:
    """Add to the characters of the current request's inputs, where it is watched; they are known where it is answered."""
    request = CURRENT.get()
    if request is not None:
        request.characters += count


def traced() -> Request | None:
    """The current request, where it is traced."""
    request = CURRENT.get()
    return None if request is None or request.id is None else request
