"""A model of transformers that writes text: conversations and prompts in, events out."""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from textmill.contract import (
    ChatOptions,
    CompleteOptions,
    Event,
    GenerateOptions,
    Message,
    ModelInfo,
    Sampling,
    Token,
    TokenizeOptions,
)
from textmill.engine.writing import Call, WritingLoop
from textmill.errors import InvalidInput
from textmill.providers.asked import (
    opened,
    seeded,
    settled,
    tools_of,
)
from textmill.providers.grammars import bound_grammar, format_grammar, style_of
from textmill.providers.prompted import conversation_text, prompt_ids, room_for
from textmill.providers.speech import Manner
from textmill.providers.telling import Telling, Wanted
from textmill.providers.writes import Writes
from textmill.runtimes.writing import Choosing, Words, WritingRuntime
from textmill.tasks.tokenize import Reader

_MOST_CHOICES, _MOST_LOGPROBS = 128, 1000


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, ready for the loop."""

    ids: Sequence[int]
    choosing: Sequence[Choosing]
    wanted: Wanted


class CausalModel(Writes):
    """A model that a loop of its own runs. ``usual`` is what its file says of sampling."""

    def __init__(
        self,
        info: ModelInfo,
        runtime: WritingRuntime[Any, Any],
        words: Words,
        reader: Reader,
        loop: WritingLoop,
        usual: Sampling,
    ) -> None:
        self.info = info
        self._runtime = runtime
        self._facts = runtime.facts
        self._words = words
        self._reader = reader
        self._loop = loop
        self._usual = usual
        self._style = style_of(words.template)
        self._marks = {name: f"<[{id_}]>" for id_, name in words.special.items()}
        # The interpreter must not end under the loop's thread.
        atexit.register(self.close, 0.0)

    @property
    def ready(self) -> bool:
        """Whether it can answer."""
        return self._loop.ready

    @property
    def waiting(self) -> tuple[int, int]:
        """Requests in line and the tokens of their prompts."""
        return self._loop.waiting

    async def go_on(self, messages: Sequence[Message], options: ChatOptions) -> AsyncGenerator[Event, None]:
        """What the model says; closing the iterator stops it within a token."""
        asked = await asyncio.to_thread(self._conversation, messages, options)
        async with aclosing(self._write(asked)) as events:
            async for event in events:
                yield event

    async def write(self, prompt: str | Sequence[int], options: CompleteOptions) -> AsyncGenerator[Event, None]:
        """What comes behind a text, or behind the model's own token ids."""
        asked = await asyncio.to_thread(self._prompt, prompt, options)
        async with aclosing(self._write(asked)) as events:
            async for event in events:
                yield event

    async def tokenize_inputs(self, inputs: Sequence[str], options: TokenizeOptions) -> tuple[tuple[Token, ...], ...]:
        """The tokens of each text."""
        return await asyncio.to_thread(self._reader.tokenize, inputs, options)

    async def decode_inputs(self, inputs: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> tuple[str, ...]:
        """The text of each list of ids."""
        return await asyncio.to_thread(self._reader.decode, inputs, skip_special_tokens=skip_special_tokens)

    def close(self, drain_s: float = 10.0) -> None:
        """Finish what is under way for at most ``drain_s`` seconds, free the memory; blocks."""
        atexit.unregister(self.close)
        self._loop.close(drain_s)

    async def _write(self, asked: _Asked) -> AsyncGenerator[Event, None]:
        telling = Telling(self._words, asked.ids, asked.wanted, len(asked.choosing))
        call = Call(asked.ids, asked.choosing, telling)
        self._loop.submit(call)
        try:
            async with aclosing(telling.events()) as events:
                async for event in events:
                    yield event
        finally:
            self._loop.leave(call)

    def _conversation(self, messages: Sequence[Message], options: ChatOptions) -> _Asked:
        text = conversation_text(self.info.name, self._words, messages, options)
        tools = tools_of(options)
        grammar = bound_grammar(options, tools, self._style, self._marks)
        thinking = opened(text)
        names = tuple(tool.name for tool in tools)
        # Around calls of strict tools the text is free.
        bound = grammar is not None and (options.format is not None or options.tool_choice not in ("auto", "none"))
        manner = Manner(thinking, names, bare=self._style == "bare" or (bound and not thinking), bound=bound)
        ids = self._words.encode(text, special_tokens=False)
        single = bool(tools) and not options.parallel_tool_calls
        return self._asked(ids, options, grammar, "messages", manner=manner, single=single)

    def _prompt(self, prompt: str | Sequence[int], options: CompleteOptions) -> _Asked:
        ids = prompt_ids(self.info.name, self._words, self._facts.vocabulary, prompt, options)
        grammar = None if options.format is None else format_grammar(options.format)
        return self._asked(ids, options, grammar, "prompt")

    def _asked(
        self,
        ids: Sequence[int],
        options: GenerateOptions,
        grammar: str | None,
        param: str,
        *,
        manner: Manner | None = None,
        single: bool = False,
    ) -> _Asked:
        limit = room_for(self.info.name, self._facts.context, ids, options, param)
        if not 1 <= options.n <= _MOST_CHOICES:
            msg = f"n is {options.n}; it can be 1 to {_MOST_CHOICES}"
            raise InvalidInput(msg, param="n")
        if options.logprobs is not None and not 0 <= options.logprobs <= _MOST_LOGPROBS:
            msg = f"logprobs is {options.logprobs}; it can be 0 to {_MOST_LOGPROBS}"
            raise InvalidInput(msg, param="logprobs")
        sampling = settled(options.sampling, self._usual, self._facts.sampling, vocabulary=self._facts.vocabulary)
        compiled = None if grammar is None else self._runtime.grammar(grammar)
        bound = compiled is not None and manner is not None and bool(manner.thinking)
        choosing = [
            Choosing(
                sampling=seeded(sampling, choice),
                logprobs=options.logprobs,
                grammar=None if compiled is None else compiled.copy(),
                free=bound,
            )
            for choice in range(options.n)
        ]
        wanted = Wanted(
            limit=limit, stop=options.stop, ends=self._facts.ends, manner=manner, single=single, bound=bound
        )
        return _Asked(tuple(ids), choosing, wanted)
