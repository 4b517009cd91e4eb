"""One answer of a model: what has come of it, how long it took, and the words for that."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from textmill.cli.voice import Voice
from textmill.contract import Ended, Event, Piece, Reason, Spent


@dataclass(slots=True)
class Answer:
    """An answer as far as it has come; times are those of a clock, in seconds, 0 for what has not happened."""

    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    reason: Reason | None = None
    spent: Spent | None = None
    begun: float = 0.0
    first: float = 0.0
    over: float = 0.0

    @property
    def text(self) -> str:
        """What was said."""
        return "".join(self.texts)

    @property
    def reasoning(self) -> str:
        """What was thought before."""
        return "".join(self.thoughts)

    @property
    def stats(self) -> str:
        """A line with tokens and their rate; by the engine's own times where it tells them, else by those of the pieces."""
        if self.spent is None:
            return f"stopped after {self.over - self.begun:.1f} s"
        spent = self.spent
        seconds = spent.generation_s or (self.over - (self.first or self.begun))
        rate = f", {spent.completion_tokens / seconds:.1f} tokens/s" if seconds > 0 else ""
        cached = f" ({spent.cached} cached)" if spent.cached else ""
        wait = f", the first after {self.first - self.begun:.2f} s" if self.first else ""
        return f"{spent.prompt_tokens} tokens of prompt{cached}, {spent.completion_tokens} written{rate}{wait}"


async def hear(events: AsyncGenerator[Event], answer: Answer, voice: Voice, *, thoughts: bool = True) -> None:
    """Take the events of one choice into ``answer``, and give them to the voice as they come, with its ``thoughts`` or without.

    Cancelled, it closes the events, and the answer has what came so far. Raises what they raise.
    """
    answer.begun = time.perf_counter()
    try:
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Piece):
                    _take(event, answer, voice, thoughts=thoughts)
                elif isinstance(event, Ended):
                    answer.reason = event.reason
                else:
                    answer.spent = event
    finally:
        answer.over = time.perf_counter()


def _take(piece: Piece, answer: Answer, voice: Voice, *, thoughts: bool) -> None:
    answer.first = answer.first or time.perf_counter()
    if piece.reasoning:
        answer.thoughts.append(piece.reasoning)
        if thoughts:
            voice.reasoning(piece.reasoning)
    if piece.text:
        answer.texts.append(piece.text)
        voice.text(piece.text)
