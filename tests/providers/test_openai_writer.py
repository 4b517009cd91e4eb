"""Writers over a scripted server: events in order, choices merged, errors and ends where they happen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from textmill.contract import (
    Chat,
    ChatOptions,
    Complete,
    CompleteOptions,
    Ended,
    Event,
    Message,
    Piece,
    Sampling,
    Spent,
)
from textmill.errors import ForwardFailed, InvalidInput, Overloaded
from textmill.providers.openai_speech import COMPATIBLE, LLAMA_CPP, OLLAMA, Speech
from textmill.providers.openai_wire import Target, Wire
from textmill.providers.openai_writer import Writer
from textmill.testing.openai_server import Answer, Asked, Break, OpenAIServer, Stay, chunk, openai_server, saying

ASKED = [Message(role="user", content="hi")]


@asynccontextmanager
async def writing(
    script: Callable[[Asked], Answer], speech: Speech = COMPATIBLE
) -> AsyncIterator[tuple[Writer, OpenAIServer]]:
    async with openai_server(script) as server, Wire(Target(base_url=server.base_url, name="mill")) as wire:
        yield Writer(wire, speech, "m"), server


_CONTRACT: tuple[type[Chat], type[Complete]] = (Writer, Writer)  # mypy says whether it keeps that


async def test_a_chat_goes_out_and_comes_back() -> None:
    async with writing(lambda _: saying("The ", "mill", usage={"prompt_tokens": 4, "completion_tokens": 2})) as (
        writer,
        server,
    ):
        events = [each async for each in writer.chat(ASKED, ChatOptions())]
    assert events == [
        Piece(text="The "),
        Piece(text="mill"),
        Ended(0, "stop"),
        Spent(prompt_tokens=4, completion_tokens=2),
    ]
    assert server.asked[0].path == "/v1/chat/completions"
    assert server.bodies[0]["model"] == "m"


async def test_a_prompt_goes_out_and_comes_back() -> None:
    answer = Answer(steps=[chunk(text="a"), chunk(text="", reason="length")])
    async with writing(lambda _: answer) as (writer, server):
        events = [each async for each in writer.complete([1, 2], CompleteOptions(max_tokens=1))]
    assert events[:2] == [Piece(text="a"), Ended(0, "length")]
    assert (server.asked[0].path, server.bodies[0]["prompt"]) == ("/v1/completions", [1, 2])


async def test_what_the_server_lacks_is_refused_before_anything_is_sent() -> None:
    async with writing(lambda _: saying("a")) as (writer, server):
        with pytest.raises(InvalidInput, match="top_k"):
            await anext(writer.chat(ASKED, ChatOptions(sampling=Sampling(top_k=4))))
    assert not server.asked


async def test_an_answer_that_breaks_off_fails() -> None:
    async with writing(lambda _: Answer(steps=[chunk(text="a"), Break()])) as (writer, _):
        events = writer.chat(ASKED, ChatOptions())
        assert await anext(events) == Piece(text="a")
        with pytest.raises(ForwardFailed, match="broke off"):
            await anext(events)


async def test_closing_it_stops_the_server() -> None:
    async with writing(lambda _: Answer(steps=[chunk(text="a"), Stay()])) as (writer, server):
        async with aclosing(writer.chat(ASKED, ChatOptions())) as events:
            await anext(events)
        assert await asyncio.to_thread(server.asked[0].left.wait, 5)


async def test_one_request_has_all_choices_where_the_server_takes_n() -> None:
    answer = Answer(steps=[chunk(1, text="b", reason="stop"), chunk(0, text="a", reason="length")])
    async with writing(lambda _: answer, LLAMA_CPP) as (writer, server):
        events = [each async for each in writer.complete("T", CompleteOptions(n=2))]
    assert [each for each in events if isinstance(each, Ended)] == [Ended(1, "stop"), Ended(0, "length")]
    assert [body["n"] for body in server.bodies] == [2]


async def test_requests_are_merged_where_it_does_not() -> None:
    def script(asked: Asked) -> Answer:
        seed = asked.body["seed"]
        told = {"prompt_tokens": 5, "completion_tokens": seed, "prompt_tokens_details": {"cached_tokens": seed}}
        return saying(*(f"{seed}.{number} " for number in range(3)), reason="length", usage=told)

    async with writing(script, OLLAMA) as (writer, server):
        events: list[Event] = [e async for e in writer.chat(ASKED, ChatOptions(n=3, sampling=Sampling(seed=7)))]
    assert sorted(body["seed"] for body in server.bodies) == [7, 8, 9]
    assert all("n" not in body for body in server.bodies)
    for choice in range(3):
        texts = [each.text for each in events if isinstance(each, Piece) and each.choice == choice]
        assert "".join(texts) == "".join(f"{7 + choice}.{number} " for number in range(3))
        assert events.count(Ended(choice, "length")) == 1
    assert events[-1] == Spent(prompt_tokens=5, completion_tokens=24, cached=7)
    assert sum(isinstance(each, Spent) for each in events) == 1


async def test_the_first_error_ends_the_other_choices() -> None:
    async with writing(lambda _: Answer(), OLLAMA) as (writer, server):

        def script(_: Asked) -> Answer:
            if len(server.asked) < 3:
                return Answer(steps=[chunk(text="a"), Stay()])
            return Answer(status=429, body={"error": {"message": "enough"}})

        server.script = script
        with pytest.raises(Overloaded, match="enough"):
            [each async for each in writer.chat(ASKED, ChatOptions(n=3))]
        for asked in server.asked[:2]:
            assert await asyncio.to_thread(asked.left.wait, 5)


async def test_closing_ends_all_choices() -> None:
    async with writing(lambda _: Answer(steps=[chunk(text="a"), Stay()]), OLLAMA) as (writer, server):
        async with aclosing(writer.chat(ASKED, ChatOptions(n=3))) as events:
            for _ in range(3):
                assert isinstance(await anext(events), Piece)
        for asked in server.asked:
            assert await asyncio.to_thread(asked.left.wait, 5)


async def test_a_cancelled_reader_ends_all_choices() -> None:
    async with writing(lambda _: Answer(steps=[chunk(text="a"), Stay()]), OLLAMA) as (writer, server):
        seen: list[Event] = []
        all_began = asyncio.Event()

        async def read() -> None:
            async with aclosing(writer.chat(ASKED, ChatOptions(n=2))) as events:
                async for each in events:
                    seen.append(each)
                    if len(seen) == 2:
                        all_began.set()

        task = asyncio.create_task(read())
        await all_began.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for asked in server.asked:
            assert await asyncio.to_thread(asked.left.wait, 5)


async def test_many_streams_at_once_do_not_mix() -> None:
    def script(asked: Asked) -> Answer:
        return saying(*[asked.body["messages"][0]["content"]] * 50)

    async with writing(script) as (writer, _):

        async def one(number: int) -> str:
            events = writer.chat([Message(role="user", content=f"{number} ")], ChatOptions())
            return "".join([each.text async for each in events if isinstance(each, Piece)])

        texts = await asyncio.gather(*(one(number) for number in range(20)))
    assert texts == [f"{number} " * 50 for number in range(20)]
