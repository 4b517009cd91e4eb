"""A model that OpenVINO GenAI writes with: conversations and prompts in, events out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

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
from textmill.errors import InvalidInput
from textmill.providers.asked import opened, tools_of
from textmill.providers.genai.call import Heard
from textmill.providers.genai.process import GenaiProcess
from textmill.providers.genai.rules import Tag, calls_tag, format_tag, rule_of
from textmill.providers.genai.sampling import sampled
from textmill.providers.grammars import style_of
from textmill.providers.prompted import conversation_text, prompt_ids, room_for
from textmill.providers.speech import Manner
from textmill.providers.telling import Telling, Wanted
from textmill.providers.writes import Writes
from textmill.runtimes.genai_messages import Add
from textmill.runtimes.writing import Words
from textmill.tasks.tokenize import Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is fixed when a model loads. ``ends`` are ids that end a text, ``sampling`` is what its generation_config.json says."""

    context: int
    vocabulary: int
    rows: int
    ends: frozenset[int]
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, ready for the process."""

    add: Add
    wanted: Wanted
    told: bool


class GenaiModel(Writes):
    """A model behind a process that is open."""

    def __init__(self, info: ModelInfo, process: GenaiProcess, words: Words, reader: Reader, facts: Facts) -> None:
        self.info = info
        self._process = process
        self._words = words
        self._reader = reader
        self._facts = facts
        self._style = style_of(words.template)

    @property
    def ready(self) -> bool:
        """Whether it can answer: a process that is gone is started again for a request."""
        return not self._process.closed

    @property
    def waiting(self) -> tuple[int, int]:
        """Requests that have no token yet; those of their prompts are not counted."""
        return self._process.waiting, 0

    @property
    def pid(self) -> int | None:
        """The number of its process."""
        return self._process.pid

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
        """Finish what is under way for at most ``drain_s`` seconds, then end the process; blocks."""
        end = time.monotonic() + drain_s
        while self._process.busy and time.monotonic() < end:
            time.sleep(0.02)
        self._process.close()

    async def _write(self, asked: _Asked) -> AsyncGenerator[Event, None]:
        if not self._process.alive and not self._process.closed:
            await asyncio.to_thread(self._process.revive)
        choices = len(asked.add.seeds)
        telling = Telling(self._words, asked.add.ids, asked.wanted, choices)
        heard = Heard(telling, choices, self._process.leave, told=asked.told)
        number = self._process.add(asked.add, heard)
        try:
            async with aclosing(telling.events()) as events:
                async for event in events:
                    yield event
        finally:
            self._process.leave(number)

    def _conversation(self, messages: Sequence[Message], options: ChatOptions) -> _Asked:
        text = conversation_text(self.info.name, self._words, messages, options)
        tools = tools_of(options)
        tag = self._tag(options)
        thinking = opened(text)
        bare = self._style == "bare" or (tag is not None and not thinking)
        # A text of a format has nothing to part: marks within its strings are no marks.
        whole = tag is not None and not thinking and not tools
        manner = None if whole else Manner(thinking, tuple(tool.name for tool in tools), bare=bare)
        single = bool(tools) and not options.parallel_tool_calls
        ids = self._words.encode(text, special_tokens=False)
        return self._asked(ids, options, tag, "messages", manner=manner, single=single)

    def _tag(self, options: ChatOptions) -> Tag | None:
        """What the text has to be, if it has to be anything."""
        must = options.tool_choice not in ("auto", "none")
        wanted, tools = options.format, tools_of(options)
        if must or (tools and wanted is not None and wanted.kind != "grammar"):
            several = options.parallel_tool_calls and not (must and options.tool_choice != "required")
            return calls_tag(tools, self._style, several=several, otherwise=None if must else wanted)
        return None if wanted is None else format_tag(wanted)

    def _prompt(self, prompt: str | Sequence[int], options: CompleteOptions) -> _Asked:
        ids = prompt_ids(self.info.name, self._words, self._facts.vocabulary, prompt, options)
        tag = None if options.format is None else format_tag(options.format)
        return self._asked(ids, options, tag, "prompt")

    def _asked(
        self,
        ids: Sequence[int],
        options: GenerateOptions,
        tag: Tag | None,
        param: str,
        *,
        manner: Manner | None = None,
        single: bool = False,
    ) -> _Asked:
        limit = room_for(self.info.name, self._facts.context, ids, options, param)
        if not 1 <= options.n <= self._facts.rows:
            msg = f"n is {options.n}; it can be 1 to {self._facts.rows}"
            raise InvalidInput(msg, param="n")
        how = sampled(options, self._facts.sampling, bound=tag is not None)
        rule = None if tag is None else rule_of(tag, manner.thinking if manner is not None else "")
        add = Add(
            call=0,
            ids=tuple(ids),
            limit=limit,
            seeds=[(how.seed + choice) % 2**32 for choice in range(options.n)],
            sampling=how.values,
            ignore_eos=how.ignore_eos,
            logprobs=options.logprobs is not None,
            rule=rule,
        )
        ends = frozenset[int]() if how.ignore_eos else self._facts.ends
        wanted = Wanted(limit=limit, stop=options.stop, ends=ends, manner=manner, single=single)
        return _Asked(add, wanted, told=bool(options.logprobs))
