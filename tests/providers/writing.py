from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textmill.contract import (
    ChatOptions,
    CompleteOptions,
    Ended,
    Event,
    Message,
    Piece,
    Sampling,
    Spent,
    TokenLogprob,
)
from textmill.folder.fields import Fields
from textmill.providers.causal import CausalModel
from textmill.providers.causal_opening import Place, open_causal

GREEDY = Sampling(temperature=0.0)
Open = Callable[..., CausalModel]


def opened(folder: Path, fields: Fields | None = None, **place: Any) -> CausalModel:
    """The model of a folder in float32, so that batches change nothing that is seen, on one thread, which others do not hold up."""
    return open_causal(
        Place(name="m", source="m", folder=folder, threads=1, **place), fields or Fields(dtype="float32")
    )


@dataclass
class Wrote:
    """What a call wrote, of one choice where there is one."""

    text: str = ""
    reasoning: str = ""
    calls: dict[int, list[str]] = field(default_factory=dict)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    ended: Ended | None = None
    spent: Spent | None = None
    pieces: int = 0

    @property
    def ids(self) -> list[int]:
        return [each.token.id if each.token.id is not None else -1 for each in self.logprobs]

    def take(self, event: Event) -> None:
        if isinstance(event, Ended):
            self.ended = event
        elif isinstance(event, Spent):
            self.spent = event
        else:
            self.pieces += 1
            self.text += event.text
            self.reasoning += event.reasoning
            self.logprobs += event.logprobs
            for call in event.calls:
                made = self.calls.setdefault(call.index, ["", ""])
                made[0] += call.name or ""
                made[1] += call.arguments


async def gathered(events: AsyncIterator[Event]) -> Wrote:
    wrote = Wrote()
    async for event in events:
        wrote.take(event)
    return wrote


async def choices(events: AsyncIterator[Event], count: int) -> list[Wrote]:
    made = [Wrote() for _ in range(count)]
    async for event in events:
        if isinstance(event, Spent):
            for each in made:
                each.take(event)
        else:
            made[event.choice].take(event)
    return made


async def complete(model: CausalModel, prompt: str | Sequence[int], **options: object) -> Wrote:
    """One completion, greedy unless it is said otherwise."""
    return await gathered(model.complete(prompt, CompleteOptions(**{"sampling": GREEDY, **options})))  # type: ignore[arg-type]


async def chat(model: CausalModel, *messages: Message | str, **options: object) -> Wrote:
    """One answer, greedy unless it is said otherwise; bare text is what a user says."""
    said = [each if isinstance(each, Message) else Message(role="user", content=each) for each in messages]
    return await gathered(model.chat(said, ChatOptions(**{"sampling": GREEDY, **options})))  # type: ignore[arg-type]


__all__ = ["GREEDY", "Open", "Piece", "Wrote", "chat", "choices", "complete", "gathered", "opened"]
