"""The loop that writes text: requests join and leave between two steps, and prompts are read in parts between them."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Condition, Thread, current_thread
from typing import Any, Protocol

from textmill.errors import ForwardFailed, Overloaded, TextmillError, Unavailable
from textmill.runtimes.writing import Choosing, Picked, Prompt, Row, WritingRuntime

_log = logging.getLogger("textmill")

ROWS = 32
"""Texts that are written at the same time."""
WAITING = 1024
"""Requests that may wait for that."""
PART = 256
"""Tokens of prompts that are read between two steps: what others wait for a long prompt."""
_RETRY_S = 5.0
_WINDOWS = 4
"""Rows are let in while all of them together hold less than so many times the context, rows counting as long as the longest."""


@dataclass(frozen=True, slots=True)
class Took:
    """What a call took: ``cached`` tokens of its prompt were known; seconds of reading and writing."""

    cached: int
    prompt_s: float
    generation_s: float


class Listener(Protocol):
    """Who is told of a call, in the loop's thread; nothing that it does may block. What it raises ends its own call alone."""

    def wrote(self, choice: int, picked: Picked, row: Row) -> bool:
        """A choice has another token; whether it is over by that."""
        ...

    def over(self, took: Took) -> None:
        """All choices are over."""
        ...

    def failed(self, error: TextmillError) -> None:
        """The call ends with an error."""
        ...


@dataclass(slots=True, eq=False)
class Call:
    """A request: the ids of a prompt, and how each of its choices is written. It is left once it is ``gone``."""

    ids: Sequence[int]
    choosing: Sequence[Choosing]
    listener: Listener
    gone: bool = False
    prompt: Prompt | None = None
    rows: dict[int, Row] = field(default_factory=dict)
    began: float = 0.0
    joined: float = 0.0


class WritingLoop:
    """Runs one model in a thread of its own. ``part`` tokens of prompts are read between two steps, ``most`` rows written at once."""

    def __init__(self, runtime: WritingRuntime[Any, Any], name: str, *, part: int = PART, most: int = ROWS) -> None:
        self._runtime = runtime
        self._part = part
        self.most = most
        self._changed = Condition()
        self._waiting: deque[Call] = deque()
        self._reading: Call | None = None
        self._writing: list[Call] = []
        self._closing = False
        self._broken = False
        self._thread = Thread(target=self._run, name=f"textmill-{name}-write", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether it takes calls."""
        return not self._closing and not self._broken

    @property
    def waiting(self) -> tuple[int, int]:
        """Calls in line, and the tokens of their prompts."""
        with self._changed:
            return len(self._waiting), sum(len(call.ids) for call in self._waiting)

    @property
    def rows(self) -> int:
        """Texts that are being written."""
        return sum(len(call.rows) for call in tuple(self._writing))

    def submit(self, call: Call) -> None:
        """Put a call in line. Raises Overloaded, and Unavailable once it closes."""
        with self._changed:
            if not self.ready:
                msg = "the model is closed, or its loop has died"
                raise Unavailable(msg)
            if len(self._waiting) >= WAITING:
                msg = f"{len(self._waiting)} requests wait for this model, which is too many; try again in some seconds"
                raise Overloaded(msg, retry_after=_RETRY_S)
            self._waiting.append(call)
            self._changed.notify()

    def leave(self, call: Call) -> None:
        """Let go of a call, within a step; any thread."""
        with self._changed:
            call.gone = True
            with suppress(ValueError):
                self._waiting.remove(call)
            self._changed.notify()

    def close(self, drain_s: float) -> None:
        """Write what is under way for at most so many seconds, then let go of the model; blocks."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is current_thread():
            return
        self._thread.join(max(0.0, drain_s))
        with self._changed:
            for call in (*self._waiting, *filter(None, [self._reading]), *self._writing):
                if not call.gone:
                    call.gone = True
                    _fail(call, Unavailable("the model was closed while this was written"))
            self._waiting.clear()
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._wait():
                self._turn()
        except Exception as error:  # noqa: BLE001 - logged; whoever waits is told
            self._broken = True
            _log.exception("the loop that writes has died")
            self._fail_all(ForwardFailed(f"the loop that writes has died: {error}"))
        finally:
            self._runtime.close()

    def _wait(self) -> bool:
        """Wait for work; false once there is none and the loop closes."""
        with self._changed:
            while not (self._waiting or self._reading or self._writing):
                if self._closing:
                    return False
                self._changed.wait()
            return True

    def _turn(self) -> None:
        self._let_go()
        self._read()
        if not self._writing:
            return
        try:
            self._runtime.step()
        except Exception as error:  # noqa: BLE001 - as above
            _log.exception("a step failed; the texts that were written end")
            self._fail_writing(ForwardFailed(f"the model failed while it wrote: {_line(error)}"))
            return
        for call in tuple(self._writing):
            if call.rows:  # else it ended beside another one
                self._tell(call)

    def _let_go(self) -> None:
        """Leave what nobody waits for any more."""
        if self._reading is not None and self._reading.gone:
            self._reading = None
        for call in [each for each in self._writing if each.gone]:
            self._leave(call)

    def _read(self) -> None:
        """Read on in prompts, one behind the other; those that are read join."""
        left = self._part
        while left > 0:
            if self._reading is None:
                self._reading = self._next()
            call = self._reading
            if call is None:
                return
            try:
                if call.prompt is None:
                    call.began = time.perf_counter()
                    call.prompt = self._runtime.begin(call.ids)
                count = min(left, call.prompt.left)
                self._runtime.read(call.prompt, count)
                left -= count
                if call.prompt.left:
                    continue
                rows = self._runtime.join(call.prompt, call.choosing)
            except Exception as error:  # noqa: BLE001 - as above
                _log.exception("a prompt could not be read")
                self._reading = None
                _fail(call, ForwardFailed(f"the model failed on the prompt: {_line(error)}"))
                return
            self._reading = None
            self._join(call, rows)

    def _next(self) -> Call | None:
        """The next call in line, where there is room for its rows."""
        with self._changed:
            if not self._waiting:
                return None
            call = self._waiting[0]
            rows, longest = len(call.choosing), len(call.ids)
            for each in self._writing:
                rows += len(each.rows)
                longest = max([longest, *(row.length for row in each.rows.values())])
            full = rows > self.most or rows * longest > _WINDOWS * self._runtime.facts.context
            return None if self._writing and full else self._waiting.popleft()

    def _join(self, call: Call, rows: Sequence[Row]) -> None:
        call.rows = dict(enumerate(rows))
        call.joined = time.perf_counter()
        self._writing.append(call)
        self._tell(call)

    def _tell(self, call: Call) -> None:
        """Tell of each row's latest token; rows that are over leave."""
        over: list[int] = []
        for choice, row in call.rows.items():
            if row.picked is None:
                error = row.error
                self._leave(call)
                _fail(call, error if isinstance(error, TextmillError) else ForwardFailed(f"sampling failed: {error!r}"))
                return
            try:
                if call.listener.wrote(choice, row.picked, row):
                    over.append(choice)
            except Exception as error:  # noqa: BLE001 - a bug, which is this call's alone
                _log.exception("a bug: a token could not be taken; its call ends, the others go on")
                self._leave(call)
                _fail(call, ForwardFailed(f"what was written could not be read: {_line(error)}"))
                return
        if over and not self._drop([call.rows.pop(choice) for choice in over]):
            return
        if not call.rows:
            self._writing.remove(call)
            self._end(call)

    @staticmethod
    def _end(call: Call) -> None:
        cached = 0 if call.prompt is None else call.prompt.cached
        try:
            call.listener.over(Took(cached, call.joined - call.began, time.perf_counter() - call.joined))
        except Exception as error:  # noqa: BLE001 - as above
            _log.exception("a bug: the end of a call could not be told of")
            _fail(call, ForwardFailed(f"the end could not be told of: {_line(error)}"))

    def _leave(self, call: Call) -> None:
        if call not in self._writing:  # it ended beside another one
            return
        self._writing.remove(call)
        rows, call.rows = tuple(call.rows.values()), {}
        self._drop(rows)

    def _drop(self, rows: Sequence[Row]) -> bool:
        """Let go of rows; false where that failed, and all that is written has ended by it."""
        try:
            self._runtime.leave(rows)
        except Exception as error:  # noqa: BLE001 - as above
            _log.exception("rows could not leave; the texts that were written end")
            self._fail_writing(ForwardFailed(f"the model failed as a text ended: {_line(error)}"))
            return False
        return True

    def _fail_writing(self, error: TextmillError) -> None:
        calls, self._writing = self._writing, []
        self._runtime.forget()
        for call in calls:
            call.rows = {}
            _fail(call, error)

    def _fail_all(self, error: TextmillError) -> None:
        with self._changed:
            calls = [*self._waiting, *filter(None, [self._reading]), *self._writing]
            self._waiting.clear()
            self._reading, self._writing = None, []
        for call in calls:
            _fail(call, error)


def _fail(call: Call, error: TextmillError) -> None:
    try:
        call.listener.failed(error)
    except Exception:  # noqa: BLE001 - as above
        _log.exception("a bug: the failure of a call could not be told of: %s", error)


def _line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
