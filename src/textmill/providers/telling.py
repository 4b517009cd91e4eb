"""From the tokens of a call to its events: text, reasoning and calls of each choice, on the way from the loop to who asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from textmill.contract import Alternative, Ended, Event, Piece, Reason, Spent, TokenLogprob
from textmill.engine.writing import Took
from textmill.errors import TextmillError
from textmill.providers.speech import MARKS, Manner, Said, Speech
from textmill.providers.written import Detokenizer, StopStrings
from textmill.runtimes.writing import Picked, Row, Scored, Words

_BEFORE = 6
"""Tokens of the prompt that say how the first one behind it is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a call's choices are to be. ``manner`` None takes the text as it is; ``limit`` is in tokens, ``ends`` are ids that end a text.

    ``single``: a choice ends behind its first call. ``bound``: a grammar waits for the end of the reasoning.
    """

    limit: int
    stop: Sequence[str]
    ends: frozenset[int]
    manner: Manner | None = None
    single: bool = False
    bound: bool = False


class _Choice:
    """One text of a call."""

    def __init__(self, words: Words, prompt: Sequence[int], wanted: Wanted) -> None:
        self.tokens = 0
        self._words = words
        self._wanted = wanted
        read = MARKS if wanted.manner is not None else ()
        hidden = frozenset(id_ for id_, name in words.special.items() if name not in read)
        self._text = Detokenizer(words, hidden, prompt[-_BEFORE:])
        self._stops = StopStrings(wanted.stop)
        self._speech = None if wanted.manner is None else Speech(wanted.manner)
        self._logprobs: list[TokenLogprob] = []

    def take(self, picked: Picked) -> tuple[Said, Reason | None, str | None]:
        """What a token adds, why the text ends by it, and at which stop string."""
        self.tokens += 1
        if picked.id in self._wanted.ends:
            return self._last(""), self._reason(), None
        if picked.scored is not None:
            self._logprobs.append(TokenLogprob(self._told(picked.scored), tuple(map(self._told, picked.top))))
        text, stop = self._stops.push(self._text.push(picked.id))
        if stop is not None:
            return self._last(text, whole=False), self._reason(), stop
        said = self._say(text)
        if self._wanted.single and self._speech is not None and self._speech.calls:
            return said, "tool_calls", None
        if picked.last or self.tokens >= self._wanted.limit:
            rest, stop = self._stops.push(self._text.flush())
            more = self._last(rest, whole=stop is None)
            reason: Reason = self._reason() if picked.last or stop is not None else "length"
            return _both(said, more), reason, stop
        return said, None, None

    def thinks(self) -> bool:
        """Whether it is within reasoning."""
        return self._speech is not None and self._speech.thinks

    def logprobs(self) -> tuple[TokenLogprob, ...]:
        """Those of tokens that were not told of yet."""
        made, self._logprobs = tuple(self._logprobs), []
        return made

    def _say(self, text: str) -> Said:
        return Said(content=text) if self._speech is None else self._speech.push(text)

    def _last(self, text: str, *, whole: bool = True) -> Said:
        """The text's end; ``whole``: what was held back in case of a stop string is part of it."""
        held = text + (self._stops.flush() + self._text.flush() if whole else "")
        said = self._say(held)
        return said if self._speech is None else _both(said, self._speech.finish())

    def _reason(self) -> Reason:
        return "tool_calls" if self._speech is not None and self._speech.calls else "stop"

    def _told(self, scored: Scored) -> Alternative:
        data = self._words.data(scored.id)
        return Alternative(data.decode(errors="replace"), scored.logprob, data, scored.id)


class Telling:
    """Listens to the loop and hands events to one event loop."""

    def __init__(self, words: Words, ids: Sequence[int], wanted: Wanted, choices: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Event | TextmillError] = asyncio.Queue()
        self._choices = [_Choice(words, ids, wanted) for _ in range(choices)]
        self._prompt_tokens = len(ids)
        self._bound = wanted.bound

    def wrote(self, choice: int, picked: Picked, row: Row) -> bool:
        """Tell of what a token adds; whether the choice is over by it."""
        state = self._choices[choice]
        said, reason, stop = state.take(picked)
        if self._bound and not state.thinks():
            row.bind()
        if said or reason is not None:
            logprobs = state.logprobs() if stop is None else ()
            if said or logprobs:
                self._tell(
                    Piece(
                        choice=choice, text=said.content, reasoning=said.reasoning, calls=said.calls, logprobs=logprobs
                    )
                )
        if reason is not None:
            self._tell(Ended(choice, reason, stop))
        return reason is not None

    def over(self, took: Took) -> None:
        """Tell of what the call took."""
        self._tell(
            Spent(
                prompt_tokens=self._prompt_tokens,
                completion_tokens=sum(each.tokens for each in self._choices),
                cached=took.cached,
                prompt_s=took.prompt_s,
                generation_s=took.generation_s,
            )
        )

    def failed(self, error: TextmillError) -> None:
        """Tell of an error."""
        self._tell(error)

    async def events(self) -> AsyncGenerator[Event, None]:
        """The events as they come, up to Spent. Raises the error that ends the call."""
        while True:
            event = await self._queue.get()
            if isinstance(event, TextmillError):
                raise event
            yield event
            if isinstance(event, Spent):
                return

    def _tell(self, event: Event | TextmillError) -> None:
        with suppress(RuntimeError):  # of a loop that is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._queue.put_nowait, event)


def _both(first: Said, second: Said) -> Said:
    return Said(first.content + second.content, first.reasoning + second.reasoning, (*first.calls, *second.calls))
