"""Prompts as token ids, for engines that textmill tokenises for: conversations by the model's own template, texts, ids, and what lies between two texts."""

from __future__ import annotations

from collections.abc import Sequence

from textmill.contract import ChatOptions, CompleteOptions, GenerateOptions, Message
from textmill.errors import ContextExceeded, EmptyInput, InvalidInput
from textmill.providers.asked import conversation, described, template_values
from textmill.runtimes.writing import Words

_MIDDLE = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ("<|fim_begin|>", "<|fim_hole|>", "<|fim_end|>"),
)
"""Marks of models that fill in the middle: before the text, before what comes behind it, before what is wanted."""


def conversation_text(name: str, words: Words, messages: Sequence[Message], options: ChatOptions) -> str:
    """A conversation with the model called ``name`` by its template, which gets the tools, or tells of them where it does not know any.

    Raises InvalidInput where it has no template, or one that cannot be filled.
    """
    if not words.template:
        msg = f"{name} has no chat template; put one into its folder as chat_template.jinja, or send a prompt to /v1/completions"
        raise InvalidInput(msg, param="messages")
    shown = () if options.tool_choice == "none" else options.tools
    knows = "tools" in words.template
    return words.render(
        conversation(messages, shown, told=not knows), described(shown) if knows else (), template_values(options)
    )


def prompt_ids(
    name: str, words: Words, vocabulary: int, prompt: str | Sequence[int], options: CompleteOptions
) -> list[int]:
    """The ids of a prompt. Raises InvalidInput for ids that the model does not have, and for a suffix that it does not know."""
    if isinstance(prompt, str):
        text = prompt if options.suffix is None else _around(name, words, prompt, options.suffix)
        return list(words.encode(text, special_tokens=True))
    if options.suffix is not None:
        msg = "suffix goes with a prompt that is text, not with token ids"
        raise InvalidInput(msg, param="suffix")
    return _checked(prompt, vocabulary)


def room_for(name: str, context: int, ids: Sequence[int], options: GenerateOptions, param: str) -> int:
    """How many tokens may be written. Raises EmptyInput for no prompt, ContextExceeded for one that leaves no room."""
    if not ids:
        msg = "the prompt has no tokens"
        raise EmptyInput(msg, param=param)
    if len(ids) >= context:
        msg = f"the prompt has {len(ids)} tokens, and {name} takes {context} with what it writes; shorten it"
        raise ContextExceeded(msg, param=param)
    room = context - len(ids)
    return room if options.max_tokens is None else max(1, min(options.max_tokens, room))


def _around(name: str, words: Words, prompt: str, suffix: str) -> str:
    """A prompt for what stands between two texts."""
    known = set(words.special.values()) | set(words.added.values())
    for before, behind, middle in _MIDDLE:
        if {before, behind, middle} <= known:
            return f"{before}{prompt}{behind}{suffix}{middle}"
    msg = f"{name} does not fill in the middle of a text; leave suffix out"
    raise InvalidInput(msg, param="suffix")


def _checked(ids: Sequence[int], vocabulary: int) -> list[int]:
    wrong = [id_ for id_ in ids if isinstance(id_, bool) or not 0 <= id_ < vocabulary]
    if wrong:
        msg = f"the prompt has the token {wrong[0]}, and the model's ids are 0 to {vocabulary - 1}"
        raise InvalidInput(msg, param="prompt")
    return [int(id_) for id_ in ids]
