from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.providers.llamacpp.conftest import Open

import textmill
from textmill.contract import (
    ChatOptions,
    CompleteOptions,
    EmbedOptions,
    Ended,
    Event,
    Format,
    Message,
    Piece,
    RerankOptions,
    Sampling,
    Spent,
    TokenizeOptions,
)
from textmill.errors import ContextExceeded, EmptyInput, InvalidInput, Overloaded, Unavailable, WrongTask
from textmill.providers.llamacpp.line import Line
from textmill.providers.llamacpp.model import LlamaModel
from textmill.testing.checkpoints import tiny_bert, tiny_qwen3, write_safetensors
from textmill.testing.gguf_encoders import bert_gguf, qwen3_gguf
from textmill.testing.gguf_llama import chain_gguf, endless_gguf, llama_gguf
from textmill.testing.gguf_templates import CHAT
from textmill.testing.heads import tiny_reranker

HI = (Message(role="user", content="hi"),)
TEXT = "Hello, world! All is well."
TEXTS = ["hello world", "The river, and a stone!", "x"]


async def events_of(events: AsyncGenerator[Event, None]) -> list[Event]:
    async with aclosing(events):
        return [event async for event in events]


def text_of(events: list[Event], choice: int = 0) -> str:
    return "".join(event.text for event in events if isinstance(event, Piece) and event.choice == choice)


def spent_of(events: list[Event]) -> Spent:
    assert isinstance(events[-1], Spent)
    return events[-1]


def ends_of(events: list[Event]) -> list[str]:
    return [event.reason for event in events if isinstance(event, Ended)]


async def slots_of(model: LlamaModel) -> list[dict[str, Any]]:
    session = model._llama._session
    assert session is not None
    made: list[dict[str, Any]] = await session.looks.get("/slots")
    return made


@pytest.fixture
def chain(models: Path, opened: Open) -> LlamaModel:
    chain_gguf(models / "chain.gguf", TEXT)
    return opened("chain.gguf")


async def test_a_conversation_goes_on_to_its_end(chain: LlamaModel) -> None:
    events = await events_of(chain.chat(HI, ChatOptions(sampling=Sampling(temperature=0))))

    assert (text_of(events), ends_of(events)) == (TEXT, ["stop"])
    assert spent_of(events).completion_tokens == 13
    assert chain.info.tasks == ("chat", "complete")
    assert (chain.info.runtime, chain.info.architecture, chain.info.max_tokens) == ("llama.cpp", "llama", 4096)
    assert chain.info.template.strip() == CHAT.strip()


async def test_a_prompt_goes_on_to_a_limit_or_a_stop_string(chain: LlamaModel) -> None:
    short = await events_of(chain.complete("x", CompleteOptions(max_tokens=2)))
    stopped = await events_of(chain.complete("x", CompleteOptions(stop=(" world",))))

    assert (text_of(short), ends_of(short), spent_of(short).completion_tokens) == ("Hell", ["length"], 2)
    assert (text_of(stopped), ends_of(stopped)) == ("Hello,", ["stop"])


async def test_a_prompt_of_ids_goes_on(chain: LlamaModel) -> None:
    [tokens] = await chain.tokenize_inputs(["x y"], TokenizeOptions())

    events = await events_of(chain.complete([token.id for token in tokens], CompleteOptions()))

    assert text_of(events) == TEXT
    with pytest.raises(InvalidInput, match="none of this model's"):
        await events_of(chain.complete([10**6], CompleteOptions()))


async def test_several_choices_are_told_apart_also_more_than_there_are_slots(chain: LlamaModel) -> None:
    for n in (3, 9):
        events = await events_of(chain.chat(HI, ChatOptions(n=n)))

        assert [text_of(events, choice) for choice in range(n)] == [TEXT] * n
        assert ends_of(events) == ["stop"] * n
        assert spent_of(events).completion_tokens == 13 * n


async def test_a_shared_beginning_is_computed_once(models: Path, opened: Open) -> None:
    llama_gguf(models / "seeded.gguf")
    model = opened("seeded.gguf")
    beginning = "a prompt that many share, " * 10

    first = spent_of(await events_of(model.complete(beginning + "one", CompleteOptions(max_tokens=1))))
    second = spent_of(await events_of(model.complete(beginning + "two", CompleteOptions(max_tokens=1))))

    assert first.cached == 0
    assert second.cached > 0.9 * second.prompt_tokens
    assert (first.completion_tokens, second.completion_tokens) == (1, 1)


async def test_a_prompt_that_is_too_long_is_refused_with_both_numbers(chain: LlamaModel) -> None:
    with pytest.raises(ContextExceeded, match=r"the prompt has 5000 tokens, and the context .* holds 4096"):
        await events_of(chain.complete("x" * 5000, CompleteOptions()))


async def test_a_conversation_of_very_many_messages_is_refused_before_llama_cpp_hangs_on_it(chain: LlamaModel) -> None:
    with pytest.raises(ContextExceeded, match=r"has 10001 messages, and .* takes 10000"):
        await events_of(chain.chat(HI * 10_001, ChatOptions()))


@pytest.mark.parametrize(
    "format_",
    [
        Format("json_schema", '{"$ref": "#/x/y"}'),
        Format("grammar", "root ::= ("),
    ],
)
async def test_a_format_that_is_none_is_refused_and_leaves_the_others_alone(chain: LlamaModel, format_: Format) -> None:
    with pytest.raises(InvalidInput):
        await events_of(chain.chat(HI, ChatOptions(format=format_)))

    assert text_of(await events_of(chain.chat(HI, ChatOptions()))) == TEXT


async def test_leaving_frees_the_slot(models: Path, opened: Open) -> None:
    endless_gguf(models / "endless.gguf", context=131072)
    model = opened("name: m\nmodel: endless.gguf\ncontext_size: -1\n")
    events = model.chat(HI, ChatOptions())
    await anext(events)
    assert any(slot["is_processing"] for slot in await slots_of(model))

    await events.aclose()

    async with asyncio.timeout(5):
        while any(slot["is_processing"] for slot in await slots_of(model)):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    assert model.waiting == (0, 0)
    assert model._line.under_way == 0


async def test_more_requests_than_slots_all_come_to_their_end(chain: LlamaModel) -> None:
    answers = await asyncio.gather(*(events_of(chain.chat(HI, ChatOptions())) for _ in range(20)))

    assert {text_of(each) for each in answers} == {TEXT}


async def test_a_process_that_is_killed_fails_its_requests_and_the_next_has_a_new_one(
    models: Path, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    endless_gguf(models / "endless.gguf", context=131072)
    model = opened("name: m\nmodel: endless.gguf\ncontext_size: -1\n")
    events = model.chat(HI, ChatOptions())
    await anext(events)
    before = model.pid
    assert before is not None

    os.kill(before, signal.SIGKILL)

    with pytest.raises(Unavailable, match=r"was ended by SIGKILL while it computed; it is started again"):
        await events_of(events)
    again = await events_of(model.chat(HI, ChatOptions(max_tokens=3)))
    assert spent_of(again).completion_tokens == 3
    assert model.pid not in (None, before)
    assert "it is started again" in caplog.text


async def test_requests_have_a_context_each_or_are_told_that_they_share_one(models: Path, opened: Open) -> None:
    endless_gguf(models / "endless.gguf", context=4096)
    own = opened("name: m\nmodel: endless.gguf\n")
    shared = opened("name: m\nmodel: endless.gguf\noptions: [kv_unified:true]\n")
    options = CompleteOptions(max_tokens=3000)  # long enough for all four to be under way together

    made = await asyncio.gather(*(events_of(own.complete("x", options)) for _ in range(4)))
    failed = await asyncio.gather(*(events_of(shared.complete("x", options)) for _ in range(4)), return_exceptions=True)

    assert [spent_of(each).completion_tokens for each in made] == [3000] * 4
    overloaded = [each for each in failed if isinstance(each, Overloaded)]
    assert overloaded, failed
    assert "the context that they share" in str(overloaded[0])


async def test_a_closed_model_is_refused(chain: LlamaModel) -> None:
    chain.close(0.0)

    assert not chain.ready
    with pytest.raises(Unavailable, match="is being unloaded"):
        await events_of(chain.chat(HI, ChatOptions()))


async def test_a_model_that_writes_does_not_embed(chain: LlamaModel) -> None:
    with pytest.raises(WrongTask, match="it can chat, complete"):
        await chain.embed_inputs(["x"], EmbedOptions())


async def test_tokens_are_those_of_the_model(chain: LlamaModel) -> None:
    [tokens, nothing] = await chain.tokenize_inputs(["hey", ""], TokenizeOptions())

    assert [token.text for token in tokens] == ["he", "y"]
    assert nothing == ()
    assert await chain.decode_inputs([[token.id for token in tokens]], skip_special_tokens=False) == ("hey",)
    with pytest.raises(InvalidInput, match="empty list"):
        await chain.decode_inputs([[]], skip_special_tokens=False)
    with pytest.raises(EmptyInput):
        await chain.tokenize_inputs([], TokenizeOptions())


@pytest.mark.parametrize(
    ("tiny", "write", "pooling"),
    [(tiny_bert, bert_gguf, "mean"), (tiny_bert, bert_gguf, "cls"), (tiny_qwen3, qwen3_gguf, "lasttoken")],
)
async def test_vectors_are_those_of_our_own_runtime(
    tiny: Any, write: Any, pooling: str, tmp_path: Path, models: Path, opened: Open
) -> None:
    folder = tiny(tmp_path / "tiny", pooling=pooling)
    write(models / "m.gguf", folder, pooling=pooling)
    model = opened("m.gguf")

    theirs = await model.embed_inputs(TEXTS, EmbedOptions())

    assert (model.info.tasks, model.info.pooling) == (("embed",), pooling)
    with textmill.load(str(folder)) as ours:
        wanted = ours.embed(TEXTS)
        assert (theirs.vectors * wanted).sum(axis=1) == pytest.approx(1, abs=3e-4)
        assert theirs.tokens == (await ours.embed_inputs(TEXTS, EmbedOptions())).tokens


@pytest.fixture
def bert(tmp_path: Path, models: Path, opened: Open) -> LlamaModel:
    bert_gguf(models / "bert.gguf", tiny_bert(tmp_path / "tiny"))
    return opened("bert.gguf")


async def test_vectors_are_cut_and_scaled_as_a_call_says(bert: LlamaModel) -> None:
    [whole] = (await bert.embed_inputs(["hello"], EmbedOptions())).vectors
    [cut] = (await bert.embed_inputs(["hello"], EmbedOptions(dimensions=4))).vectors
    [raw] = (await bert.embed_inputs(["hello"], EmbedOptions(normalize=False))).vectors

    assert np.linalg.norm(whole) == pytest.approx(1)
    assert cut == pytest.approx(whole[:4] / np.linalg.norm(whole[:4]), abs=1e-6)
    assert raw / np.linalg.norm(raw) == pytest.approx(whole, abs=1e-6)
    assert np.linalg.norm(raw) > 1.5
    with pytest.raises(InvalidInput, match="gives 1 to 32"):
        await bert.embed_inputs(["hello"], EmbedOptions(dimensions=33))


async def test_an_empty_prompt_is_refused_however_many_choices_it_has(chain: LlamaModel) -> None:
    for n in (1, 2):
        with pytest.raises(EmptyInput, match="nothing to go on from"):
            await events_of(chain.complete("", CompleteOptions(n=n)))


async def test_a_request_of_more_texts_than_may_wait_is_one_that_waits(bert: LlamaModel) -> None:
    bert._line = Line("bert", slots=1, most=4)
    texts = [f"word {number}" for number in range(40)]
    many = (await bert.embed_inputs(texts, EmbedOptions())).vectors
    assert many[39] == pytest.approx((await bert.embed_inputs(texts[39:], EmbedOptions())).vectors[0], abs=1e-6)


async def test_ids_are_the_models_own(bert: LlamaModel) -> None:
    [tokens] = await bert.tokenize_inputs(["hello world"], TokenizeOptions())
    [of_text, of_ids] = (await bert.embed_inputs(["hello world", [each.id for each in tokens]], EmbedOptions())).vectors

    assert of_ids == pytest.approx(of_text)
    with pytest.raises(InvalidInput, match="check_embedding_ctx_length=False"):
        await bert.embed_inputs([[100000]], EmbedOptions())


async def test_long_texts_are_cut_or_refused(bert: LlamaModel) -> None:
    long = "hello world " * 100
    made = await bert.embed_inputs([long, "x"], EmbedOptions())
    left = await bert.embed_inputs([long + "x"], EmbedOptions(truncate_side="left"))

    assert (made.tokens[0], made.truncated) == (64, (True, False))
    assert not np.allclose(made.vectors[0], left.vectors[0])
    with pytest.raises(InvalidInput, match="input 1 has 202 tokens, but the model takes at most 64"):
        await bert.embed_inputs(["x", long], EmbedOptions(truncate=False))


async def test_vectors_of_tokens_are_pooled_here_where_the_file_says_so(
    tmp_path: Path, models: Path, opened: Open
) -> None:
    folder = tiny_bert(tmp_path / "tiny", pooling="mean")
    bert_gguf(models / "bert.gguf", folder, pooling="mean")
    model = opened("name: m\nmodel: bert.gguf\noptions: [pooling:none]\n")

    [mean] = (await model.embed_inputs(["hello world"], EmbedOptions())).vectors
    [last] = (await model.embed_inputs(["hello world"], EmbedOptions(pooling="last"))).vectors

    with textmill.load(str(folder)) as ours:
        assert mean @ ours.embed(["hello world"])[0] == pytest.approx(1, abs=3e-4)
    assert not np.allclose(mean, last)


async def test_pooling_that_llamacpp_has_done_cannot_be_chosen(bert: LlamaModel) -> None:
    with pytest.raises(InvalidInput, match="add pooling:none"):
        await bert.embed_inputs(["x"], EmbedOptions(pooling="last"))


async def test_many_long_texts_share_the_context(tmp_path: Path, models: Path, opened: Open) -> None:
    qwen3_gguf(models / "q.gguf", tiny_qwen3(tmp_path / "tiny"))
    model = opened("q.gguf")
    texts = [f"{index} " + "hello " * 200 for index in range(24)]

    made = await model.embed_inputs(texts, EmbedOptions())

    [alone] = (await model.embed_inputs(texts[7:8], EmbedOptions())).vectors
    assert made.vectors[7] @ alone == pytest.approx(1, abs=1e-3)
    assert all(made.truncated)


async def test_texts_are_scored_as_by_our_own_runtime(tmp_path: Path, models: Path, opened: Open) -> None:
    folder = tiny_reranker(tmp_path / "tiny")
    tensors = dict(_tensors(folder))
    types = tensors["bert.embeddings.token_type_embeddings.weight"]
    types[1] = types[0]  # llama.cpp gives every token type 0
    write_safetensors(folder / "model.safetensors", tensors)
    bert_gguf(models / "rank.gguf", folder, pooling="rank")
    model = opened("rank.gguf")

    raw = await model.rerank_inputs("hello", TEXTS, RerankOptions(scoring="raw"))
    shares = await model.rerank_inputs("hello", TEXTS, RerankOptions())

    assert model.info.tasks == ("rerank",)
    with textmill.load(str(folder)) as ours:
        wanted = {row.index: row.score for row in ours.rerank("hello", TEXTS, scoring="raw")}
    assert dict(enumerate(raw.scores)) == pytest.approx(wanted, abs=5e-3)
    assert shares.scores == pytest.approx(1 / (1 + np.exp(-raw.scores)), abs=1e-6)
    assert sum(raw.tokens) > 0


async def test_long_texts_are_cut_for_a_query_or_refused(tmp_path: Path, models: Path, opened: Open) -> None:
    bert_gguf(models / "rank.gguf", tiny_reranker(tmp_path / "tiny"), pooling="rank")
    model = opened("rank.gguf")
    long = "hello world " * 100

    made = await model.rerank_inputs("hello", ["x", long], RerankOptions())

    assert made.truncated == (False, True)
    with pytest.raises(InvalidInput, match="text 1 and the query have 205 tokens"):
        await model.rerank_inputs("hello", ["x", long], RerankOptions(truncate=False))
    with pytest.raises(InvalidInput, match="nothing of a text fits"):
        await model.rerank_inputs(long, ["x"], RerankOptions())


def _tensors(folder: Path) -> Any:
    from safetensors.numpy import load_file  # noqa: PLC0415

    return load_file(folder / "model.safetensors")
