"""The way of a call from texts to the engine and back: windows of inputs, tokenised beside what computes."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np

from textmill.arch.heads import PER_TOKEN, Output
from textmill.cache.cache import Recall
from textmill.cache.found import Found
from textmill.contract import Timings
from textmill.engine.engine import Engine
from textmill.engine.scheduler import Lane
from textmill.engine.ticket import Answer
from textmill.errors import Unavailable
from textmill.runtimes.runtime import Row
from textmill.telemetry.request import Request, traced

I = TypeVar("I", bound=Sequence[Any])  # noqa: E741 - an input
A_co = TypeVar("A_co", covariant=True)
X = TypeVar("X")
Y = TypeVar("Y")

WINDOW = 1024
"""Inputs of one call that are tokenised and queued together; the next window is tokenised while this one computes."""

_IN_PLACE = 1024
"""Characters that are tokenised on the event loop, at most 0.2 ms: for less, a hop to a thread would cost more (ADR 0005)."""


_CHARACTERS_A_TOKEN = 5
"""English has about 4.5 with its spaces, code 3, Chinese 1.5: what is refused by this many would be refused after tokenising."""

_FINISHED_IN_PLACE = 256
"""Rows, or tokens where each has an answer, whose answers are put together on the event loop."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A row that input ``index`` of the call became, whether something of the input was cut, and what the task keeps with it.

    Rows that want no output are not computed.
    """

    row: Row
    index: int
    truncated: bool
    kept: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """All rows of a call, in order, with their outputs (see `textmill.runtimes.runtime.Answers`) and means of their times.

    ``cached`` is how many inputs were answered from the cache, all their rows.
    """

    prepared: Sequence[Prepared]
    outputs: Mapping[Output, Any]
    timings: Timings
    cached: int = 0

    @property
    def tokens(self) -> tuple[int, ...]:
        """Tokens of each row."""
        return tuple(len(each.row) for each in self.prepared)

    @property
    def answers(self) -> int:
        """How many vectors or scores there are: one of each row, or of each token."""
        return sum(self.tokens) if PER_TOKEN.intersection(self.outputs) else len(self.prepared)

    @property
    def truncated(self) -> tuple[bool, ...]:
        """Which rows were cut."""
        return tuple(each.truncated for each in self.prepared)


class Call(Protocol[I, A_co]):
    """What a task makes of one use of its verb: inputs, how they become rows, and how rows become the answer."""

    @property
    def inputs(self) -> Sequence[I]:
        """What is to be computed; at least one."""
        ...

    def prepare(self, inputs: Sequence[I], first: int) -> Sequence[Prepared]:
        """The rows of some of the inputs, in order; ``first`` is the index of the first. An input may become several rows.

        Runs in any thread.
        """
        ...

    def finish(self, done: Done) -> A_co:
        """The answer, from all rows in order."""
        ...


class Line:
    """Takes calls to one engine. Thread-safe; calls from threads and from event loops share batches.

    Where it can ``recall`` rows that were computed before, only the others go to the engine.
    """

    def __init__(self, engine: Engine, pool: ThreadPoolExecutor, max_tokens: int, recall: Recall | None = None) -> None:
        self._engine = engine
        self._pool = pool
        self._max_tokens = max_tokens
        self._recall = recall

    def answer_now(self, asked: Call[I, A_co], *, whole: bool = False) -> A_co:
        """`answer` for callers without an event loop; blocks until the answer is there."""
        with _Underway(asked) as call:
            with self._held(asked, whole=whole) as known:
                for part in call.windows():
                    looked = self._look_deep(self._look(call, part))
                    known()
                    self._enqueue(call, part, looked)
                    while len(call.waiting) > 1:
                        self._take(call, call.waiting[0].future.result())
            while call.waiting:
                self._take(call, call.waiting[0].future.result())
            return asked.finish(call.done())

    async def answer(self, asked: Call[I, A_co], *, whole: bool = False) -> A_co:
        """Compute a call. Cancelling it withdraws the rows that have not started.

        ``whole`` says that inputs are computed to their end, in several rows where one is not enough. A call that is much
        too large for now is refused by the length of its texts, before they are tokenised.

        Raises what the call raises, Overloaded, Unavailable or ForwardFailed.
        """
        with _Underway(asked) as call:
            with self._held(asked, whole=whole) as known:
                for part in call.windows():
                    looked = await self._looked(call, part)
                    known()
                    self._enqueue(call, part, looked)
                    while len(call.waiting) > 1:
                        await self._taken(call)
            while call.waiting:
                await self._taken(call)
            done = call.done()
            if done.answers <= _FINISHED_IN_PLACE:
                return asked.finish(done)
            return await asyncio.wrap_future(self._submit(asked.finish, done))

    async def aside(self, work: Callable[[X], Y], given: X) -> Y:
        """Do what needs no engine in the pool, so that the event loop stays free. Raises what the work raises, or Unavailable."""
        return await asyncio.wrap_future(self._submit(work, given))

    def _expected(self, asked: Call[I, Any], *, whole: bool) -> int:
        """About how many tokens the first window of a call has, rather too few than too many."""
        most = sys.maxsize if whole else self._max_tokens
        return sum(min(_least_tokens(item), most) for item in asked.inputs[:WINDOW])

    def _held(self, asked: Call[I, Any], *, whole: bool) -> AbstractContextManager[Callable[[], None]]:
        """The engine, held open for a call that is let in by an estimate."""
        return self._engine.call(self._expected(asked, whole=whole), perhaps_known=self._recall is not None)

    async def _looked(self, call: _Underway[I], part: Sequence[I]) -> _Looked:
        """A window tokenised and looked up, in the pool where that takes long or reads the disk."""
        if _characters(part) > _IN_PLACE:
            return await asyncio.wrap_future(self._submit(lambda given: self._look_deep(self._look(call, given)), part))
        looked = self._look(call, part)
        if looked.found is not None and self._recall is not None and self._recall.deep(looked.found):
            return await asyncio.wrap_future(self._submit(self._look_deep, looked))
        return looked

    def _look(self, call: _Underway[I], part: Sequence[I]) -> _Looked:
        prepared, seconds = call.prepare_timed(part)
        if self._recall is None or not prepared[0].row.outputs:
            return _Looked(prepared, seconds)
        return _Looked(prepared, seconds, self._recall.look([each.row for each in prepared]))

    def _look_deep(self, looked: _Looked) -> _Looked:
        if self._recall is not None and looked.found is not None and self._recall.deep(looked.found):
            self._recall.look_deeper(looked.found)
        return looked

    async def _taken(self, call: _Underway[I]) -> None:
        """Wait for the window that has waited longest, and keep its answer."""
        window = call.waiting[0]
        answer = await asyncio.wrap_future(window.future)
        if self._recall is not None and len(window.looked.prepared) > _FINISHED_IN_PLACE:
            answer = await asyncio.wrap_future(self._submit(lambda made: self._kept(window, made), answer))
            call.take(answer)
        else:
            self._take(call, answer)

    def _take(self, call: _Underway[I], answer: Answer) -> None:
        call.take(self._kept(call.waiting[0], answer))

    def _kept(self, window: _Window, answer: Answer) -> Answer:
        """The answer of all of a window's rows, of which those that were computed can be recalled from now on."""
        found = window.looked.found
        if self._recall is None or found is None:
            return answer
        self._recall.keep(found, answer.outputs)
        share = len(found.missing) / len(found.rows)  # what was found has not waited
        return Answer(found.joined(answer.outputs), share * answer.queue_s, share * answer.inference_s)

    def _submit(self, work: Callable[[X], Y], given: X) -> Future[Y]:
        try:
            return self._pool.submit(work, given)
        except RuntimeError as error:  # the pool is shut down
            msg = "the model is closed"
            raise Unavailable(msg) from error

    def _enqueue(self, call: _Underway[I], part: Sequence[I], looked: _Looked) -> None:
        alone = Lane.INTERACTIVE if len(call.asked.inputs) == 1 else None
        lane = Lane.BULK if len(call.asked.inputs) > WINDOW else alone
        rows = [each.row for each in looked.prepared]
        if looked.found is not None and self._recall is not None:
            rows = self._recall.missed(looked.found)
        if rows and rows[0].outputs:
            future = self._engine.submit(rows, lane=lane, admitted=call.admitted, trace=call.trace)
            call.admitted = True
        else:
            future = Future()
            future.set_result(Answer({}, 0.0, 0.0))
        call.queued += len(part)
        call.waiting.append(_Window(future, looked))


@dataclass(frozen=True, slots=True)
class _Looked:
    """A part of a call as rows, how long that took, and what is known of them where anything can be."""

    prepared: Sequence[Prepared]
    seconds: float
    found: Found | None = None


@dataclass(frozen=True, slots=True)
class _Window:
    """A part of a call that waits for its answer."""

    future: Future[Answer]
    looked: _Looked


@dataclass(slots=True)
class _Underway(Generic[I]):
    """One call under way: the windows that wait, and the parts that are done.

    It is ``admitted`` once some of its rows are in line; the others may then join them.
    """

    asked: Call[I, Any]
    queued: int = 0
    admitted: bool = False
    waiting: deque[_Window] = field(default_factory=deque)
    parts: list[tuple[Answer, _Window]] = field(default_factory=list)
    trace: Request | None = field(default_factory=traced)

    def windows(self) -> Iterator[Sequence[I]]:
        for start in range(0, len(self.asked.inputs), WINDOW):
            yield self.asked.inputs[start : start + WINDOW]

    def prepare_timed(self, part: Sequence[I]) -> tuple[Sequence[Prepared], float]:
        start = time.perf_counter()
        prepared = self.asked.prepare(part, self.queued)
        seconds = time.perf_counter() - start
        if self.trace is not None:
            self.trace.stage("tokenize", time.monotonic() - seconds, seconds)
        return prepared, seconds

    def take(self, answer: Answer) -> None:
        """Keep the answer of the window that has waited longest."""
        self.parts.append((answer, self.waiting.popleft()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Take back what still waits; nothing where the call ended well."""
        for window in self.waiting:
            window.future.cancel()

    def done(self) -> Done:
        prepared = [each for _, window in self.parts for each in window.looked.prepared]
        outputs = {
            output: _joined([answer.outputs[output] for answer, _ in self.parts]) for output in prepared[0].row.outputs
        }
        return Done(prepared, outputs, self._timings(len(prepared)), self._cached(prepared))

    def _cached(self, prepared: Sequence[Prepared]) -> int:
        """How many inputs were found, all their rows."""
        computed: set[int] = set()
        for _, window in self.parts:
            if window.looked.found is None:
                return 0
            computed.update(window.looked.prepared[place].index for place in window.looked.found.missing)
        return len({each.index for each in prepared}) - len(computed)

    def _timings(self, rows: int) -> Timings:
        shares = [(len(window.looked.prepared) / rows, answer, window) for answer, window in self.parts]
        return Timings(
            tokenize=sum(share * window.looked.seconds for share, _, window in shares),
            queue=sum(share * answer.queue_s for share, answer, _ in shares),
            inference=sum(share * answer.inference_s for share, answer, _ in shares),
        )


def _joined(parts: Sequence[Any]) -> Any:
    """Outputs of consecutive windows as one: arrays along the rows, lists end to end."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return [row for part in parts for row in part]


def _characters(inputs: Sequence[Any]) -> int:
    """Characters of texts, ids of lists of ids, and of pairs of texts both."""
    return sum(sum(map(len, item)) if _is_pair(item) else len(item) for item in inputs)


def _least_tokens(item: Any) -> int:
    """Tokens that an input has at least, as a rule: few languages and tokenizers get more characters into one."""
    if _is_pair(item):
        return sum(map(_least_tokens, item))
    return 1 + len(item) // _CHARACTERS_A_TOKEN if isinstance(item, str) else len(item)


def _is_pair(item: Any) -> bool:
    return isinstance(item, tuple) and isinstance(item[0], str)
