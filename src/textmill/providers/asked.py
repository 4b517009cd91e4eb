"""What a request means to a model of transformers: its messages, tools and values for the template, and how tokens are chosen."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from textmill.contract import ChatOptions, Message, Named, Sampling, Tool
from textmill.errors import InvalidInput
from textmill.providers.speech import REASONING

_USUAL = Sampling(
    temperature=0.9,
    top_p=0.95,
    top_k=0,
    min_p=0.0,
    typical_p=1.0,
    seed=-1,
    presence_penalty=0.0,
    frequency_penalty=0.0,
    repeat_penalty=1.0,
    repeat_last_n=-1,
    mirostat=0,
    mirostat_tau=5.0,
    mirostat_eta=0.1,
    ignore_eos=False,
)
"""What LocalAI takes where nobody says."""
_LIMITS: Mapping[str, tuple[float, float]] = {
    "temperature": (0.0, 100.0),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "typical_p": (0.0, 1.0),
    "repeat_penalty": (0.0, 100.0),
    "presence_penalty": (-100.0, 100.0),
    "frequency_penalty": (-100.0, 100.0),
    "mirostat": (0, 2),
}
_TEXT = """\
You can call these functions:
<tools>
{}
</tools>
A call is written as:
<tool_call>
{{"name": <name of the function>, "arguments": <JSON object>}}
</tool_call>"""
"""Said to models whose template does not know tools, in the words that Hermes' models know."""


def settled(asked: Sampling, *others: Sampling, vocabulary: int) -> Sampling:
    """Sampling without None: what was asked, else what the others say in their order, else what is usual.

    Raises InvalidInput for values that cannot be.
    """
    found = {
        name: next((value for each in (asked, *others) if (value := getattr(each, name)) is not None), usual)
        for name in _FIELDS
        for usual in (getattr(_USUAL, name),)
    }
    for name, (least, most) in _LIMITS.items():
        if not least <= found[name] <= most:
            msg = f"{name} is {found[name]}; it can be {least:g} to {most:g}"
            raise InvalidInput(msg, param=name)
    if found["mirostat"] == 1:
        msg = "models of transformers have mirostat 2, and no mirostat 1"
        raise InvalidInput(msg, param="mirostat")
    bias = asked.logit_bias or next((each.logit_bias for each in others if each.logit_bias), {})
    wrong = [id_ for id_ in bias if not 0 <= id_ < vocabulary]
    if wrong:
        msg = f"logit_bias has the token {wrong[0]}, and the model's ids are 0 to {vocabulary - 1}"
        raise InvalidInput(msg, param="logit_bias")
    seed = int(found["seed"])
    found["seed"] = secrets.randbits(62) if seed < 0 else seed % 2**62
    found["repeat_penalty"] = found["repeat_penalty"] or 1.0  # LocalAI's 0 is none
    return Sampling(**found, logit_bias=dict(bias))


_FIELDS = (
    *("temperature", "top_p", "top_k", "min_p", "typical_p", "seed", "presence_penalty", "frequency_penalty"),
    *("repeat_penalty", "repeat_last_n", "mirostat", "mirostat_tau", "mirostat_eta", "ignore_eos"),
)


def seeded(sampling: Sampling, choice: int) -> Sampling:
    """The sampling of a choice: each has a seed of its own."""
    return replace(sampling, seed=(sampling.seed or 0) + choice)


def tools_of(options: ChatOptions) -> tuple[Tool, ...]:
    """The tools that may be called. Raises InvalidInput for a choice of one that is not there."""
    choice = options.tool_choice
    if choice == "none":
        return ()
    if isinstance(choice, Named):
        found = tuple(tool for tool in options.tools if tool.name == choice.name)
        if not found:
            msg = f"tool_choice names {choice.name!r}, which is not among the tools"
            raise InvalidInput(msg, param="tool_choice")
        return found
    if choice == "required" and not options.tools:
        msg = "tool_choice is required, and there are no tools"
        raise InvalidInput(msg, param="tool_choice")
    return options.tools


def conversation(messages: Sequence[Message], tools: Sequence[Tool], *, told: bool) -> list[dict[str, Any]]:
    """Messages as chat templates take them; ``told``: the template does not know of tools, so the messages tell of them."""
    return [_message(each) for each in (told_of(messages, tools) if tools and told else messages)]


def told_of(messages: Sequence[Message], tools: Sequence[Tool]) -> Sequence[Message]:
    """Messages whose first, the system's, tells of the tools and of how they are called."""
    text = _TEXT.format("\n".join(json.dumps(each, ensure_ascii=False) for each in described(tools)))
    if messages and messages[0].role == "system":
        return (replace(messages[0], content=f"{messages[0].content}\n\n{text}"), *messages[1:])
    return (Message(role="system", content=text), *messages)


def described(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Tools as chat templates take them."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": dict(tool.parameters or {"type": "object", "properties": {}}),
            },
        }
        for tool in tools
    ]


def template_values(options: ChatOptions) -> dict[str, Any]:
    """The variables of the template that a request sets."""
    effort = options.reasoning_effort
    values: dict[str, Any] = {} if effort is None else {"enable_thinking": effort != "none"}
    if effort not in (None, "none"):
        values["reasoning_effort"] = effort
    return {**values, **options.template_kwargs}


def opened(prompt: str) -> str:
    """The mark of reasoning that a rendered prompt ends with, so that the model goes on within it; empty for none."""
    bare = prompt.rstrip()
    return next((mark for mark in REASONING if bare.endswith(mark)), "")


def _message(message: Message) -> dict[str, Any]:
    made: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.name is not None:
        made["name"] = message.name
    if message.tool_call_id is not None:
        made["tool_call_id"] = message.tool_call_id
    if message.reasoning is not None:
        made["reasoning_content"] = message.reasoning
    if message.tool_calls:
        made["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": _arguments(call.arguments)},
            }
            for call in message.tool_calls
        ]
    return made


def _arguments(text: str) -> Any:
    """Templates take an object; what is none, or is nested too deep to be read, stays as it is."""
    try:
        return json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        return text
