"""The embed task, on a fake runtime whose vectors are known."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from tests.tasks.conftest import MAX_TOKENS, TEXTS, Embeds, MakeEmbedder

from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import EmbedOptions, Input
from textmill.errors import EmptyInput, ForwardFailed, InvalidInput
from textmill.runtimes.runtime import Row
from textmill.tasks.line import WINDOW
from textmill.testing.runtime import FakeRuntime, row_of

RAW = EmbedOptions(normalize=False)
LONG = "a " * 50


def row(tokenizer: Tokenizer, text: str) -> Row:
    return Row(tokenizer.encode([text], max_tokens=MAX_TOKENS, truncate=True)[0].ids)


def ids_seen(runtime: FakeRuntime) -> list[list[int]]:
    return [row.ids.tolist() for batch in runtime.batches for row in batch]


@pytest.mark.parametrize("count", [1, 3, WINDOW, WINDOW + 1, 2 * WINDOW + 5])
async def test_vectors_come_in_the_order_of_the_texts(
    embedder: Embeds, runtime: FakeRuntime, tokenizer: Tokenizer, count: int
) -> None:
    texts = [f"text {i}" for i in range(count)]
    expected = [runtime.vector(row(tokenizer, text)) for text in texts]
    assert np.array_equal((await embedder.embed(texts, RAW)).vectors, expected)
    assert np.array_equal(embedder.embed_now(texts, RAW).vectors, expected)


async def test_a_long_text_is_tokenised_off_the_loop_to_the_same_vector(
    embedder: Embeds, runtime: FakeRuntime, tokenizer: Tokenizer
) -> None:
    text = "word " * 3000
    answer = await embedder.embed([text], RAW)
    assert np.array_equal(answer.vectors[0], runtime.vector(row(tokenizer, text)))


def test_vectors_are_scaled_to_unit_length_after_they_are_cut(embedder: Embeds) -> None:
    raw = embedder.embed_now(["one", "two"], RAW).vectors
    cut = embedder.embed_now(["one", "two"], EmbedOptions(dimensions=3)).vectors
    assert cut.shape == (2, 3)
    assert np.allclose(cut, raw[:, :3] / np.linalg.norm(raw[:, :3], axis=1, keepdims=True), atol=1e-6)


def test_a_zero_vector_stays_zero(make_embedder: MakeEmbedder, runtime: FakeRuntime) -> None:
    runtime.spoil = np.zeros_like
    assert not make_embedder().embed_now(["a"], EmbedOptions()).vectors.any()


@pytest.mark.parametrize("dimensions", [0, -1, 9])
def test_dimensions_that_the_model_does_not_have_are_refused(embedder: Embeds, dimensions: int) -> None:
    with pytest.raises(InvalidInput, match="1 to 8") as caught:
        embedder.embed_now(["a"], EmbedOptions(dimensions=dimensions))
    assert caught.value.param == "dimensions"


def test_dimensions_of_the_author_hold_unless_the_call_has_its_own(make_embedder: MakeEmbedder) -> None:
    embedder = make_embedder(default_dimensions=4)
    assert embedder.embed_now(["a"], EmbedOptions()).vectors.shape == (1, 4)
    assert embedder.embed_now(["a"], EmbedOptions(dimensions=8)).vectors.shape == (1, 8)


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        (EmbedOptions(), "hello"),
        (EmbedOptions(prompt_name="query"), "ask: hello"),
        (EmbedOptions(prompt="go: "), "go: hello"),
        (EmbedOptions(prompt="go: ", prompt_name="query"), "go: hello"),
    ],
)
def test_a_prompt_goes_in_front_of_each_text(
    embedder: Embeds, runtime: FakeRuntime, tokenizer: Tokenizer, options: EmbedOptions, seen: str
) -> None:
    embedder.embed_now(["hello"], options)
    assert ids_seen(runtime) == [row(tokenizer, seen).ids.tolist()]


def test_an_empty_prompt_switches_the_default_off(
    make_embedder: MakeEmbedder, runtime: FakeRuntime, tokenizer: Tokenizer
) -> None:
    embedder = make_embedder(replace(TEXTS, default_prompt="ask: "))
    embedder.embed_now(["hello"], EmbedOptions())
    embedder.embed_now(["hello"], EmbedOptions(prompt=""))
    assert ids_seen(runtime) == [row(tokenizer, text).ids.tolist() for text in ("ask: hello", "hello")]


def test_an_unknown_prompt_name_is_refused_with_the_known_ones(embedder: Embeds) -> None:
    with pytest.raises(InvalidInput, match="query") as caught:
        embedder.embed_now(["a"], EmbedOptions(prompt_name="passage"))
    assert caught.value.param == "prompt_name"


def test_prompt_tokens_are_marked_where_pooling_leaves_them_out(
    make_embedder: MakeEmbedder, runtime: FakeRuntime, tokenizer: Tokenizer
) -> None:
    make_embedder(include_prompt=False).embed_now(["hello"], EmbedOptions(prompt="ask: "))
    assert runtime.batches[0][0].prompt_tokens == tokenizer.prompt_tokens("ask: ") > 0


def test_a_cut_at_the_left_takes_the_prompt_first(
    make_embedder: MakeEmbedder, runtime: FakeRuntime, tokenizer: Tokenizer
) -> None:
    options = EmbedOptions(prompt="ask: ", truncate_side="left")
    make_embedder(include_prompt=False).embed_now(["a " * (MAX_TOKENS - 3), LONG], options)
    prompt = tokenizer.prompt_tokens("ask: ")
    cut = prompt + (MAX_TOKENS - 3) + 1 - MAX_TOKENS
    assert [item.prompt_tokens for item in runtime.batches[0]] == [prompt - cut, 0]


def test_a_cut_text_says_so_and_counts_what_was_computed(embedder: Embeds) -> None:
    answer = embedder.embed_now(["a", LONG], EmbedOptions())
    assert answer.truncated == (False, True)
    assert answer.tokens == (3, MAX_TOKENS)


def test_a_text_can_be_cut_at_its_beginning(embedder: Embeds, runtime: FakeRuntime, tokenizer: Tokenizer) -> None:
    embedder.embed_now([LONG + "b"], EmbedOptions(truncate_side="left"))
    assert ids_seen(runtime) == [row(tokenizer, "a " * (MAX_TOKENS - 3) + "b").ids.tolist()]


@pytest.mark.parametrize("inputs", [["a", LONG], ["a", [5] * 50]])
def test_a_long_input_is_refused_where_it_must_not_be_cut(embedder: Embeds, inputs: list[Input]) -> None:
    with pytest.raises(InvalidInput, match=f"input 1 has .* at most {MAX_TOKENS}") as caught:
        embedder.embed_now(inputs, EmbedOptions(truncate=False))
    assert caught.value.index == 1


def test_an_input_in_a_later_window_is_named_by_its_place_in_the_call(embedder: Embeds) -> None:
    with pytest.raises(InvalidInput) as caught:
        embedder.embed_now(["a"] * WINDOW + ["b", "\ud800"], EmbedOptions())
    assert caught.value.index == WINDOW + 1


def test_ids_run_as_they_are_and_may_stand_beside_texts(
    embedder: Embeds, runtime: FakeRuntime, tokenizer: Tokenizer
) -> None:
    vectors = embedder.embed_now([[7, 8], "hello", [9]], RAW).vectors
    expected = [row_of(7, 8), row(tokenizer, "hello"), row_of(9)]
    assert np.array_equal(vectors, [runtime.vector(item) for item in expected])


def test_ids_that_are_too_many_are_cut(embedder: Embeds, runtime: FakeRuntime) -> None:
    ids = list(range(20))
    assert embedder.embed_now([ids], EmbedOptions()).truncated == (True,)
    embedder.embed_now([ids], EmbedOptions(truncate_side="left"))
    assert ids_seen(runtime) == [ids[:MAX_TOKENS], ids[-MAX_TOKENS:]]


def test_a_prompt_goes_in_front_of_the_text_of_ids(
    embedder: Embeds, runtime: FakeRuntime, tokenizer: Tokenizer
) -> None:
    embedder.embed_now([row(tokenizer, "hello").ids.tolist()], EmbedOptions(prompt="ask: "))
    assert ids_seen(runtime) == [row(tokenizer, "ask: hello").ids.tolist()]


def test_ids_of_another_vocabulary_are_refused_with_the_likely_cause(embedder: Embeds) -> None:
    with pytest.raises(InvalidInput, match="check_embedding_ctx_length=False"):
        embedder.embed_now([[15339, 1917, 99999]], EmbedOptions())


@pytest.mark.parametrize("inputs", [[], [[]], ["a", []]])
def test_nothing_to_embed_is_an_error(embedder: Embeds, inputs: list[Input]) -> None:
    with pytest.raises(EmptyInput):
        embedder.embed_now(inputs, EmbedOptions())


def test_an_empty_text_is_embedded(embedder: Embeds) -> None:
    assert embedder.embed_now([""], EmbedOptions()).tokens == (2,)


async def test_a_cancelled_call_withdraws_what_has_not_started(embedder: Embeds, runtime: FakeRuntime) -> None:
    runtime.gate.shut()
    first = asyncio.create_task(embedder.embed(["first"], RAW))
    await asyncio.to_thread(runtime.gate.wait_for_arrival)
    second = asyncio.create_task(embedder.embed(["second"], RAW))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    runtime.gate.open()
    await first
    assert len(ids_seen(runtime)) == 1


def test_a_failure_in_one_window_ends_the_call_and_not_the_engine(
    make_embedder: MakeEmbedder, runtime: FakeRuntime, tokenizer: Tokenizer
) -> None:
    poison = row(tokenizer, "zzz").ids.tolist()
    runtime.fail = lambda item: RuntimeError("boom") if item.ids.tolist() == poison else None
    embedder = make_embedder()
    with pytest.raises(ForwardFailed):
        embedder.embed_now(["a"] * 3 * WINDOW + ["zzz"], RAW)
    assert embedder.embed_now(["a"], RAW).vectors.shape == (1, 8)


async def test_timings_are_measured(embedder: Embeds) -> None:
    timings = (await embedder.embed(["a", "b"], RAW)).timings
    assert timings.tokenize > 0
    assert timings.queue >= 0
    assert timings.inference > 0


async def test_a_sync_call_works_while_a_loop_runs(embedder: Embeds) -> None:
    assert embedder.embed_now(["a"], RAW).vectors.shape == (1, 8)


def test_threads_get_their_own_answers(embedder: Embeds, runtime: FakeRuntime, tokenizer: Tokenizer) -> None:
    texts = [f"text {i}" for i in range(64)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda text: embedder.embed_now([text], RAW).vectors[0], texts))
    assert np.array_equal(answers, [runtime.vector(row(tokenizer, text)) for text in texts])
