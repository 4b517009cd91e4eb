"""The chunks of a stream of OpenAI's protocol as events: of chats and of completions, with what servers do differently."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from textmill.contract import Alternative, CallPiece, Ended, Event, Piece, Reason, Spent, TokenLogprob
from textmill.errors import ForwardFailed

_REASONS: Mapping[str, Reason] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}
_FAILED = ("error", "abort")
_NONE: Mapping[str, Any] = {}


@dataclass(slots=True)
class Tally:
    """Counts the tokens of a call, told once or by each choice: a prompt's once, those that were written in sum."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached: int | None = None
    prompt_s: float = 0.0
    generation_s: float = 0.0

    def add(self, spent: Spent) -> None:
        """One more choice, or all of them."""
        self.prompt_tokens = max(self.prompt_tokens, spent.prompt_tokens)
        self.completion_tokens += spent.completion_tokens
        self.cached = spent.cached if self.cached is None else min(self.cached, spent.cached)
        self.prompt_s = max(self.prompt_s, spent.prompt_s)
        self.generation_s = max(self.generation_s, spent.generation_s)

    @property
    def spent(self) -> Spent:
        """All of it."""
        return Spent(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cached=self.cached or 0,
            prompt_s=self.prompt_s,
            generation_s=self.generation_s,
        )


@dataclass(slots=True)
class _Choice:
    """What was seen of a choice: the ids of its calls by the server's numbers, and ours."""

    ids: dict[int, str] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)
    calls: int = 0
    tokens: int = 0
    ended: bool = False
    begun: bool = False


class ChunkReader:
    """Reads one stream with ``n`` choices, whose first has the number ``first`` to its caller. ``top`` is how many alternatives are told.

    A choice without an end gets one where the stream itself ended properly. Where the server tells no usage, tokens are those that its
    timings or its log-probabilities have, else 0: chunks are not tokens.
    """

    def __init__(self, server: str, n: int, *, top: int | None, usage_of_each: bool, first: int = 0) -> None:
        self._server = server
        self._top = top
        self._first = first
        self._choices = [_Choice() for _ in range(n)]
        self._usage_of_each = usage_of_each
        self._tally = Tally()
        self._last: Spent | None = None
        self._timed: Spent | None = None

    def read(self, chunk: Mapping[str, Any]) -> list[Event]:
        """The events of a chunk. Raises ForwardFailed for a choice that was not asked for, or one that the server gave up."""
        events: list[Event] = []
        for told in chunk.get("choices") or ():
            self._read_choice(told, events)
        usage = chunk.get("usage") or (chunk.get("x_groq") or _NONE).get("usage")
        timings = chunk.get("timings")
        if usage or timings:
            self._count(usage, timings or _NONE)
        return events

    def end(self) -> list[Event]:
        """The events that the server has left out, and what was spent. Raises ForwardFailed where a choice has nothing at all."""
        events: list[Event] = []
        for number, choice in enumerate(self._choices):
            if choice.ended:
                continue
            if not choice.begun:
                missing = f"gave no answer number {number + 1} of {len(self._choices)}" if number else "gave no answer"
                msg = f"{self._server} {missing}"
                raise ForwardFailed(msg)
            events.append(Ended(self._first + number, "tool_calls" if choice.calls else "stop"))
        spent = self._tally.spent if self._usage_of_each and self._last is not None else self._last or self._timed
        counted = sum(choice.tokens for choice in self._choices)
        events.append(spent or Spent(prompt_tokens=0, completion_tokens=counted))
        return events

    def _read_choice(self, told: Mapping[str, Any], events: list[Event]) -> None:
        number = told.get("index") or 0
        if not 0 <= number < len(self._choices):
            msg = f"{self._server} gave an answer number {number + 1}, and was asked for {len(self._choices)}"
            raise ForwardFailed(msg)
        choice = self._choices[number]
        choice.begun = True
        if not choice.ended:
            piece = self._piece(told, choice, self._first + number)
            if piece is not None:
                events.append(piece)
            if told.get("finish_reason"):
                events.append(self._ended(told, choice, self._first + number))

    def _piece(self, told: Mapping[str, Any], choice: _Choice, number: int) -> Piece | None:
        """What the choice has more; None where it is nothing."""
        delta = told.get("delta") or _NONE
        text: Any = told.get("text") or delta.get("content") or delta.get("refusal") or ""
        reasoning: Any = delta.get("reasoning_content") or delta.get("reasoning") or ""
        calls = delta.get("tool_calls")
        logprobs = told.get("logprobs")
        if not isinstance(text, str):
            text, reasoning = _parts(text)
        if not calls and delta.get("function_call"):
            calls = [{"index": 0, "function": delta["function_call"]}]
        if not (text or reasoning or calls or logprobs):
            return None
        if not calls and not logprobs:
            return Piece(choice=number, text=text, reasoning=reasoning)
        scored = () if not logprobs or self._top is None else logprobs_of(logprobs, self._top)
        choice.tokens += len(scored)
        pieces = tuple(_call(each, choice) for each in calls or ())
        if not (text or reasoning or scored or pieces):
            return None
        return Piece(choice=number, text=text, reasoning=reasoning, calls=pieces, logprobs=scored)

    def _ended(self, told: Mapping[str, Any], choice: _Choice, number: int) -> Ended:
        said = told["finish_reason"]
        if said in _FAILED:
            msg = f"{self._server} gave up in the middle of its answer"
            raise ForwardFailed(msg)
        choice.ended = True
        reason = _REASONS.get(said, "stop")
        if reason == "stop" and choice.calls:  # as OpenAI says where a tool was named
            reason = "tool_calls"
        stop = told.get("stop_reason")  # vLLM's; a number is the id of a token
        return Ended(number, reason, stop if isinstance(stop, str) and reason == "stop" else None)

    def _count(self, usage: Mapping[str, Any] | None, timings: Mapping[str, Any]) -> None:
        prompt_s, generation_s = timings.get("prompt_ms", 0) / 1000, timings.get("predicted_ms", 0) / 1000
        if usage is None:
            cached = timings.get("cache_n", 0)
            self._timed = Spent(
                prompt_tokens=timings.get("prompt_n", 0) + cached,
                completion_tokens=timings.get("predicted_n", 0),
                cached=cached,
                prompt_s=prompt_s,
                generation_s=generation_s,
            )
            return
        details = usage.get("prompt_tokens_details") or _NONE
        self._last = Spent(
            prompt_tokens=usage.get("prompt_tokens") or 0,
            completion_tokens=usage.get("completion_tokens") or 0,
            cached=details.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0,
            prompt_s=prompt_s,
            generation_s=generation_s,
        )
        if self._usage_of_each:
            self._tally.add(self._last)


def _call(told: Mapping[str, Any], choice: _Choice) -> CallPiece:
    """A part of a call. Some servers leave out numbers, or give all calls the same; then a new id is a new call."""
    function = told.get("function") or _NONE
    given, name = told.get("id") or "", function.get("name") or ""
    place = told.get("index")
    if place is None:
        place = choice.calls if given or name else max(choice.calls - 1, 0)
    new = place not in choice.numbers or (bool(given and name) and choice.ids[place] != given)
    arguments = function.get("arguments") or ""
    if not isinstance(arguments, str):
        arguments = orjson.dumps(arguments).decode()
    if not new:
        return CallPiece(choice.numbers[place], arguments=arguments)
    number, choice.calls = choice.calls, choice.calls + 1
    choice.numbers[place], choice.ids[place] = number, given
    return CallPiece(number, given or f"call_{uuid.uuid4().hex[:24]}", name, arguments)


def _parts(parts: Any) -> tuple[str, str]:
    """Text and reasoning of a content in parts, as Mistral's reasoning models send it."""
    text, reasoning = "", ""
    for part in parts if isinstance(parts, list) else ():
        if part.get("type") == "thinking":
            reasoning += "".join(each.get("text") or "" for each in part.get("thinking") or ())
        else:
            text += part.get("text") or ""
    return text, reasoning


def logprobs_of(told: Mapping[str, Any], top: int) -> tuple[TokenLogprob, ...]:
    """The log-probabilities of a chunk, in the shape of chats or of completions, with at most ``top`` alternatives."""
    if "tokens" in told:
        return _legacy_logprobs(told, top)
    return tuple(
        TokenLogprob(_alternative(each), tuple(_alternative(other) for other in (each.get("top_logprobs") or ())[:top]))
        for each in told.get("content") or ()
    )


def _legacy_logprobs(told: Mapping[str, Any], top: int) -> tuple[TokenLogprob, ...]:
    tokens, values = told["tokens"] or (), told.get("token_logprobs") or ()
    others = told.get("top_logprobs") or [None] * len(tokens)
    made = []
    for token, value, beside in zip(tokens, values, others, strict=False):
        likeliest = sorted((beside or {}).items(), key=lambda pair: -pair[1])[:top]
        made.append(
            TokenLogprob(
                Alternative(token, value or 0.0, token.encode()),
                tuple(Alternative(text, logprob, text.encode()) for text, logprob in likeliest),
            )
        )
    return tuple(made)


def _alternative(told: Mapping[str, Any]) -> Alternative:
    text, data = told.get("token") or "", told.get("bytes")
    return Alternative(text, told.get("logprob") or 0.0, text.encode() if data is None else bytes(data), told.get("id"))
