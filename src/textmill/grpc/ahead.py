"""The messages of a stream, taken in ahead of their answers, asked many together, and answered in their order."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from textmill.errors import InvalidInput, TextmillError
from textmill.grpc.messages import parsed
from textmill.grpc.verb import Asking
from textmill.telemetry.counted import again

I = TypeVar("I")  # noqa: E741 - an input
O = TypeVar("O")  # noqa: E741 - options
R = TypeVar("R")

Messages = AsyncIterator[bytes]
Ask = Callable[[Sequence[I], O], Awaitable[R]]

_GROUPS = 2
"""Groups that are asked at the same time: the next one waits in line while one computes, and the others grow meanwhile."""
_KEPT = 3
"""Groups that wait to be sent, those included that are asked: a client that does not read must not fill the memory."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a stream is held at once: so many messages and bytes, though always one message."""

    messages: int
    size: int


@dataclass(frozen=True, slots=True)
class Asked(Generic[I, O]):
    """A message: what it asks, when it came (`time.perf_counter`), its bytes, and its place in the stream."""

    input: I
    options: O
    since: float
    size: int
    place: int


@dataclass(frozen=True, slots=True)
class Reply(Generic[I, O, R]):
    """What a message gets: its place ``index`` in what was made of its group."""

    asked: Asked[I, O]
    made: R
    index: int


@dataclass(frozen=True, slots=True)
class _Outcome(Generic[I, O, R]):
    """What became of a group: replies to its first messages, and what the next one failed with, if one did."""

    replies: list[Reply[I, O, R]]
    error: TextmillError | None = None


class Ahead(Generic[I, O, R]):
    """A stream under way.

    Messages that come while others compute form a group, as long as their options are equal, and a group is one call: a lone
    message is asked at once, and a fast stream in groups that are as large as the verb takes.
    """

    def __init__(self, messages: Messages, verb: Asking[I, O, R], ask: Ask[I, O, R], limits: Limits) -> None:
        self._messages = messages
        self._verb = verb
        self._ask = ask
        self._limits = limits
        self._pending: deque[Asked[I, O]] = deque()
        self._groups: deque[asyncio.Task[_Outcome[I, O, R]]] = deque()
        self._computing = 0
        self._taken = 0
        self._held = 0
        self._size = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    async def replies(self) -> AsyncGenerator[Reply[I, O, R], None]:
        """The replies in the order of the messages; to be closed (`contextlib.aclosing`), which cancels what is under way.

        Raises what a message failed with when it is that one's turn.
        """
        reader = asyncio.create_task(self._take_in())
        reader.add_done_callback(lambda _: self._news.set())
        try:
            while self._groups or not (reader.done() and not self._pending):
                if not self._groups:
                    self._news.clear()
                    await self._news.wait()
                    continue
                outcome = await self._groups[0]
                self._groups.popleft()
                self._start()
                for reply in outcome.replies:
                    yield reply
                    self._release(reply.asked)
                if outcome.error is not None:
                    raise outcome.error
            await reader
        finally:
            await _end([reader, *self._groups])

    async def _take_in(self) -> None:
        async for data in self._messages:
            since = time.perf_counter()
            given, options = self._verb.read(parsed(self._verb.request, data))
            self._pending.append(Asked(given, options, since, len(data), self._taken))
            self._taken += 1
            self._held += 1
            self._size += len(data)
            self._start()
            while self._held >= self._limits.messages or self._size >= self._limits.size:
                self._room.clear()
                await self._room.wait()

    def _release(self, asked: Asked[I, O]) -> None:
        self._held -= 1
        self._size -= asked.size
        self._room.set()

    def _start(self) -> None:
        """Ask for what is pending, as far as may be at the same time."""
        while self._pending and self._computing < _GROUPS and len(self._groups) < _KEPT:
            task = asyncio.create_task(self._compute(self._next_group()))
            self._computing += 1
            task.add_done_callback(self._finished)
            self._groups.append(task)
            self._news.set()

    def _finished(self, _: asyncio.Task[_Outcome[I, O, R]]) -> None:
        self._computing -= 1
        self._start()

    def _next_group(self) -> list[Asked[I, O]]:
        group = [self._pending.popleft()]
        options = group[0].options
        while self._pending and len(group) < self._verb.together and self._pending[0].options == options:
            group.append(self._pending.popleft())
        return group

    async def _compute(self, group: Sequence[Asked[I, O]]) -> _Outcome[I, O, R]:
        """Ask for a group. Where that fails, find the message that it failed for, and what those before it get."""
        try:
            made = await self._ask([asked.input for asked in group], group[0].options)
        except TextmillError as error:
            if len(group) == 1:
                return _Outcome([], _placed(error, group[0].place))
            split = _place(error, len(group))
        else:
            return _Outcome([Reply(asked, made, index) for index, asked in enumerate(group)])
        with again():
            first = await self._compute(group[:split])
            if first.error is not None:
                return first
            rest = await self._compute(group[split:])
        return _Outcome(first.replies + rest.replies, rest.error)


def _place(error: TextmillError, size: int) -> int:
    """Where to part a group of at least two that has failed: before the input that is to blame, or in the middle."""
    if isinstance(error, InvalidInput) and error.index is not None and error.index < size:
        return max(1, error.index)
    return size // 2


def _placed(error: TextmillError, place: int) -> TextmillError:
    """What a lone message failed with, told of its place in the stream and not of that in a call of its own."""
    if not isinstance(error, InvalidInput) or error.index is None:
        return error
    return type(error)(
        str(error).replace(f"input {error.index} ", f"message {place} ", 1), param=error.param, index=place
    )


async def _end(tasks: Sequence[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
