"""Conversations and prompts whose answer a grammar binds: JSON, and calls of tools that have to be made.

llama.cpp's own way for that is not taken: its grammar of a schema passes over patterns and ranges, lets marks of Markdown stand around
JSON and any text before a call, and binds nothing at all where its analysis of a chat template finds no calls. So the template is
rendered by it, the grammar is ours in llguidance's words, and what comes is read by us.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from textmill.contract import ChatOptions, CompleteOptions, Ended, Event, Format, Message, Piece
from textmill.errors import ForwardFailed
from textmill.providers.asked import opened, told_of, tools_of
from textmill.providers.grammars import (
    Style,
    bound_grammar,
    ending,
    format_grammar,
    refuse_unusable,
    style_of,
    thoughtful,
)
from textmill.providers.llamacpp.native import NativeWire
from textmill.providers.llamacpp.supervised import Session
from textmill.providers.openai_body import chat_body
from textmill.providers.openai_speech import Speech
from textmill.providers.openai_writer import Writer
from textmill.providers.speech import MARKS, REASONING, Manner
from textmill.providers.spoken import spoken

_HEAD = "%llguidance {}\n"
_CHANNELS = "<|channel|>"
"""In templates of models that say before each text what it is (OpenAI's gpt-oss)."""
_WORD = 32
_ENDS = (
    *("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|endoftext|>", "<|end_of_text|>", "<end_of_turn>"),
    *("<turn|>", "<end_of_utterance>", "</s>", "<eos>", "[EOS]", "<|END_OF_TURN_TOKEN|>"),
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
)
"""Tokens with which models end their turn."""


@dataclass(frozen=True, slots=True)
class Grammars:
    """What a model's chat template and vocabulary have to do with grammars.

    ``marks`` are its control tokens in llguidance's words; ``seen`` those that have to be told of; ``opening`` is the mark with which it
    may begin thoughts, empty for none; ``ends`` are those with which it may end its turn, in llguidance's words. ``tools`` says that the
    template knows of tools, ``own`` that llama.cpp must bind chats itself.
    """

    style: Style = "hermes"
    marks: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    seen: tuple[str, ...] = ()
    opening: str = ""
    ends: tuple[str, ...] = ()
    tools: bool = False
    own: bool = False

    def binds(self, options: ChatOptions) -> bool:
        """Whether a conversation goes this way: where it is bound, and where tools are not told of by the template."""
        if self.own or (options.format is not None and options.format.kind == "grammar" and not options.tools):
            return False
        must = options.tool_choice not in ("auto", "none")
        return must or options.format is not None or bool(options.tools and not self.tools)


async def grammars_of(native: NativeWire, vocabulary: int) -> Grammars | None:
    """What llama.cpp says of the model; None where its grammars cannot be relied upon.

    llguidance as it is built into llama.cpp fails on vocabularies that are one short of a multiple of 32, and what is written is then
    free without a word.
    """
    if vocabulary % _WORD == _WORD - 1:
        return None
    about = await native.get("/props")
    template = str(about.get("chat_template") or "")
    seen = tuple(mark for mark in MARKS if mark in template)
    style = style_of(template)
    used = {*seen, *(("<tool_call>", "</tool_call>") if style == "hermes" else ())}
    marks = {mark: token for mark in used if (token := await _control(native, mark))}
    opening = next((mark for mark in REASONING if mark in template), "")
    ended = dict.fromkeys((str(about.get("eos_token") or ""), *(mark for mark in _ENDS if mark in template)))
    ends = [token for mark in ended if mark and (token := await _control(native, mark))]
    return Grammars(
        style, marks, tuple(sorted(used)), opening, tuple(ends), "tools" in template, own=_CHANNELS in template
    )


async def _control(native: NativeWire, mark: str) -> str:
    """A mark that is one control token, in llguidance's words; empty for one that is text."""
    ids, plain = [
        (await native.post("/tokenize", {"content": mark, "add_special": False, "parse_special": special}))["tokens"]
        for special in (True, False)
    ]
    return f"<[{ids[0]}]>" if len(ids) == 1 and ids != plain else ""


def guided(wanted: Format | None, grammars: Grammars) -> Format | None:
    """A format as a grammar that llama.cpp keeps to. Raises InvalidInput for a schema of which none can be made."""
    if wanted is None or wanted.kind == "grammar":
        return wanted
    return _made(format_grammar(wanted), grammars)


async def bound_chat(
    session: Session, speech: Speech, grammars: Grammars, messages: Sequence[Message], options: ChatOptions
) -> AsyncGenerator[Event, None]:
    """What the model says, within a grammar. Raises InvalidInput for what no grammar can be made of, ForwardFailed where none was kept."""
    tools = tools_of(options)
    prompt = await _prompt(session, speech, grammars, messages, options)
    thinking = opened(prompt)
    text = bound_grammar(options, tools, grammars.style, grammars.marks)
    wanted = None if text is None else _within(text, grammars, thinking, prompt)
    names = tuple(tool.name for tool in tools)
    bare, several = grammars.style == "bare", options.parallel_tool_calls
    manner = Manner(thinking, names, bare=bare, bound=wanted is not None, several=several)
    asked = CompleteOptions(
        n=options.n,
        max_tokens=options.max_tokens,
        stop=options.stop,
        sampling=options.sampling,
        format=wanted,
        logprobs=options.logprobs,
    )
    writer = Writer(session.wire, replace(speech, more={**speech.more, "preserved_tokens": list(grammars.seen)}))
    events = spoken(writer.complete(prompt, asked), manner)
    must = options.tool_choice not in ("auto", "none")
    if must or (options.format is not None and options.format.kind != "grammar"):
        events = kept(events, options.stop, calls=must)
    async with aclosing(events) as made:
        async for event in made:
            yield event


async def _prompt(
    session: Session, speech: Speech, grammars: Grammars, messages: Sequence[Message], options: ChatOptions
) -> str:
    """The conversation by the model's template."""
    shown = () if options.tool_choice == "none" else options.tools
    if shown and not grammars.tools:
        messages, shown = told_of(messages, shown), ()
    free = replace(options, tools=shown, tool_choice="auto", format=None, logprobs=None)
    made = await session.native.post("/apply-template", chat_body("", messages, free, speech))
    return str(made["prompt"])


def _within(text: str, grammars: Grammars, thinking: str, prompt: str) -> Format:
    """A grammar with the thoughts that come before what it is about."""
    if thinking:
        text = thoughtful(text, "", REASONING[thinking], grammars.marks)
    elif grammars.opening and not prompt.rstrip().endswith(REASONING[grammars.opening]):
        text = thoughtful(text, grammars.opening, REASONING[grammars.opening], grammars.marks)
    return _made(text, grammars)


def _made(text: str, grammars: Grammars) -> Format:
    """A grammar as llama.cpp takes it, with the model's own ends.

    llguidance knows of one end, for which llama.cpp gives it the first end of a turn that its table of the vocabulary comes to: Qwen's
    models, which say <|im_end|>, may have <|endoftext|> there, and could not end a text that might go on.
    """
    text = _HEAD + ending(text, grammars.ends)
    refuse_unusable(text)
    return Format("grammar", text)


async def kept(events: AsyncGenerator[Event], stop: Sequence[str], *, calls: bool = False) -> AsyncGenerator[Event]:
    """Events, and ForwardFailed in place of the end of a choice that is no JSON, or has no ``calls`` where it must.

    llama.cpp goes on freely where a grammar fails. A choice that one of the caller's texts has ended may be anything.
    """
    texts: dict[int, list[str]] = {}
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Piece) and event.text:
                texts.setdefault(event.choice, []).append(event.text)
            elif isinstance(event, Ended) and event.reason == "stop" and not stop:
                _check("".join(texts.get(event.choice, ())), calls=calls)
            yield event


def _check(text: str, *, calls: bool) -> None:
    if not calls:
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            return
    msg = f"llama.cpp did not keep to {'the calls that must be made' if calls else 'JSON'}; its log at the level debug says why"
    raise ForwardFailed(msg)
