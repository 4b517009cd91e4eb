"""What prompts are made of: messages, tools and their calls, and the texts of a model's templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

_V = TypeVar("_V")


def _nothing() -> Mapping[str, _V]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call that the assistant made; ``arguments`` is the JSON as it was written."""

    id: str = ""
    name: str
    arguments: str = "{}"
    type: str = "function"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message of a conversation: its text, without what is not text.

    ``name`` is that of the tool or the person that speaks. ``function_call`` is the older form of a call, as JSON says it.
    """

    role: str
    content: str = ""
    name: str = ""
    function_call: Mapping[str, object] | None = None
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the model may call; ``parameters`` is a JSON schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, object] | None = None
    strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Messages and what belongs to them.

    ``tools`` are shown to templates; ``calling`` says whether the model may call them now, ``grammar`` whether a grammar will
    hold its answer to a form. ``metadata`` are the request's.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    calling: bool = True
    grammar: bool = False
    reasoning_effort: str = ""
    metadata: Mapping[str, str] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Templates:
    """The texts of a model's templates, of `.tmpl` files their content; None or an empty text where it has none.

    ``every`` is the text of the file beside the weights, for all but ``chat_message`` where there is no other. ``roles`` are the
    prefixes of roles, ``join`` what is between messages, ``system_prompt`` the model's own.
    """

    chat: str | None = None
    chat_message: str | None = None
    completion: str | None = None
    edit: str | None = None
    function: str | None = None
    every: str | None = None
    join: str = "\n"
    roles: Mapping[str, str] = field(default_factory=_nothing)
    system_prompt: str = ""
