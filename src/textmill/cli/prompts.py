"""Many prompts: read from lines, answered as many at once as the model computes together, written in order as objects."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import orjson

from textmill.cli.lines import lines
from textmill.cli.progress import progress
from textmill.cli.vectors import Sink
from textmill.cli.writing import Opened
from textmill.contract import CompleteOptions, Ended, Event, Piece, Spent
from textmill.errors import ForwardFailed, InvalidInput, Overloaded, WrongTask

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt, with an ``id`` where its line has one."""

    prompt: str
    options: CompleteOptions
    id: Any = None


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of JSON; what it says goes before the flags."""

    prompt: str
    id: Any = None
    n: int | None = None
    max_tokens: int | None = None
    stop: str | list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None


def prompts(files: Sequence[str], options: CompleteOptions, *, plain: bool) -> tuple[Asked, ...]:
    """The prompts of all lines, whose texts are ``plain`` or JSON. Raises InvalidInput, with the line's number, for one that is neither."""
    return tuple(
        Asked(text, options) if plain else _read(text, number, options)
        for number, (text, _) in enumerate(lines(files), 1)
        if plain or text.strip()
    )


def answer_all(opened: Opened, asked: Sequence[Asked], sink: Sink, *, bar: bool) -> int:
    """Write an object for each prompt, in order; how many have an error in place of a text.

    Raises what keeps the model from answering any: Unavailable, WrongTask.
    """
    with progress("complete", len(asked), bar=bar) as advance:
        failed = 0

        def write(record: dict[str, Any]) -> None:
            nonlocal failed
            failed += "error" in record
            sink.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
            sink.flush()
            advance(1, 1)

        opened.runner.run(_answer_all(opened, asked, write))
    return failed


async def _answer_all(opened: Opened, asked: Sequence[Asked], write: Callable[[dict[str, Any]], None]) -> None:
    under_way: deque[asyncio.Task[dict[str, Any]]] = deque()
    places = asyncio.Semaphore(opened.together)
    try:
        for index, each in enumerate(asked):
            under_way.append(asyncio.create_task(_answer(opened, index, each, places)))
            if len(under_way) > 2 * opened.together:  # those behind a slow one go on meanwhile
                write(await under_way[0])
                under_way.popleft()
        while under_way:
            write(await under_way[0])
            under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _answer(opened: Opened, index: int, asked: Asked, places: asyncio.Semaphore) -> dict[str, Any]:
    head = {"index": index} if asked.id is None else {"index": index, "id": asked.id}
    async with places:
        for last in (*[False] * (_TRIES - 1), True):
            try:
                return head | await _written(opened, asked)
            except WrongTask:
                raise
            except Overloaded as error:
                if last:
                    return head | {"error": str(error)}
                await asyncio.sleep(error.retry_after)
            except (InvalidInput, ForwardFailed) as error:
                return head | {"error": str(error)}
    raise AssertionError  # the last try returns


@dataclass(slots=True)
class _Choice:
    texts: list[str] = field(default_factory=list)
    reason: str = "stop"


async def _written(opened: Opened, asked: Asked) -> dict[str, Any]:
    choices = [_Choice() for _ in range(asked.options.n)]
    spent = Spent(prompt_tokens=0, completion_tokens=0)
    async with aclosing(opened.model.complete(asked.prompt, asked.options)) as events:
        async for event in events:
            spent = _take(event, choices) or spent
    made = [{"text": "".join(choice.texts), "finish_reason": choice.reason} for choice in choices]
    usage = {
        "prompt_tokens": spent.prompt_tokens,
        "completion_tokens": spent.completion_tokens,
        "total_tokens": spent.prompt_tokens + spent.completion_tokens,
    }
    return {**(made[0] if len(made) == 1 else {"choices": made}), "usage": usage}


def _take(event: Event, choices: Sequence[_Choice]) -> Spent | None:
    if isinstance(event, Piece):
        choices[event.choice].texts.append(event.text)
    elif isinstance(event, Ended):
        choices[event.choice].reason = event.reason
    else:
        return event
    return None


def _read(text: str, number: int, options: CompleteOptions) -> Asked:
    try:
        line = msgspec.json.decode(text, type=str | _Line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"line {number} is no prompt as JSON: {str(error).replace('`', '')}"
        raise InvalidInput(msg) from None
    if isinstance(line, str):
        return Asked(line, options)
    given = {name: value for name in ("n", "max_tokens") if (value := getattr(line, name)) is not None}
    if any(value < 1 for value in given.values()):
        msg = f"line {number}: n and max_tokens are 1 or more"
        raise InvalidInput(msg)
    if line.stop is not None:
        given["stop"] = (line.stop,) if isinstance(line.stop, str) else tuple(line.stop)
    sampling = {name: value for name in ("temperature", "top_p", "seed") if (value := getattr(line, name)) is not None}
    return Asked(line.prompt, replace(options, sampling=replace(options.sampling, **sampling), **given), line.id)
