from __future__ import annotations

from collections.abc import Iterator

import pytest

from textmill.contract import TokenizeOptions
from textmill.errors import EmptyInput, InvalidInput
from textmill.store.load import load
from textmill.store.model import Model


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with load("all-MiniLM-L6-v2") as made:
        yield made


def test_tokens_stand_for_bytes_of_the_text(model: Model) -> None:
    (tokens,) = model.tokenize("naïve mill")

    assert [token.text for token in tokens] == ["[CLS]", "naïve", "mill", "[SEP]"]
    assert [(token.start, token.stop) for token in tokens] == [(None, None), (0, 6), (7, 11), (None, None)]
    assert [token.special for token in tokens] == [True, False, False, True]


def test_places_count_from_the_beginning_of_the_prompt(model: Model) -> None:
    (tokens,) = model.tokenize(["mill"], prompt="é: ", special_tokens=False)

    assert [(token.text, token.start, token.stop) for token in tokens] == [("é", 0, 2), (":", 2, 3), ("mill", 4, 8)]


def test_ids_become_texts_with_or_without_special_tokens(model: Model) -> None:
    ids = [token.id for token in model.tokenize("the mill")[0]]

    assert model.decode([ids]) == ["the mill"]
    assert model.decode([ids], skip_special_tokens=False) == ["[CLS] the mill [SEP]"]
    assert model.decode([]) == []
    assert model.tokenize([]) == []


def test_a_text_is_never_cut_but_may_be_too_long(model: Model) -> None:
    assert len(model.tokenize("mill " * 1000)[0]) == 1002
    with pytest.raises(InvalidInput, match="input 1 has 64001 characters"):
        model.tokenize(["a", "x" * 64001])


def test_ids_of_no_token_are_refused(model: Model) -> None:
    with pytest.raises(InvalidInput, match="input 0 has token id 30522"):
        model.decode([[30522]])
    with pytest.raises(EmptyInput, match="input 1 is an empty list"):
        model.decode([[1], []])


async def test_many_texts_are_read_in_parts_and_counted_through(model: Model) -> None:
    texts = ["word " * 2000] * 5 + ["mill"]
    made = await model.tokenize_inputs(texts, TokenizeOptions())

    assert [len(tokens) for tokens in made] == [2002] * 5 + [3]
    with pytest.raises(InvalidInput, match="input 5 has 64001 characters"):
        await model.tokenize_inputs([*texts[:5], "x" * 64001], TokenizeOptions())


async def test_many_ids_are_decoded_in_parts_and_counted_through(model: Model) -> None:
    [[*tokens]] = [[token.id for token in text] for text in model.tokenize(["the mill"])]
    assert (
        await model.decode_inputs([tokens * 3000] * 3, skip_special_tokens=True)
        == ("the mill " * 2999 + "the mill",) * 3
    )
    with pytest.raises(InvalidInput, match="input 2 has token id 30522"):
        await model.decode_inputs([tokens * 3000, tokens * 3000, [30522]], skip_special_tokens=True)


async def test_more_ids_than_others_can_wait_for_are_refused(model: Model) -> None:
    with pytest.raises(InvalidInput, match="input 1 has 65537 token ids; a server decodes at most 65536"):
        await model.decode_inputs([[1], [1] * 65_537], skip_special_tokens=True)
