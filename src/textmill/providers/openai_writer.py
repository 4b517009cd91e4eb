"""Conversations and prompts that a server of OpenAI's protocol goes on with."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from textmill.contract import ChatOptions, CompleteOptions, Event, GenerateOptions, Message, Spent
from textmill.providers.openai_body import chat_body, complete_body
from textmill.providers.openai_chunks import ChunkReader, Tally
from textmill.providers.openai_speech import Speech
from textmill.providers.openai_wire import Wire
from textmill.tasks.merge import merged

_CHAT, _PROMPT = "/chat/completions", "/completions"


class Writer:
    """`textmill.contract.Chat` and `Complete` over a `Wire`, for a server of the kind ``speech`` that calls the model ``model``.

    An empty ``model`` leaves the name out, for servers that have one model only. Other providers build on these signatures, and pass
    calls of their own verbs through. Each call is one streaming request, or one for each choice where the server does not take ``n``;
    closing an iterator closes its connections. It holds nothing itself: close the wire.
    """

    def __init__(self, wire: Wire, speech: Speech, model: str = "") -> None:
        self._wire = wire
        self._speech = speech
        self._model = model

    def chat(self, messages: Sequence[Message], options: ChatOptions) -> AsyncGenerator[Event, None]:
        """As `textmill.contract.Chat.chat`; nothing is sent, and nothing refused, before the first step of the iterator."""
        return self._write(_CHAT, lambda: chat_body(self._model, messages, options, self._speech), options)

    def complete(self, prompt: str | Sequence[int], options: CompleteOptions) -> AsyncGenerator[Event, None]:
        """As `textmill.contract.Complete.complete`; see `chat`."""
        return self._write(_PROMPT, lambda: complete_body(self._model, prompt, options, self._speech), options)

    def _write(
        self, path: str, make: Callable[[], dict[str, Any]], options: GenerateOptions
    ) -> AsyncGenerator[Event, None]:
        if options.n > 1 and not self._speech.many:
            return self._several(path, make, options)
        return self._one(path, make, self._reader(options, options.n))

    async def _one(
        self, path: str, make: Callable[[], Mapping[str, Any]], reader: ChunkReader
    ) -> AsyncGenerator[Event, None]:
        async with aclosing(self._wire.stream(path, make())) as chunks:
            async for chunk in chunks:
                for event in reader.read(chunk):
                    yield event
        for event in reader.end():
            yield event

    async def _several(
        self, path: str, make: Callable[[], dict[str, Any]], options: GenerateOptions
    ) -> AsyncGenerator[Event, None]:
        """A request for each choice. One seed for all would make them the same, so each counts on from it."""
        body, tally = make(), Tally()
        seed = self._speech.sampling.get("seed", "")
        streams = [
            self._one(
                path,
                lambda number=number: {**body, **({seed: body[seed] + number} if seed in body else {})},  # type: ignore[misc]
                self._reader(options, 1, first=number),
            )
            for number in range(options.n)
        ]
        async with aclosing(merged(streams)) as events:
            async for _, event in events:
                if isinstance(event, Spent):
                    tally.add(event)
                else:
                    yield event
        yield tally.spent

    def _reader(self, options: GenerateOptions, n: int, first: int = 0) -> ChunkReader:
        return ChunkReader(
            self._wire.server.title,
            n,
            top=options.logprobs,
            usage_of_each=self._speech.usage_of_each,
            first=first,
        )
