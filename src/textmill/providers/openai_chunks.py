"""The chunks of a stream of OpenAI's protocol as events: of chats and of completions, with what servers do differently."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from textmill.contract import Alternative, CallPiece, Ended, Event, Piece, Reason, Spent, TokenLogprob
from textmill.errors import ForwardFailed
from textmill.providers.openai_fields import Odd, count, finite, items, number, table, tables, text

_REASONS: Mapping[str, Reason] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}
_FAILED = ("error", "abort")


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
        """The events of a chunk.

        Raises ForwardFailed for a choice that was not asked for, one that the server gave up, and a field of a kind that it cannot be.
        """
        events: list[Event] = []
        try:
            for told in tables(chunk, "choices"):
                self._read_choice(told, events)
            usage, timings = table(chunk, "usage") or table(table(chunk, "x_groq"), "usage"), table(chunk, "timings")
            if usage or timings:
                self._count(usage, timings)
        except Odd as odd:
            msg = f"{self._server} {odd}"
            raise ForwardFailed(msg) from None
        return events

    def end(self) -> list[Event]:
        """The events that the server has left out, and what was spent. Raises ForwardFailed where a choice has nothing at all."""
        events: list[Event] = []
        for place, choice in enumerate(self._choices):
            if choice.ended:
                continue
            if not choice.begun:
                missing = f"gave no answer number {place + 1} of {len(self._choices)}" if place else "gave no answer"
                msg = f"{self._server} {missing}"
                raise ForwardFailed(msg)
            events.append(Ended(self._first + place, "tool_calls" if choice.calls else "stop"))
        spent = self._tally.spent if self._usage_of_each and self._last is not None else self._last or self._timed
        scored = sum(choice.tokens for choice in self._choices)
        events.append(spent or Spent(prompt_tokens=0, completion_tokens=scored))
        return events

    def _read_choice(self, told: Mapping[str, Any], events: list[Event]) -> None:
        place = count(told, "index")
        if place >= len(self._choices):
            msg = f"{self._server} gave an answer number {place + 1}, and was asked for {len(self._choices)}"
            raise ForwardFailed(msg)
        choice = self._choices[place]
        choice.begun = True
        if not choice.ended:
            piece = self._piece(told, choice, self._first + place)
            if piece is not None:
                events.append(piece)
            if told.get("finish_reason"):
                events.append(self._ended(told, choice, self._first + place))

    def _piece(self, told: Mapping[str, Any], choice: _Choice, place: int) -> Piece | None:
        """What the choice has more; None where it is nothing."""
        delta = table(told, "delta")
        said, reasoning = _said(told, delta)
        calls, logprobs = tables(delta, "tool_calls"), table(told, "logprobs")
        if not calls and delta.get("function_call"):
            calls = [{"index": 0, "function": delta["function_call"]}]
        if not (said or reasoning or calls or logprobs):
            return None
        if not calls and not logprobs:
            return Piece(choice=place, text=said, reasoning=reasoning)
        scored = () if not logprobs or self._top is None else logprobs_of(logprobs, self._top)
        choice.tokens += len(scored)
        pieces = tuple(_call(each, choice) for each in calls)
        if not (said or reasoning or scored or pieces):
            return None
        return Piece(choice=place, text=said, reasoning=reasoning, calls=pieces, logprobs=scored)

    def _ended(self, told: Mapping[str, Any], choice: _Choice, place: int) -> Ended:
        said = text(told, "finish_reason")
        if said in _FAILED:
            msg = f"{self._server} gave up in the middle of its answer"
            raise ForwardFailed(msg)
        choice.ended = True
        reason = _REASONS.get(said, "stop")
        if reason == "stop" and choice.calls:  # as OpenAI says where a tool was named
            reason = "tool_calls"
        stop = told.get("stop_reason")  # vLLM's; a number is the id of a token
        return Ended(place, reason, stop if isinstance(stop, str) and reason == "stop" else None)

    def _count(self, usage: Mapping[str, Any], timings: Mapping[str, Any]) -> None:
        prompt_s, generation_s = number(timings, "prompt_ms") / 1000, number(timings, "predicted_ms") / 1000
        if not usage:
            cached = count(timings, "cache_n")
            self._timed = Spent(
                prompt_tokens=count(timings, "prompt_n") + cached,
                completion_tokens=count(timings, "predicted_n"),
                cached=cached,
                prompt_s=prompt_s,
                generation_s=generation_s,
            )
            return
        cached = count(table(usage, "prompt_tokens_details"), "cached_tokens")
        self._last = Spent(
            prompt_tokens=count(usage, "prompt_tokens"),
            completion_tokens=count(usage, "completion_tokens"),
            cached=cached or count(usage, "prompt_cache_hit_tokens"),
            prompt_s=prompt_s,
            generation_s=generation_s,
        )
        if self._usage_of_each:
            self._tally.add(self._last)


def _said(told: Mapping[str, Any], delta: Mapping[str, Any]) -> tuple[str, str]:
    """The text and the reasoning of a choice. Some servers tell text as parts."""
    if isinstance(delta.get("content"), list) and not told.get("text"):
        return _parts(tables(delta, "content"))
    said = text(told, "text") or text(delta, "content") or text(delta, "refusal")
    return said, text(delta, "reasoning_content") or text(delta, "reasoning")


def _call(told: Mapping[str, Any], choice: _Choice) -> CallPiece:
    """A part of a call. Some servers leave out numbers, or give all calls the same; then a new id is a new call."""
    function = table(told, "function")
    given, name, arguments = text(told, "id"), text(function, "name"), _arguments(function)
    if told.get("index") is not None:
        place = count(told, "index")
    else:
        place = choice.calls if given or name else max(choice.calls - 1, 0)
    new = place not in choice.numbers or (bool(given and name) and choice.ids[place] != given)
    if not new:
        return CallPiece(choice.numbers[place], arguments=arguments)
    made, choice.calls = choice.calls, choice.calls + 1
    choice.numbers[place], choice.ids[place] = made, given
    return CallPiece(made, given or f"call_{uuid.uuid4().hex[:24]}", name, arguments)


def _arguments(function: Mapping[str, Any]) -> str:
    """The JSON of a call's arguments, or a part of it; some servers send the object itself."""
    value = function.get("arguments")
    return orjson.dumps(value).decode() if value and isinstance(value, dict) else text(function, "arguments")


def _parts(parts: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Text and reasoning of a content in parts, as Mistral's reasoning models send it."""
    said, reasoning = "", ""
    for part in parts:
        if part.get("type") == "thinking":
            reasoning += "".join(text(each, "text") for each in tables(part, "thinking"))
        else:
            said += text(part, "text")
    return said, reasoning


def logprobs_of(told: Mapping[str, Any], top: int) -> tuple[TokenLogprob, ...]:
    """The log-probabilities of a chunk, in the shape of chats or of completions, with at most ``top`` alternatives. Raises Odd."""
    if "tokens" in told:
        return _legacy_logprobs(told, top)
    return tuple(
        TokenLogprob(_alternative(each), tuple(_alternative(other) for other in tables(each, "top_logprobs")[:top]))
        for each in tables(told, "content")
    )


def _legacy_logprobs(told: Mapping[str, Any], top: int) -> tuple[TokenLogprob, ...]:
    tokens, values = items(told, "tokens"), items(told, "token_logprobs")
    others = items(told, "top_logprobs") or [None] * len(tokens)
    made = []
    for token, value, beside in zip(tokens, values, others, strict=False):
        found = table({"top_logprobs": beside}, "top_logprobs")
        scored = [(each, finite(logprob, "top_logprobs")) for each, logprob in found.items()]
        likeliest = sorted(scored, key=lambda pair: -pair[1])[:top]
        word = text({"tokens": token}, "tokens")
        made.append(
            TokenLogprob(
                Alternative(word, 0.0 if value is None else finite(value, "token_logprobs"), word.encode()),
                tuple(Alternative(each, logprob, each.encode()) for each, logprob in likeliest),
            )
        )
    return tuple(made)


def _alternative(told: Mapping[str, Any]) -> Alternative:
    word, data = text(told, "token"), told.get("bytes")
    try:
        spelt = word.encode() if data is None else bytes(items(told, "bytes"))
    except (TypeError, ValueError):
        raise Odd(name="bytes", wanted="a list of bytes", value=data) from None
    return Alternative(word, number(told, "logprob"), spelt, None if told.get("id") is None else count(told, "id"))
