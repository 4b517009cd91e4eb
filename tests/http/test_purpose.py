from __future__ import annotations

from collections.abc import Sequence

import pytest

from textmill.contract import Kind
from textmill.errors import InvalidInput
from textmill.http.purpose import WORDS, purpose_of

JINA = ("retrieval.query", "retrieval.passage", "separation", "classification", "text-matching")
NOMIC = ("search_query", "search_document", "classification", "clustering")
GEMMA = ("query", "document", "Retrieval-query", "Retrieval-document", "Classification", "Clustering", "STS")


@pytest.mark.parametrize(
    ("word", "prompts", "found"),
    [
        ("query", JINA, (None, "query")),
        ("document", NOMIC, (None, "document")),
        ("passage", (), (None, "document")),
        ("search_query", NOMIC, ("search_query", None)),
        ("search_query", GEMMA, (None, "query")),
        ("SEARCH_DOCUMENT", NOMIC, ("search_document", None)),
        ("retrieval.query", JINA, ("retrieval.query", None)),
        ("retrieval.query", ("query",), (None, "query")),
        ("RETRIEVAL_DOCUMENT", GEMMA, ("Retrieval-document", None)),
        ("classification", GEMMA, ("Classification", None)),
        ("classification", ("query",), (None, None)),
        ("clustering", JINA, ("separation", None)),
        ("separation", NOMIC, ("clustering", None)),
        ("text-matching", GEMMA, ("STS", None)),
        ("text-matching", JINA, ("text-matching", None)),
        ("SEMANTIC_SIMILARITY", JINA, ("text-matching", None)),
        ("code.query", ("code_query", "query"), ("code_query", None)),
        ("nl2code.passage", (), (None, "document")),
    ],
)
def test_a_word_becomes_the_prompt_for_it_or_a_side(
    word: str, prompts: Sequence[str], found: tuple[str | None, Kind | None]
) -> None:
    for field in ("input_type", "task"):
        given: dict[str, str | None] = {"input_type": None, "task": None, field: word}
        purpose = purpose_of(**given, side=None)
        assert purpose is not None
        assert purpose.options(prompts) == found


def test_two_words_that_agree_have_the_prompts_of_both() -> None:
    both = purpose_of("code.query", "query", None)
    assert both is not None
    assert both.options(["query", "code_query"]) == ("code_query", None)


@pytest.mark.parametrize("nothing", [None, ""])
def test_nothing_said_is_no_purpose(nothing: str | None) -> None:
    assert purpose_of(nothing, nothing, None) is None


def test_every_word_is_known_by_itself() -> None:
    assert all(purpose_of(word.upper(), None, None) for word in WORDS)


@pytest.mark.parametrize("field", ["input_type", "task"])
def test_an_unknown_word_is_refused_with_those_that_are_known(field: str) -> None:
    given: dict[str, str | None] = {"input_type": None, "task": None, field: "querry"}
    with pytest.raises(InvalidInput, match=r"'querry' is not known; it may be one of query, .*text-matching") as caught:
        purpose_of(**given, side=None)
    assert caught.value.param == field


@pytest.mark.parametrize(
    ("input_type", "task", "side"),
    [
        ("document", None, "query"),
        (None, "retrieval.passage", "query"),
        ("query", "retrieval.passage", None),
        ("classification", None, "query"),
        ("classification", "clustering", None),
    ],
)
def test_contradictions_are_refused(input_type: str | None, task: str | None, side: Kind | None) -> None:
    with pytest.raises(InvalidInput, match="contradict"):
        purpose_of(input_type, task, side)


@pytest.mark.parametrize(
    ("input_type", "task", "side", "found"),
    [
        ("search_query", "retrieval.query", "query", ("retrieval.query", None)),
        ("query", "code.query", None, (None, "query")),
        ("separation", "clustering", None, ("separation", None)),
        (None, None, "document", (None, "document")),
    ],
)
def test_what_agrees_may_be_said_several_times(
    input_type: str | None, task: str | None, side: Kind | None, found: tuple[str | None, Kind | None]
) -> None:
    purpose = purpose_of(input_type, task, side)
    assert purpose is not None
    assert purpose.options(JINA) == found
