"""Models on servers of OpenAI's protocol: their verbs, and answers that are wrong."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textmill.contract import ChatOptions, Chunking, CompleteOptions, EmbedOptions, Ended, Message, Piece, RerankOptions
from textmill.errors import ConfigInvalid, ForwardFailed, InvalidInput, TextmillError, Unavailable, WrongTask
from textmill.folder.model import ModelFile
from textmill.folder.scan import scan
from textmill.providers.remote import open_remote
from textmill.providers.remote_model import RemoteModel
from textmill.testing.openai_server import Answer, Asked, OpenAIServer, Stay, chunk, openai_server, saying

EVERYTHING = "[chat, completion, embeddings, rerank]"


def vector(item: Any) -> list[float]:
    return [float(len(item)), 1.0, 2.0, 3.0]


def script(asked: Asked) -> Answer:
    """Embeds by lengths, ranks by lengths, and says the last message or prompt."""
    if asked.path.endswith("/embeddings"):
        items = asked.body["input"]
        data = [{"index": place, "embedding": vector(item)} for place, item in enumerate(items)]
        return Answer(body={"data": data[::-1], "usage": {"prompt_tokens": 5, "total_tokens": 5}})
    if asked.path.endswith("/rerank"):
        results = [{"index": place, "relevance_score": len(each)} for place, each in enumerate(asked.body["documents"])]
        return Answer(body={"results": results[::-1], "usage": {"total_tokens": 7}})
    if asked.path.endswith("/chat/completions"):
        return saying(asked.body["messages"][-1]["content"])
    return Answer(steps=[chunk(text=asked.body["prompt"], reason="stop")])


def file_of(
    folder: Path, url: str, *, usecases: str = EVERYTHING, options: str = "", backend: str = "remote"
) -> ModelFile:
    (folder / "m.yaml").write_text(
        f"name: m\nbackend: {backend}\nknown_usecases: {usecases}\nparameters: {{model: there}}\noptions: ['base_url:{url}'{options}]\n"
    )
    folder_ = scan(folder)
    assert folder_.problems == ()
    return folder_.files[0]


@asynccontextmanager
async def opened(
    folder: Path, answer: Callable[[Asked], Answer] = script, key: str = "", **file: str
) -> AsyncIterator[tuple[RemoteModel, OpenAIServer]]:
    async with openai_server(answer) as server:
        model = await asyncio.to_thread(open_remote, file_of(folder, server.base_url, **file), lambda _: key)
        try:
            yield model, server
        finally:
            model.close(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)


async def test_what_it_can_do_is_what_its_file_says(tmp_path: Path) -> None:
    async with opened(tmp_path) as (model, server):
        assert model.info.tasks == ("embed", "rerank", "chat", "complete")
        assert (model.info.dimensions, model.info.runtime, model.ready) == (4, "remote", True)
        assert len(server.asked) == 1
    assert not model.ready


async def test_a_model_that_writes_is_not_tried(tmp_path: Path) -> None:
    async with opened(tmp_path, usecases="[chat]") as (model, server):
        assert not server.asked
        with pytest.raises(WrongTask, match="cannot embed; it can chat"):
            await model.embed_inputs(["a"], EmbedOptions())
        with pytest.raises(WrongTask, match="cannot complete"):
            await anext(model.complete("a", CompleteOptions()))


async def test_it_chats_and_completes(tmp_path: Path) -> None:
    async with opened(tmp_path) as (model, server):
        events = [each async for each in model.chat([Message(role="user", content="hi")], ChatOptions())]
        assert events[:2] == [Piece(text="hi"), Ended(0, "stop")]
        events = [each async for each in model.complete("T", CompleteOptions())]
        assert events[0] == Piece(text="T")
        assert server.bodies[-1]["model"] == "there"


async def test_a_text_is_written_anew_by_a_conversation(tmp_path: Path) -> None:
    async with opened(tmp_path) as (model, server):
        options = CompleteOptions(instruction="Mend it.", max_tokens=9)
        events = [each async for each in model.complete("The mil", options)]
        assert events[0] == Piece(text="The mil")
        assert [each["content"] for each in server.bodies[-1]["messages"]] == ["Mend it.", "The mil"]
        assert server.bodies[-1]["max_tokens"] == 9
        with pytest.raises(InvalidInput, match="must be a text"):
            await anext(model.complete([1], options))


async def test_vectors_come_in_order_and_in_groups(tmp_path: Path) -> None:
    async with opened(tmp_path, options=", 'inputs_per_request:2'") as (model, server):
        made = await model.embed_inputs(["a", "bb", "ccc", [1, 2, 3, 4]], EmbedOptions(prompt=""))
        assert made.vectors[:, 0].tolist() == [1, 2, 3, 4]
        assert made.tokens == (3, 2, 5, 5)
        assert sorted(len(body["input"]) for body in server.bodies[1:]) == [1, 1, 2]
        prompted = await model.embed_inputs(["a"], EmbedOptions(prompt="q: "))
        assert prompted.vectors[0, 0] == 4


async def test_vectors_may_be_base64(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answer:
        assert asked.body["encoding_format"] == "base64"
        data = np.array([3, 4], "<f4").tobytes()
        return Answer(body={"data": [{"embedding": base64.b64encode(data).decode()}] * len(asked.body["input"])})

    async with opened(tmp_path, answer, options=", 'server:vllm'") as (model, _):
        assert (await model.embed_inputs(["a"], EmbedOptions())).vectors.tolist() == [[3, 4]]
        unit = await model.embed_inputs(["a"], EmbedOptions(normalize=True))
        assert unit.vectors[0].tolist() == pytest.approx([0.6, 0.8])


async def test_cut_vectors_get_length_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as (model, _):
        made = await model.embed_inputs(["abc"], EmbedOptions(dimensions=2))
        assert np.linalg.norm(made.vectors[0]) == pytest.approx(1)
        plain = await model.embed_inputs(["abc"], EmbedOptions(dimensions=2, normalize=False))
        assert plain.vectors.tolist() == [[3, 1]]


@pytest.mark.parametrize(
    "options",
    [
        EmbedOptions(dimensions=5),
        EmbedOptions(adapter="x"),
        EmbedOptions(chunking=Chunking()),
        EmbedOptions(pooling="mean"),
        EmbedOptions(truncate_side="left"),
        EmbedOptions(prompt_name="query"),
    ],
)
async def test_what_only_models_here_have_is_refused(options: EmbedOptions, tmp_path: Path) -> None:
    async with opened(tmp_path) as (model, server):
        with pytest.raises(InvalidInput):
            await model.embed_inputs(["a"], options)
        assert len(server.asked) == 1


@pytest.mark.parametrize("item", [[], [-1], [True], [2**40]])
async def test_ids_that_are_none_are_refused(item: list[int], tmp_path: Path) -> None:
    async with opened(tmp_path) as (model, _):
        with pytest.raises(InvalidInput, match="input 1"):
            await model.embed_inputs(["a", item], EmbedOptions())


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        [{"embedding": [1, 2, 3, 4]}] * 2,
        [{"embedding": [1, 2, 3]}],
        [{"embedding": [1, 2, 3, float("nan")]}],
        [{"embedding": "***"}],
        [{"embedding": [[1, 2, 3, 4]]}],
        [{"index": 3, "embedding": [1, 2, 3, 4]}],
        [{"embedding": None}],
        [{}],
        ["x"],
        [None],
        {"embedding": [1, 2, 3, 4]},
        [{"embedding": ["1", "2", "3", "4"]}],
        [{"embedding": [True, True, True, True]}],
        [{"embedding": [1, 2, 3, None]}],
        [{"embedding": [1, 2, 3, 1e300]}],
        [{"embedding": 5}],
        [{"index": "0", "embedding": [1, 2, 3, 4]}],
        [{"index": -1, "embedding": [1, 2, 3, 4]}],
    ],
)
async def test_no_answer_without_good_vectors_is_one(data: Any, tmp_path: Path) -> None:
    async with opened(tmp_path) as (model, server):
        server.script = lambda _: Answer(body={"data": data})
        with pytest.raises(
            ForwardFailed, match=r"(127\.0\.0\.1:\d+|server of m) gave .*(data|embedding|index|of 3 values)"
        ):
            await model.embed_inputs(["a"], EmbedOptions())


async def test_texts_are_ranked_in_their_order(tmp_path: Path) -> None:
    async with opened(tmp_path) as (model, server):
        made = await model.rerank_inputs("q", ["a", "bbb"], RerankOptions())
        assert (made.scores.tolist(), sum(made.tokens)) == ([1, 3], 7)
        assert server.bodies[-1] == {
            "model": "there",
            "query": "q",
            "documents": ["a", "bbb"],
            "top_n": 2,
            "return_documents": False,
        }
        with pytest.raises(InvalidInput, match="instruction"):
            await model.rerank_inputs("q", ["a"], RerankOptions(instruction="x"))


@pytest.mark.parametrize(
    "results",
    [
        None,
        [],
        [{"index": 0, "relevance_score": 1}] * 2,
        [{"index": 2, "relevance_score": 1}],
        [{"index": 0, "relevance_score": 1}, {"index": 1, "relevance_score": "high"}],
        [{"index": 0}, {"index": 1}],
        [{"index": 0, "relevance_score": 1}, {"index": 1, "relevance_score": 1e300}],
        [{"index": "0", "relevance_score": 1}, {"index": 1, "relevance_score": 1}],
        [None, None],
        "all",
    ],
)
async def test_no_answer_without_good_scores_is_one(results: Any, tmp_path: Path) -> None:
    async with opened(tmp_path) as (model, server):
        server.script = lambda _: Answer(body={"results": results})
        with pytest.raises(
            ForwardFailed,
            match=r"127\.0\.0\.1:\d+ (did not give one score in results for each of 2|gave .* its .*(score|index|results) must be)",
        ):
            await model.rerank_inputs("q", ["a", "b"], RerankOptions())


@pytest.mark.parametrize("number", ["1" + "0" * 400, "-1" + "0" * 400, "1e39"])
async def test_numbers_that_no_float_holds_are_an_error(number: str, tmp_path: Path) -> None:
    async with opened(tmp_path) as (model, server):
        body = f'{{"data": [{{"embedding": [1, 2, 3.5, {number}]}}], "results": [{{"index": 0, "score": {number}}}]}}'
        server.script = lambda _: Answer(body=body.encode())
        with pytest.raises(ForwardFailed):
            await model.embed_inputs(["a"], EmbedOptions())
        with pytest.raises(ForwardFailed):
            await model.rerank_inputs("q", ["a"], RerankOptions())


@pytest.mark.parametrize(
    "usage", ["many", [1], {"prompt_tokens": "many"}, {"total_tokens": -1}, {"prompt_tokens": 1e40}]
)
async def test_tokens_that_are_no_number_are_an_error(usage: Any, tmp_path: Path) -> None:
    async with opened(tmp_path) as (model, server):
        results = [{"index": 0, "relevance_score": 1}]
        data = [{"embedding": [1, 2, 3, 4]}]
        server.script = lambda _: Answer(body={"data": data, "results": results, "usage": usage})
        says = r"127\.0\.0\.1:\d+ gave .* its (usage|prompt_tokens|total_tokens) must be"
        with pytest.raises(ForwardFailed, match=says):
            await model.embed_inputs(["a"], EmbedOptions())
        with pytest.raises(ForwardFailed, match=says):
            await model.rerank_inputs("q", ["a"], RerankOptions())


async def test_closing_waits_for_what_is_under_way(tmp_path: Path) -> None:
    began = asyncio.Event()

    def answer(_: Asked) -> Answer:
        began.set()
        return Answer(steps=[chunk(text="a"), Stay()])

    async with opened(tmp_path, answer, usecases="[chat]") as (model, _):
        events = model.chat([Message(role="user", content="hi")], ChatOptions())
        await anext(events)
        closing = asyncio.create_task(asyncio.to_thread(model.close, 30.0))
        done, _pending = await asyncio.wait([closing], timeout=0.1)
        assert not done
        await events.aclose()
        await asyncio.wait_for(closing, 5)
        assert not model.ready


async def test_a_key_is_sent_and_never_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    options = ", 'api_key_env:MILL_API_KEY'"
    async with opened(tmp_path, key="sk-secret", usecases="[chat]", options=options) as (model, server):
        [_ async for _ in model.chat([Message(role="user", content="hi")], ChatOptions())]
        assert server.asked[0].headers["authorization"] == "Bearer sk-secret"
        server.script = lambda _: Answer(status=401, body={"error": {"message": "sk-secret is wrong"}})
        with pytest.raises(Unavailable, match="MILL_API_KEY") as raised:
            await anext(model.chat([Message(role="user", content="hi")], ChatOptions()))
    assert "sk-secret" not in f"{raised.value} {model.info} {caplog.text}"


async def test_a_key_that_is_not_there_is_said_when_the_model_loads(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"OPENAI_API_KEY is not set.*api\.openai\.com.*OPENAI_API_KEY_FILE"):
        open_remote(file_of(tmp_path, "https://api.openai.com/v1", backend="openai"), lambda _: "")


@pytest.mark.parametrize("status", [401, 404, 500])
async def test_a_model_that_cannot_embed_does_not_load(status: int, tmp_path: Path) -> None:
    with pytest.raises(TextmillError, match=r"127\.0\.0\.1:\d+ (?:wants a key|refuses|at|failed)"):
        async with opened(tmp_path, lambda _: Answer(status=status, body={"error": {"message": "no"}})):
            pass


def test_a_key_on_an_open_way_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = file_of(tmp_path, "http://10.0.0.9/v1", usecases="[chat]", options=", 'api_key_env:MILL_API_KEY'")
    open_remote(file, lambda _: "k")
    assert "without TLS" in caplog.text
