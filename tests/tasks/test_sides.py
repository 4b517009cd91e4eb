"""The prompts of the sides of a search, by the names that models give them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import textmill
from textmill.contract import ChunkOptions, EmbedOptions, Kind
from textmill.errors import InvalidInput
from textmill.tasks.sides import named, side_prompt, sided, sided_chunks
from textmill.testing.checkpoints import tiny_bert


@pytest.mark.parametrize(
    ("names", "kind", "expected"),
    [
        (("query", "passage"), "query", "query"),
        (("query", "passage"), "document", "passage"),
        (("corpus", "passage", "document"), "document", "document"),
        (("Retrieval-query", "Retrieval-document", "STS"), "query", "Retrieval-query"),
        (("retrieval.query", "retrieval.passage"), "document", "retrieval.passage"),
        (("search_query", "search_document"), "document", "search_document"),
        (("query",), "document", None),
        ((), "query", None),
    ],
)
def test_a_side_has_the_prompt_that_is_named_for_it(names: tuple[str, ...], kind: Kind, expected: str | None) -> None:
    assert side_prompt(names, kind) == expected


def test_a_purpose_is_found_whatever_its_case_and_the_first_wanted_one_wins() -> None:
    assert named(("Classification", "STS"), "classification") == "Classification"
    assert named(("b", "a"), "a", "b") == "a"
    assert named(("a",), "c") is None


@pytest.mark.parametrize("said", [{"prompt": ""}, {"prompt": "mine: "}, {"prompt_name": "sts"}])
def test_a_prompt_that_is_given_comes_before_the_side(said: dict[str, str]) -> None:
    options = EmbedOptions(kind="query", **said)  # type: ignore[arg-type]
    assert sided(options, ("query", "sts")) == options
    chunks = ChunkOptions(kind="query", **said)  # type: ignore[arg-type]
    assert sided_chunks(chunks, ("query", "sts")) == chunks


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> textmill.Model:
    prompts = {"query": "ask: ", "passage": "read: ", "plain": "plain: "}
    folder = tiny_bert(tmp_path_factory.mktemp("sides"), prompts=prompts, default_prompt_name="plain")
    return textmill.load(str(folder), dtype="float32")


def test_vectors_of_a_side_are_those_of_its_prompt(model: textmill.Model) -> None:
    for kind, prompt in (("query", "ask: "), ("document", "read: "), (None, "plain: ")):
        assert np.array_equal(model.embed("a text", kind=kind), model.embed("a text", prompt=prompt))  # type: ignore[arg-type]


async def test_the_side_counts_on_event_loops_and_in_chunks_too(model: textmill.Model) -> None:
    assert np.array_equal(await model.aembed("a text", kind="query"), model.embed("a text", prompt="ask: "))
    (ours,), (expected,) = (
        model.embed_chunks("a text of words", kind="document"),
        model.embed_chunks("a text of words", prompt="read: "),
    )
    assert np.array_equal(ours[0].vector, expected[0].vector)
    (late,) = await model.aembed_chunks("a text of words", kind="document", late=True)
    (same,) = await model.aembed_chunks("a text of words", prompt="read: ", late=True)
    assert np.array_equal(late[0].vector, same[0].vector)


def test_a_side_that_the_model_has_no_prompt_for_is_as_none(tmp_path: Path) -> None:
    with textmill.load(str(tiny_bert(tmp_path, prompts={"query": "ask: "})), dtype="float32") as model:
        assert np.array_equal(model.embed("a text", kind="document"), model.embed("a text"))


def test_a_side_that_is_none_is_refused(model: textmill.Model) -> None:
    with pytest.raises(InvalidInput, match="kind"):
        model.embed("a text", kind="queries")  # type: ignore[arg-type]
