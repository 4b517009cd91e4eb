"""Serves one runtime to many callers: one thread, one line, a future a call. Knows rows, not texts or tensors."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import cast

from textmill.contract import BatchReport
from textmill.engine.admission import Admission
from textmill.engine.execution import Execution, Outcome
from textmill.engine.scheduler import Entry, Lane, Scheduler
from textmill.engine.ticket import Answer, Ticket, deliver
from textmill.engine.warming import Warming
from textmill.errors import ConfigInvalid, EmptyInput, TextmillError, Unavailable
from textmill.runtimes.runtime import BATCH_ROWS, Row, Runtime

_log = logging.getLogger(__name__)

_LEAVING_S = 5.0
"""How long `close` waits, after its deadline, for a batch that the runtime is still computing."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How an engine batches and when it refuses.

    ``batch_tokens`` bounds longest * rows of a batch and ``batch_rows`` its rows; ``waiting_tokens`` may wait before calls
    are refused; a bulk row older than ``bulk_age_s`` seconds no longer yields to interactive ones.
    """

    batch_tokens: int
    batch_rows: int = BATCH_ROWS
    waiting_tokens: int = 1 << 20
    bulk_age_s: float = 1.0

    def __post_init__(self) -> None:
        for name in ("batch_tokens", "batch_rows", "waiting_tokens"):
            if getattr(self, name) < 1:
                msg = f"{name} is {getattr(self, name)}; it must be at least 1"
                raise ConfigInvalid(msg)
        if not self.bulk_age_s >= 0:
            msg = f"bulk_age_s is {self.bulk_age_s}; it must be 0 or more seconds"
            raise ConfigInvalid(msg)


def _ignore(_: BatchReport) -> None:
    """Observe nothing."""


class Engine:
    """A runtime in a thread of its own, for callers on any thread or event loop.

    ``observe`` is told of every batch in the engine's thread, before its callers get their answers; it must be quick.
    ``clock`` gives seconds. The engine owns the runtime from here on and closes it.
    """

    def __init__(
        self,
        runtime: Runtime,
        policy: Policy,
        *,
        name: str,
        observe: Callable[[BatchReport], None] = _ignore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._runtime = runtime
        self.policy = policy
        self._observe = observe
        self._observer_failed = False
        self._clock = clock
        self._execution = Execution(runtime)
        self._warming = Warming(runtime)
        self._started: Future[None] = Future()
        self._ended = threading.Event()
        self._work = threading.Condition()  # guards all below
        self._scheduler: Scheduler[Ticket] = Scheduler(
            batch_tokens=policy.batch_tokens, batch_rows=policy.batch_rows, bulk_age_s=policy.bulk_age_s
        )
        self._admission = Admission(policy.waiting_tokens)
        self._tickets: set[Ticket] = set()
        self._thread: threading.Thread | None = None
        self._calls = 0
        self._refusal: str | None = "has not been started"
        self._draining = False
        self._deadline: float | None = None
        self._process = os.getpid()

    @property
    def ready(self) -> bool:
        """Whether calls can be answered: started, and neither closing nor dead."""
        return self._refusal is None and self._started.done() and os.getpid() == self._process

    @property
    def waiting_rows(self) -> int:
        """Distinct rows in line."""
        return self._scheduler.rows

    @property
    def waiting_tokens(self) -> int:
        """Tokens of the distinct rows in line."""
        return self._scheduler.tokens

    def wait_until_warm(self, timeout: float | None = None) -> bool:
        """Wait until warming has ended, at most so many seconds; whether every step is done.

        False at once in a forked child, where nothing warms.
        """
        return os.getpid() == self._process and self._warming.wait(timeout)

    def start(self) -> None:
        """Start the thread and wait for the first warm-up step. Starting twice is starting once.

        Raises ForwardFailed, or the textmill error of the runtime, if that step fails; Unavailable after `close`.
        """
        with self._work:
            if self._thread is None and self._deadline is None:
                self._refusal = None
                self._thread = threading.Thread(target=self._live, name=f"textmill-{self.name}", daemon=True)
                self._thread.start()
        self._started.result()

    @contextmanager
    def call(self, expected: int = 0, *, perhaps_known: bool = False) -> Iterator[Callable[[], None]]:
        """Hold the engine open for a call of several parts: a `close` that comes meanwhile still answers its later parts.

        ``expected`` is about how many tokens its first part has. They count as waiting until the call ends or calls what it
        is given, which it does before it submits that part, whose tokens are then known. What is ``perhaps_known`` may not
        have to be computed: it is held against what is expected besides, so that too much is not tokenised at once, and not
        against what waits.

        Raises Unavailable where no new calls are taken, Overloaded where so many tokens more would be too many.
        """
        self._check_process()

        def known() -> None:
            nonlocal expected
            with self._work:
                self._admission.expected -= expected
                expected = 0

        with self._work:
            if self._refusal is not None:
                raise self._unavailable(self._refusal)
            self._admission.expect(expected, 0 if perhaps_known else self._scheduler.tokens)
            self._calls += 1
        try:
            yield known
        finally:
            known()
            with self._work:
                self._calls -= 1
                self._work.notify()

    def submit(
        self, rows: Sequence[Row], *, lane: Lane | None = None, admitted: bool = False, trace: object | None = None
    ) -> Future[Answer]:
        """Put a call's rows, which all want the same outputs, in line. Cancelling the future withdraws those that have not started.

        Without a ``lane``, a call whose tokens fit a batch is interactive and a larger one bulk. ``admitted`` skips the
        overload check, for later parts of a call that was let in. Reports of its batches carry the ``trace``. The future fails with ForwardFailed when one of the
        rows fails, or Unavailable when the engine ends before them.

        Raises EmptyInput for no rows or a row without tokens, Overloaded, or Unavailable.
        """
        lengths = [len(row.ids) for row in rows]
        if not lengths:
            msg = "a call needs at least one row"
            raise EmptyInput(msg)
        if 0 in lengths:
            msg = f"input {lengths.index(0)} has no tokens"
            raise EmptyInput(msg, index=lengths.index(0))
        tokens = sum(lengths)
        if lane is None:
            lane = Lane.INTERACTIVE if tokens <= self.policy.batch_tokens else Lane.BULK
        now = self._clock()
        ticket = Ticket(rows, now, trace)
        ticket.add_done_callback(self._settle)
        self._check_process()
        with self._work:
            # What belongs to a call that is under way is taken until the deadline; `call` has turned new ones away.
            if self._refusal is not None and not (self._draining and self._calls):
                raise self._unavailable(self._refusal)
            if not admitted:
                self._admission.check(tokens, self._scheduler.tokens)
            ticket.entries = self._scheduler.add(rows, ticket, lane, now)
            self._tickets.add(ticket)
            self._work.notify()
        return ticket

    def close(self, drain_s: float = 10.0) -> None:
        """Take no new calls, answer those under way for at most ``drain_s`` seconds, fail the rest, close the runtime.

        Any thread may call it, any number of times; the earliest deadline holds. Returns when the thread has ended, except
        where the thread itself calls it, or the runtime does not come back from a batch.
        """
        if os.getpid() != self._process:
            return
        with self._work:
            deadline = self._clock() + drain_s
            self._deadline = deadline if self._deadline is None else min(deadline, self._deadline)
            thread, never_started = self._thread, self._thread is None and not self._started.done()
            if self._refusal is None or never_started:
                self._refusal = "is shutting down"
                self._draining = not never_started
            if never_started:
                self._started.set_exception(self._unavailable("was closed before it was started"))
            self._work.notify()
        if never_started:
            self._close_runtime()
        if thread is None or thread is threading.current_thread():
            return
        # Not `thread.join`: interrupted by Ctrl-C, it takes a living thread for a dead one.
        if not self._ended.wait(min(max(0.0, drain_s), threading.TIMEOUT_MAX)):
            self._abandon("is shutting down")
            self._ended.wait(_LEAVING_S)
        if not self._ended.is_set():
            _log.warning("%s is closed, but its runtime has not come back from a batch", self.name)

    def _live(self) -> None:
        """Warm up and serve; whatever happens, leave nobody waiting."""
        try:
            if self._begin():
                self._serve()
                self._abandon("is shut down")
        except BaseException as error:  # noqa: BLE001 - it ends the thread, and must not end it silently
            _log.critical("the engine of %s died; it answers no more calls", self.name, exc_info=error)
            self._abandon(f"has died of {type(error).__name__}; restart it, and see its log for the cause")
        finally:
            self._close_runtime()
            self._ended.set()

    def _begin(self) -> bool:
        try:
            self._warming.begin()
        except TextmillError as error:
            self._refusal = "could not start"  # before `start` raises, so that nobody sees it ready
            with suppress(InvalidStateError):  # closed meanwhile
                self._started.set_exception(error)
            self._abandon("could not start")
            return False
        with suppress(InvalidStateError):
            self._started.set_result(None)
        return True

    def _serve(self) -> None:
        while (batch := self._next()) is not None:
            if batch:
                self._run(batch)
            else:
                self._warming.step()

    def _next(self) -> list[Entry[Ticket]] | None:
        """Wait for a batch; an empty one when there is time to warm up, None when it is time to leave."""
        with self._work:
            while True:
                now = self._clock()
                if self._deadline is not None and now >= self._deadline:
                    return None
                if batch := self._scheduler.next_batch(now):
                    return batch
                if self._deadline is not None and not self._calls:
                    return None
                if not self._warming.ended:
                    return batch
                patience = None if self._deadline is None else min(self._deadline - now, threading.TIMEOUT_MAX)
                self._work.wait(patience)

    def _run(self, batch: list[Entry[Ticket]]) -> None:
        began = self._clock()
        outcome = self._execution.run(batch)
        with self._work:
            self._scheduler.landed(batch)
        seconds = self._clock() - began
        self._report(batch, outcome, began, seconds)
        for entries, made in outcome.done:
            deliver(entries, made, began=began, seconds=seconds)
        for failure in outcome.failures:
            failure.tell()

    def _report(self, batch: list[Entry[Ticket]], outcome: Outcome, began: float, seconds: float) -> None:
        lengths = [entry.length for entry in batch]
        tokens = sum(lengths)
        self._admission.measure(tokens, seconds)
        report = BatchReport(
            rows=len(batch),
            tokens=tokens,
            padded_tokens=max(lengths) * len(batch),
            seconds=seconds,
            deduplicated_rows=sum(entry.wanted for entry in batch) - len(batch),
            failed_rows=sum(len(failure.entries) for failure in outcome.failures),
            began=began,
            traced=_traced(batch),
        )
        try:
            self._observe(report)
        except Exception:  # noqa: BLE001 - logged; the callers' answers do not depend on metrics
            if not self._observer_failed:
                self._observer_failed = True
                _log.exception("the batch observer of %s failed; it will not be logged again", self.name)

    def _settle(self, future: Future[Answer]) -> None:
        """Forget a call that has ended in any way: its rows that still wait leave the line at once."""
        ticket = cast("Ticket", future)
        with self._work:
            self._tickets.discard(ticket)
            entries, ticket.entries = ticket.entries, []  # also breaks the cycle of ticket and entries
            self._scheduler.withdraw(entries)
        if ticket.cancelled():
            ticket.set_running_or_notify_cancel()  # concurrent.futures.wait waits for this

    def _abandon(self, reason: str) -> None:
        """Refuse all calls from now on and fail those that are open."""
        with self._work:
            self._refusal, self._draining = reason, False
            tickets = list(self._tickets)
        self._warming.stop()
        for ticket in tickets:
            ticket.fail(self._unavailable(reason))
        with suppress(InvalidStateError):  # started long ago, as a rule
            self._started.set_exception(self._unavailable(reason))

    def _check_process(self) -> None:
        """A forked child has the engine's memory but not its thread, and perhaps its lock in a thread that is gone."""
        if os.getpid() != self._process:
            msg = f"{self.name} was loaded in another process; load it in the one that uses it, after forking"
            raise Unavailable(msg)

    def _unavailable(self, reason: str) -> Unavailable:
        return Unavailable(f"the engine of {self.name} {reason}")

    def _close_runtime(self) -> None:
        try:
            self._runtime.close()
        except Exception:  # noqa: BLE001 - logged; nobody is left to tell
            _log.exception("the runtime of %s failed to close", self.name)


def _traced(batch: list[Entry[Ticket]]) -> tuple[tuple[object, float], ...]:
    """The traces of the calls that have rows in the batch, each with the moment its call came in line."""
    tickets = {ticket: None for entry in batch for ticket, _ in entry.waiters if ticket.trace is not None}
    return tuple((ticket.trace, ticket.since) for ticket in tickets)
