"""What a model that writes takes and gives: conversations and prompts in, pieces of text out as they come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Reason = Literal["stop", "length", "tool_calls"]
"""Why a choice ended: by itself or at a stop string, at the limit of tokens or of the context, or to have tools called."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model has made; ``arguments`` is the text of a JSON object."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What somebody said. ``role`` is one of system, user, assistant and tool; ``tool_call_id`` says which call a tool answers."""

    role: str
    content: str = ""
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that a model may call. ``parameters`` is the JSON schema of its arguments, None for none at all.

    A ``strict`` one is called with arguments that fit the schema.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] | None = None
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Named:
    """The tool that has to be called."""

    name: str


ToolChoice = Literal["auto", "none", "required"] | Named
"""Whether a model may, must not or must call a tool, or which it must call."""


@dataclass(frozen=True, slots=True)
class Format:
    """What a text has to be: any JSON object, JSON of a schema (``text`` is its JSON), or words of a GBNF grammar (``text``)."""

    kind: Literal["json_object", "json_schema", "grammar"]
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen. None is what the model's file says, else the engine's own way.

    ``temperature`` 0 takes the likeliest token. ``seed`` -1 is a new one each time. ``logit_bias`` adds to the logits of token ids.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    typical_p: float | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_penalty: float | None = None
    repeat_last_n: int | None = None
    mirostat: int | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    n_keep: int | None = None
    ignore_eos: bool | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateOptions:
    """What is the same for conversations and prompts.

    ``max_tokens`` None is what the model's file says, else up to the end of the context, as -1 is at any rate. ``stop`` are texts at which a choice ends, before them. ``logprobs`` is how many
    alternatives each token is told with, 0 only itself, None no log-probabilities at all.
    """

    n: int = 1
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    sampling: Sampling = Sampling()
    format: Format | None = None
    logprobs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatOptions(GenerateOptions):
    """How a conversation goes on.

    ``template_kwargs`` are variables of the model's Jinja template. ``reasoning_effort`` "none" asks for an answer without reasoning.
    """

    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    reasoning_effort: str | None = None
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteOptions(GenerateOptions):
    """How a prompt goes on.

    ``suffix`` is what comes behind the text that is wanted, for models that fill in the middle. With an ``instruction`` the prompt is a
    text that is to be written anew as the instruction says. A ``raw`` prompt goes to the model as it is: what its file has for prompts
    is not put around it.
    """

    suffix: str | None = None
    instruction: str | None = None
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token that could stand at a place; ``data`` are its bytes, of which several tokens may make one character."""

    text: str
    logprob: float
    data: bytes
    id: int | None = None


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token that was written, and the likeliest ones at its place, likeliest first."""

    token: Alternative
    top: tuple[Alternative, ...] = ()


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A part of the call with that number. The first of a call has its id and name; ``arguments`` of all of them make its JSON."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What a choice has more: text, reasoning or parts of calls, and the log-probabilities of the tokens that made it."""

    choice: int = 0
    text: str = ""
    reasoning: str = ""
    calls: tuple[CallPiece, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """A choice is whole; ``stop`` is the stop string that ended it, where the engine tells."""

    choice: int
    reason: Reason
    stop: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Tokens of a call, a prompt's once however many choices it has. ``cached`` of the prompt's were computed before.

    ``prompt_s`` and ``generation_s`` are the seconds that they took, 0 where the engine does not tell.
    """

    prompt_tokens: int
    completion_tokens: int
    cached: int = 0
    prompt_s: float = 0.0
    generation_s: float = 0.0


Event = Piece | Ended | Spent
"""What comes out: pieces, one Ended for each choice behind its last piece, and at last one Spent."""


class Chat(Protocol):
    """Goes on with a conversation."""

    def chat(self, messages: Sequence[Message], options: ChatOptions) -> AsyncGenerator[Event]:
        """What the model says; closing the generator stops it within a token.

        The call, or what comes out, raises InvalidInput for what the model cannot do, with a prompt that is too long among it, Overloaded, Unavailable, ForwardFailed.
        """
        ...


class Complete(Protocol):
    """Goes on with a text."""

    def complete(self, prompt: str | Sequence[int], options: CompleteOptions) -> AsyncGenerator[Event]:
        """What comes behind a text, or behind the model's own token ids; as `Chat.chat` otherwise."""
        ...
