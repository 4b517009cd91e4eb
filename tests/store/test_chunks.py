"""Long texts in chunks, on a tiny model: their places, their means, and late chunking."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textmill.contract import Chunking, EmbedOptions
from textmill.errors import InvalidInput
from textmill.store.load import load
from textmill.store.model import Model
from textmill.testing.checkpoints import DenseModule, tiny_bert

LONG = "the river and the stone, hello world; a cat by the water. " * 6
# Whole words of the tiny vocabulary, so that no chunk begins inside one.
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    folder = tiny_bert(tmp_path_factory.mktemp("chunks"), prompts={"query": "search: "})
    with load(str(folder), dtype="float32", threads=1) as opened:
        yield opened


def test_chunks_cover_the_text_and_overlap_as_asked(model: Model) -> None:
    (chunks,) = model.embed_chunks(LONG, window=12, overlap=3)
    assert chunks[0].start == 0
    assert chunks[-1].end == len(LONG.rstrip())
    assert {chunk.tokens for chunk in chunks[:-1]} == {10}
    assert all(after.start < before.end for before, after in itertools.pairwise(chunks))


def test_a_chunk_is_what_its_text_alone_would_be(model: Model) -> None:
    (chunks,) = model.embed_chunks(LONG, window=12)
    alone = model.embed([LONG[chunk.start : chunk.end] for chunk in chunks])
    np.testing.assert_allclose(np.stack([chunk.vector for chunk in chunks]), alone, atol=TOLERANCE)


def test_a_long_text_is_the_mean_of_its_chunks_and_a_short_one_itself(model: Model) -> None:
    plain = model.embed([LONG, "hello"])
    made = model.embed([LONG, "hello"], chunking=Chunking(16, 4))
    (chunks,) = model.embed_chunks(LONG, window=16, overlap=4, normalize=False)
    mean = np.average([c.vector for c in chunks], axis=0, weights=[c.tokens for c in chunks])
    np.testing.assert_allclose(made[0], mean / np.linalg.norm(mean), atol=TOLERANCE)
    np.testing.assert_allclose(made[1], plain[1], atol=TOLERANCE)
    assert np.abs(made[0] - plain[0]).max() > 0.01


async def test_tokens_of_all_chunks_count_and_nothing_is_cut(model: Model) -> None:

    made = await model.embed_inputs(["hello", LONG], EmbedOptions(chunking=Chunking(16)))
    cut = await model.embed_inputs(["hello", LONG], EmbedOptions())
    assert made.truncated == (False, False)
    assert cut.truncated == (False, True)
    assert made.tokens[0] == cut.tokens[0]
    assert made.tokens[1] > 3 * cut.tokens[1]


def test_late_chunks_are_means_of_the_whole_texts_states(model: Model) -> None:
    text = "hello world. the dog house."
    (chunks,) = model.embed_chunks(text, late=True, spans=[[(0, 12), (13, 27)]], normalize=False)
    states = model.embed_tokens(text)[0][1:-1]
    assert [chunk.tokens for chunk in chunks] == [3, 4]
    np.testing.assert_allclose(chunks[0].vector, states[:3].mean(axis=0), atol=TOLERANCE)
    np.testing.assert_allclose(chunks[1].vector, states[3:].mean(axis=0), atol=TOLERANCE)


def test_late_chunks_of_a_text_longer_than_the_model_takes_use_overlapping_windows(model: Model) -> None:
    (late,) = model.embed_chunks(LONG, window=12, late=True)
    (plain,) = model.embed_chunks(LONG, window=12)
    assert [(c.start, c.end, c.tokens) for c in late] == [(c.start, c.end, c.tokens) for c in plain]
    assert all(np.isfinite(chunk.vector).all() for chunk in late)


def test_late_chunking_leaves_room_for_a_long_prompt(model: Model) -> None:
    ((chunk,),) = model.embed_chunks("hello world", late=True, prompt="the " * 26)
    assert (chunk.start, chunk.end, chunk.tokens) == (0, 11, 2)


def test_each_of_many_texts_gets_its_own_late_chunks(model: Model) -> None:
    texts = [f"hello {'the ' * (number % 5)}" for number in range(400)]
    together = asyncio.run(model.aembed_chunks(texts, late=True))
    for text, (chunk,) in zip(texts[:5], together[395:], strict=True):
        ((alone,),) = model.embed_chunks(text, late=True)
        np.testing.assert_allclose(chunk.vector, alone.vector, atol=TOLERANCE)


def test_the_prompt_stands_before_every_chunk(model: Model) -> None:
    (chunks,) = model.embed_chunks(LONG, window=16, prompt_name="query")
    alone = model.embed([LONG[c.start : c.end] for c in chunks], prompt_name="query")
    np.testing.assert_allclose(np.stack([chunk.vector for chunk in chunks]), alone, atol=TOLERANCE)


def test_an_empty_text_is_one_chunk(model: Model) -> None:
    (chunks,) = model.embed_chunks([""])
    assert [(chunk.start, chunk.end, chunk.tokens) for chunk in chunks] == [(0, 0, 0)]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"window": 2}, "takes 3 to 32"),
        ({"window": 33}, "takes 3 to 32"),
        ({"window": 8, "overlap": 6}, "by 0 to 5"),
        ({"spans": [[(0, 2)]]}, "set late as well"),
        ({"late": True, "spans": []}, "spans for 0 inputs, but 1 inputs"),
        ({"late": True, "spans": [[(0, 99)]]}, "the span 0 to 99 is no part of it"),
        ({"late": True, "spans": [[(-1, 3)]]}, "the span -1 to 3 is no part of it"),
        ({"late": True, "spans": [[(3, 3)]]}, "the span 3 to 3 is no part of it"),
        ({"late": True, "spans": 3}, "spans are of type int"),
        ({"late": True, "spans": "a"}, "spans are of type str"),
        ({"late": True, "spans": [(0, 2)]}, "the spans of input 0 must be a list of pairs of whole numbers"),
        ({"late": True, "spans": [None]}, "the spans of input 0 must be"),
        ({"late": True, "spans": [["ab"]]}, "the spans of input 0 must be"),
        ({"late": True, "spans": [[(0, 1.5)]]}, "the spans of input 0 must be"),
        ({"late": True, "spans": [[(0, 2), (3,)]]}, "the spans of input 0 must be"),
        ({"late": True, "spans": [[(0, 1, 2)]]}, "the spans of input 0 must be"),
        ({"late": True, "spans": [[(0, 2**70)]]}, "the spans of input 0 must be"),
        ({"window": "a"}, "window is 'a'; it must be a whole number"),
        ({"overlap": 1.5}, "overlap is 1.5; it must be a whole number"),
        ({"dimensions": True}, "dimensions is True; it must be a whole number"),
    ],
)
def test_chunks_that_cannot_be_made_are_refused(how: dict[str, Any], message: str, model: Model) -> None:
    with pytest.raises(InvalidInput, match=message):
        model.embed_chunks(["hello"], **how)


@pytest.mark.parametrize("spans", [[[(0, 5)]], [[[0, 5]]], np.array([[[0, 5]]]), [np.array([[0, 5]], np.uint8)]])
def test_spans_may_come_in_any_list(spans: Any, model: Model) -> None:
    ((chunk,),) = model.embed_chunks(["hello world"], late=True, spans=spans)
    assert (chunk.start, chunk.end, type(chunk.start)) == (0, 5, int)
    assert model.embed_chunks(["hello"], late=True, spans=[[]]) == [()]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"window": 3}, "input 1 has 10001 chunks; at most 10000 are made of one"),
        ({"window": 3, "late": True}, "input 1 has 10001 chunks; at most 10000 are made of one"),
        (
            {"late": True, "spans": [[], [(0, 1)] * 10_001]},
            "input 1 has 10001 spans; at most 10000 are embedded of one",
        ),
    ],
)
def test_a_text_has_so_many_chunks_and_no_more(how: dict[str, Any], message: str, model: Model) -> None:
    words = ["hello", "the " * 10_001]
    with pytest.raises(InvalidInput, match=message) as told:
        model.embed_chunks(words, **how)
    assert told.value.index == 1
    (chunks,) = model.embed_chunks("the " * 50, late=True, spans=[[(0, 3)] * 10_000])
    assert len(chunks) == 10_000


def test_a_span_without_tokens_is_a_vector_of_zeros(model: Model) -> None:
    (chunks,) = model.embed_chunks("hello   world", late=True, spans=[[(0, 5), (5, 8)]])
    assert [chunk.tokens for chunk in chunks] == [1, 0]
    assert chunks[0].vector.any()
    assert not chunks[1].vector.any()


def test_late_chunking_needs_a_mean_and_nothing_more(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path, modules=(DenseModule(8),))
    with load(str(folder), threads=1) as dense, pytest.raises(InvalidInput, match="the mean of its tokens' states"):
        dense.embed_chunks(["hello"], late=True)


def test_a_prompt_counts_in_no_chunks_weight(model: Model) -> None:
    prompt, how = "the dog house: ", Chunking(16)
    made = model.embed([LONG], prompt=prompt, chunking=how)[0]
    (chunks,) = model.embed_chunks(LONG, window=16, prompt=prompt, normalize=False)
    mean = np.average([c.vector for c in chunks], axis=0, weights=[c.tokens for c in chunks])
    np.testing.assert_allclose(made, mean / np.linalg.norm(mean), atol=TOLERANCE)


def test_what_is_parted_is_not_too_long(model: Model) -> None:
    how = Chunking(16)
    np.testing.assert_array_equal(
        model.embed(LONG, chunking=how, truncate=False), model.embed(LONG, chunking=how, truncate=True)
    )


def test_token_ids_are_not_parted(model: Model) -> None:
    with pytest.raises(InvalidInput, match=r"input 1 has 200 token ids; only texts are parted"):
        model.embed(["hello", [5] * 200], chunking=Chunking(16))


@pytest.mark.parametrize(("sizes", "param"), [({"window": 8}, "window"), ({"overlap": 2}, "overlap")])
def test_spans_and_sizes_of_chunks_do_not_go_together(model: Model, sizes: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidInput, match="spans say what the chunks are") as told:
        model.embed_chunks("hello world", late=True, spans=[[(0, 5)]], **sizes)
    assert told.value.param == param
