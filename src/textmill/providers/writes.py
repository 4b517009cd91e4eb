"""What all models that write have in common: the way from a request to the engine, and back, that their model files describe."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from textmill.contract import (
    CallPiece,
    ChatOptions,
    CompleteOptions,
    Ended,
    Event,
    Message,
    Piece,
    TokenLogprob,
)
from textmill.errors import InvalidInput
from textmill.prompting import Conversation
from textmill.prompting import Message as Said
from textmill.prompting import Tool as Told
from textmill.prompting import ToolCall as Called
from textmill.providers.asked import opened
from textmill.providers.refusing import RefusesAll
from textmill.providers.speech import Manner
from textmill.providers.spoken import spoken
from textmill.providers.usual import Usual


class Writes(RefusesAll):
    """A model that writes. ``usual`` is what its file says; whoever opens it sets that before it is used."""

    usual: Usual = Usual()

    @abstractmethod
    def go_on(self, messages: Sequence[Message], options: ChatOptions) -> AsyncGenerator[Event]:
        """Go on with a conversation by the model's own template, as `textmill.contract.Chat.chat`."""

    @abstractmethod
    def write(self, prompt: str | Sequence[int], options: CompleteOptions) -> AsyncGenerator[Event]:
        """Write what comes behind a text, as `textmill.contract.Complete.complete`, whose ``instruction`` is done with."""

    def rewrite(self, text: str, instruction: str, options: CompleteOptions) -> AsyncGenerator[Event]:
        """Write a text anew as an instruction wants it, where the model's file has no template for that: `textmill.prompting.EDIT`."""
        return self.write(self.usual.prompts.of_edit(text, instruction), options)

    async def chat(self, messages: Sequence[Message], options: ChatOptions) -> AsyncGenerator[Event]:
        """What the model says, as its file and the request have it."""
        self._need("chat")
        asked = self.usual.options(options)
        if self.usual.renders:
            events = self._by_template(messages, asked)
        else:
            events = self.go_on(self.usual.messages(messages), asked)
        async with aclosing(_finished(events, self.usual)) as made:
            async for event in made:
                yield event

    async def complete(self, prompt: str | Sequence[int], options: CompleteOptions) -> AsyncGenerator[Event]:
        """What comes behind a text, or the text as an instruction wants it, as the model's file and the request have it."""
        self._need("complete")
        asked = self.usual.options(options)
        plain = replace(asked, instruction=None, raw=False)
        if asked.instruction is None:
            fill = isinstance(prompt, str) and not asked.raw
            events = self.write(self.usual.prompts.of_completion(str(prompt)) if fill else prompt, plain)
        elif not isinstance(prompt, str):
            msg = "a text that is to be written anew must be a text, not token ids"
            raise InvalidInput(msg, param="input")
        elif self.usual.edits:
            events = self.write(self.usual.prompts.of_edit(prompt, asked.instruction), plain)
        else:
            events = self.rewrite(prompt, asked.instruction, plain)
        async with aclosing(_finished(events, self.usual)) as made:
            async for event in made:
                yield event

    async def _by_template(self, messages: Sequence[Message], options: ChatOptions) -> AsyncGenerator[Event]:
        """A conversation by the templates of the model's file."""
        calling, tools = self.usual.calling, options.tools if options.tool_choice != "none" else ()
        bound = bool(tools) and (calling.bound or options.tool_choice != "auto") and options.format is None
        prompt = self.usual.prompts.of_chat(_conversation(messages, options, self.usual, grammar=bound))
        asked = CompleteOptions(
            n=options.n,
            max_tokens=options.max_tokens,
            stop=options.stop,
            sampling=options.sampling,
            format=calling.format(tools, options.tool_choice, parallel=options.parallel_tool_calls)
            if bound
            else options.format,
            logprobs=options.logprobs,
        )
        events = self.write(prompt, asked)
        if tools and (bound or calling.json or calling.responses):
            events = _with_calls(events, options, self.usual, bound=bound)
        elif not self.usual.plain:
            begun = opened(prompt) if self.usual.prefilled else ""
            names = tuple(tool.name for tool in tools)
            several = options.parallel_tool_calls
            manner = Manner(begun, names, bare=bool(tools), bound=options.format is not None, several=several)
            events = spoken(events, manner)
        async with aclosing(events):
            async for event in events:
                yield event


def _conversation(messages: Sequence[Message], options: ChatOptions, usual: Usual, *, grammar: bool) -> Conversation:
    calling = bool(options.tools) and options.tool_choice != "none"
    tools = usual.calling.answering(options.tools, options.tool_choice) if calling else options.tools
    return Conversation(
        messages=tuple(_said(message) for message in messages),
        tools=tuple(
            Told(name=tool.name, description=tool.description, parameters=tool.parameters, strict=tool.strict)
            for tool in tools
        ),
        calling=calling,
        grammar=grammar,
        reasoning_effort=options.reasoning_effort or "",
        metadata={key: str(value) for key, value in options.template_kwargs.items()},
    )


def _said(message: Message) -> Said:
    calls = tuple(Called(id=call.id, name=call.name, arguments=call.arguments) for call in message.tool_calls)
    return Said(role=message.role, content=message.content, name=message.name or "", tool_calls=calls)


async def _with_calls(
    events: AsyncGenerator[Event], options: ChatOptions, usual: Usual, *, bound: bool
) -> AsyncGenerator[Event]:
    """Choices once they are whole, with the calls in them; what is left of a ``bound`` one that was cut off is no text."""
    texts: dict[int, list[str]] = {}
    told: dict[int, list[TokenLogprob]] = {}
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Piece):
                texts.setdefault(event.choice, []).append(event.text)
                told.setdefault(event.choice, []).extend(event.logprobs)
            elif isinstance(event, Ended):
                text, logprobs = "".join(texts.pop(event.choice, ())), tuple(told.pop(event.choice, ()))
                words, calls = usual.calling.read(text, options.tools)
                if bound and not calls and _is_cut(text, event):
                    words = ""
                if words or logprobs:
                    yield Piece(choice=event.choice, text=words, logprobs=logprobs)
                made = calls if options.parallel_tool_calls else calls[:1]
                for index, call in enumerate(made):
                    yield Piece(choice=event.choice, calls=(CallPiece(index, call.id, call.name, call.arguments),))
                yield replace(event, reason="tool_calls") if made else event
            else:
                yield event


def _is_cut(text: str, ended: Ended) -> bool:
    """Whether a text is the beginning of JSON, which a limit or a stop string has ended."""
    if (ended.reason != "length" and ended.stop is None) or not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return True
    return False


async def _finished(events: AsyncGenerator[Event], usual: Usual) -> AsyncGenerator[Event]:
    """Events with the answer as the model's file wants it; where it cleans answers, each comes once it is whole."""
    held: dict[int, list[str]] = {}
    told: dict[int, list[TokenLogprob]] = {}
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Piece):
                piece = _reasoned(event, usual)
                if usual.cleans:
                    held.setdefault(piece.choice, []).append(piece.text)
                    told.setdefault(piece.choice, []).extend(piece.logprobs)
                    piece = replace(piece, text="", logprobs=())
                if piece.text or piece.reasoning or piece.calls or piece.logprobs:
                    yield piece
                continue
            if isinstance(event, Ended) and usual.cleans:
                text = usual.cleaning.clean("".join(held.pop(event.choice, ())))
                logprobs = tuple(told.pop(event.choice, ()))
                if text or logprobs:
                    yield Piece(choice=event.choice, text=text, logprobs=logprobs)
            yield event


def _reasoned(piece: Piece, usual: Usual) -> Piece:
    if usual.hidden and piece.reasoning:
        return replace(piece, reasoning="")
    return piece
