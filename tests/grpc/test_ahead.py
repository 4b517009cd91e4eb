from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from textmill.contract import Embeddings, EmbedOptions, MultiEmbeddings, TextOptions
from textmill.errors import EmptyInput, ForwardFailed, InvalidInput
from textmill.grpc.ahead import Ahead, Limits
from textmill.grpc.embed import Dense, Tokens
from textmill.grpc.messages import EmbedRequest
from textmill.testing.served import RecordingModel

ROOMY = Limits(messages=100, size=1 << 20)


class Source:
    """Messages as a client sends them; counts how many were taken."""

    def __init__(self, texts: Iterable[str | dict[str, Any]]) -> None:
        self.taken = 0
        self._texts = texts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for text in self._texts:
            self.taken += 1
            fields = text if isinstance(text, dict) else {"inputs": text}
            yield EmbedRequest(**fields).SerializeToString()


class Gated:
    """A model's verb that answers when the gate is open; ``bad`` texts fail."""

    def __init__(self) -> None:
        self.model = RecordingModel()
        self.gate = asyncio.Event()
        self.gate.set()
        self.bad: dict[str, type[Exception]] = {}
        self.cancelled = 0

    async def ask(self, texts: Sequence[str], options: EmbedOptions) -> Embeddings:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        for index, text in enumerate(texts):
            if (error := self.bad.get(text)) is not None:
                raise InvalidInput(f"input {index} is bad", index=index) if error is InvalidInput else error(text)
        return await self.model.embed_inputs(texts, options)

    async def ask_tokens(self, texts: Sequence[str], options: TextOptions) -> MultiEmbeddings:
        return await self.model.embed_tokens_inputs(texts, options)

    @property
    def groups(self) -> list[list[Any]]:
        return [texts for texts, _ in self.model.calls]


@pytest.fixture
def gated() -> Gated:
    return Gated()


async def replied(source: Source, gated: Gated, limits: Limits = ROOMY) -> tuple[list[str], Exception | None]:
    texts: list[str] = []
    ahead = Ahead(aiter(source), Dense(), gated.ask, limits)
    try:
        async with aclosing(ahead.replies()) as replies:
            async for reply in replies:
                texts.append(reply.asked.input)  # noqa: PERF401 - what came before an error counts
    except Exception as error:  # noqa: BLE001 - that is the answer
        return texts, error
    return texts, None


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_fast_stream_is_asked_in_groups_and_answered_in_order(gated: Gated) -> None:
    texts = [f"text {i}" for i in range(60)]
    gated.gate.clear()
    task = asyncio.create_task(replied(Source(texts), gated))
    await settle()
    gated.gate.set()

    assert await task == (texts, None)
    assert len(gated.groups) <= 4
    assert [text for group in gated.groups for text in group] == texts


async def test_a_lone_message_does_not_wait_for_others(gated: Gated) -> None:
    more = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield EmbedRequest(inputs="first").SerializeToString()
        await more.wait()

    ahead = Ahead(slow(), Dense(), gated.ask, ROOMY)
    async with aclosing(ahead.replies()) as replies:
        assert (await anext(replies)).asked.input == "first"
        more.set()
        with pytest.raises(StopAsyncIteration):
            await anext(replies)


async def test_messages_with_different_options_are_asked_apart(gated: Gated) -> None:
    messages: list[dict[str, Any]] = [{"inputs": str(i), "truncate": i >= 3} for i in range(6)]

    texts, error = await replied(Source(messages), gated)

    assert (texts, error) == (["0", "1", "2", "3", "4", "5"], None)
    assert all(len({options.truncate}) == 1 for _, options in gated.model.calls if isinstance(options, EmbedOptions))
    assert not any("2" in group and "3" in group for group in gated.groups)


@pytest.mark.parametrize("limits", [Limits(5, 1 << 20), Limits(100, 20)], ids=["messages", "bytes"])
async def test_no_more_is_taken_in_than_may_be_held(limits: Limits, gated: Gated) -> None:
    source = Source(["ab"] * 50)  # four bytes each
    gated.gate.clear()
    task = asyncio.create_task(replied(source, gated, limits))
    await settle()

    assert source.taken <= 6
    gated.gate.set()
    assert await task == (["ab"] * 50, None)


async def test_answers_that_are_not_fetched_do_not_pile_up(gated: Gated) -> None:
    ahead = Ahead(aiter(Source(str(i) for i in range(90))), Tokens(), gated.ask_tokens, ROOMY)
    async with aclosing(ahead.replies()) as replies:
        await anext(replies)
        await settle()

        assert len(gated.groups) <= 4
        assert len([reply async for reply in replies]) == 89


async def test_a_message_larger_than_what_may_be_held_is_taken_alone(gated: Gated) -> None:
    assert await replied(Source(["a" * 100] * 3), gated, Limits(100, 10)) == (["a" * 100] * 3, None)


@pytest.mark.parametrize("kind", [InvalidInput, ForwardFailed])
@pytest.mark.parametrize("place", [0, 1, 17, 39])
async def test_a_failing_message_ends_the_stream_after_the_answers_before_it(
    kind: type[Exception], place: int, gated: Gated
) -> None:
    texts = [f"text {i}" for i in range(40)]
    gated.bad = {texts[place]: kind}
    gated.gate.clear()
    task = asyncio.create_task(replied(Source(texts), gated))
    await settle()
    gated.gate.set()

    answered, error = await task

    assert answered == texts[:place]
    assert isinstance(error, kind)
    if kind is InvalidInput:
        assert str(error) == f"message {place} is bad"  # its place in a group says nothing to the caller


async def test_a_message_that_cannot_be_read_ends_the_stream_after_the_answers_before_it(gated: Gated) -> None:
    answered, error = await replied(Source(["a", "b", "", "c"]), gated)

    assert answered == ["a", "b"]
    assert isinstance(error, EmptyInput)


async def test_a_bug_is_not_hidden(gated: Gated) -> None:
    gated.bad = {"b": ZeroDivisionError}

    _, error = await replied(Source(["a", "b"]), gated)

    assert isinstance(error, ZeroDivisionError)


async def test_closing_cancels_what_is_under_way(gated: Gated) -> None:
    gated.gate.clear()
    task = asyncio.create_task(replied(Source(str(i) for i in range(50)), gated, Limits(10, 1 << 20)))
    await settle()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert gated.cancelled == 2


async def test_nothing_is_answered_with_nothing(gated: Gated) -> None:
    assert await replied(Source([]), gated) == ([], None)
    assert gated.groups == []
