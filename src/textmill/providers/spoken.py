"""Events of text as what a model says: its content, its thoughts and its calls told apart."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from textmill.contract import Ended, Event, Piece, Reason, Spent
from textmill.providers.speech import Manner, Speech


async def spoken(events: AsyncGenerator[Event], manner: Manner) -> AsyncGenerator[Event]:
    """Text with its reasoning and calls told apart, by the marks around them; calls that are not wanted are left out."""
    speeches: dict[int, Speech] = {}
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Spent):
                yield event
                continue
            speech = speeches.setdefault(event.choice, Speech(manner))
            made = speech.push(event.text) if isinstance(event, Piece) else speech.finish()
            logprobs = event.logprobs if isinstance(event, Piece) else ()
            calls = made.calls if manner.several else tuple(call for call in made.calls if not call.index)
            if made.content or made.reasoning or calls or logprobs:
                yield Piece(
                    choice=event.choice,
                    text=made.content,
                    reasoning=made.reasoning,
                    calls=calls,
                    logprobs=logprobs,
                )
            if isinstance(event, Ended):
                reason: Reason = "tool_calls" if speech.calls and event.reason == "stop" else event.reason
                yield replace(event, reason=reason)
