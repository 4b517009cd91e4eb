"""What has been written so far, choice by choice: for answers that are sent as a whole."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field

from textmill.contract import CallPiece, Ended, Event, Piece, Reason, Spent, TokenLogprob, ToolCall
from textmill.http.service import Model, Service

_NOTHING = Spent(prompt_tokens=0, completion_tokens=0)


@dataclass(slots=True)
class Choice:
    """A choice as far as it has been written."""

    texts: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    reason: Reason = "stop"
    _calls: dict[int, list[CallPiece]] = field(default_factory=dict)

    def take(self, piece: Piece) -> None:
        """Add what came."""
        if piece.text:
            self.texts.append(piece.text)
        if piece.reasoning:
            self.thoughts.append(piece.reasoning)
        self.logprobs.extend(piece.logprobs)
        for call in piece.calls:
            self._calls.setdefault(call.index, []).append(call)

    @property
    def text(self) -> str:
        """All text."""
        return "".join(self.texts)

    @property
    def reasoning(self) -> str:
        """All reasoning."""
        return "".join(self.thoughts)

    @property
    def calls(self) -> list[ToolCall]:
        """The calls, each put together from its pieces."""
        return [_whole(pieces) for _, pieces in sorted(self._calls.items())]


@dataclass(slots=True)
class Written:
    """All choices of a call, and what they took."""

    choices: list[Choice]
    spent: Spent = _NOTHING

    def take(self, event: Event) -> None:
        """Add what came."""
        if isinstance(event, Piece):
            self.choices[event.choice].take(event)
        elif isinstance(event, Ended):
            self.choices[event.choice].reason = event.reason
        else:
            self.spent = event


async def written(events: AsyncGenerator[Event], choices: int) -> Written:
    """All that comes, once it is whole. Closed before, it closes the events."""
    made = Written([Choice() for _ in range(choices)])
    async with aclosing(events):
        async for event in events:
            made.take(event)
    return made


async def watched(service: Service, model: Model, events: AsyncGenerator[Event]) -> AsyncGenerator[Event]:
    """Events of a model as they come, with one of the places of those that may compute at once, and counted. Raises Overloaded."""
    with service.place():
        service.note(model)
        name, telemetry = model.info.name, service.telemetry
        began, started = time.monotonic(), time.perf_counter()
        first = None
        async with aclosing(events):
            async for event in events:
                if first is None:
                    first = time.perf_counter()
                    telemetry.observe_first_piece(name, first - started)
                if isinstance(event, Ended):
                    telemetry.observe_choice(name, event)
                elif isinstance(event, Spent):
                    telemetry.observe_written(name, event, began, first - started, time.perf_counter() - first)
                yield event


def _whole(pieces: Iterable[CallPiece]) -> ToolCall:
    id_ = name = ""
    arguments = []
    for piece in pieces:
        id_, name = id_ or piece.id or "", name or piece.name or ""
        arguments.append(piece.arguments)
    return ToolCall(id_, name, "".join(arguments) or "{}")
