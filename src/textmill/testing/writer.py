"""A model that writes what the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from textmill.contract import ChatOptions, CompleteOptions, Ended, Event, Message, Piece, Spent


class ScriptedWriter:
    """Writes a script, event by event, whatever it is asked. Mixed into `textmill.testing.served.RecordingModel`.

    An exception in the ``script`` is raised at its place, an asyncio.Event waited for, with ``waits`` set meanwhile. ``asked`` has the
    conversations and prompts with their options; ``closed`` is set when a caller leaves before the end.
    """

    def __init__(self) -> None:
        self.script: Sequence[Event | Exception | asyncio.Event] = says("The mill", " turns.")
        self.asked: list[tuple[Sequence[Message] | str | Sequence[int], ChatOptions | CompleteOptions]] = []
        self.waits = asyncio.Event()
        self.closed = asyncio.Event()

    def chat(self, messages: Sequence[Message], options: ChatOptions) -> AsyncGenerator[Event]:
        """The script."""
        self.asked.append((tuple(messages), options))
        return self._write()

    def complete(self, prompt: str | Sequence[int], options: CompleteOptions) -> AsyncGenerator[Event]:
        """The script."""
        self.asked.append((prompt, options))
        return self._write()

    async def _write(self) -> AsyncGenerator[Event]:
        whole = False
        try:
            for each in self.script:
                if isinstance(each, Exception):
                    raise each
                if isinstance(each, asyncio.Event):
                    self.waits.set()
                    await each.wait()
                else:
                    yield each
            whole = True
        finally:
            if not whole:
                self.closed.set()


def says(*pieces: str, cached: int = 0) -> tuple[Event, ...]:
    """The events of one choice that is these pieces, each a token, of a prompt of nine tokens."""
    spent = Spent(prompt_tokens=9, completion_tokens=len(pieces), cached=cached)
    return (*(Piece(text=piece) for piece in pieces), Ended(0, "stop"), spent)
