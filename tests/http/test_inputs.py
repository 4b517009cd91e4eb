"""Token ids in requests: whether they can be the model's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from textmill import load
from textmill.contract import Input, ModelInfo
from textmill.errors import InvalidInput
from textmill.http.inputs import refuse_bare
from textmill.testing.checkpoints import tiny_bert

OPENAIS = [15339, 1917]
"""hello world in cl100k_base."""


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> ModelInfo:
    with load(str(tiny_bert(tmp_path_factory.mktemp("ids"))), dtype="float32") as model:
        return model.info


def test_a_model_tells_the_special_tokens_around_its_texts(tmp_path: Path) -> None:
    with load(str(tiny_bert(tmp_path)), dtype="float32") as model:
        first, *_, last = model.tokenize(["a text"])[0]
        assert model.info.around == (first.id, last.id)


def test_ids_without_special_tokens_are_refused_with_what_to_do(info: ModelInfo) -> None:
    begin, end = info.around
    with pytest.raises(InvalidInput, match="check_embedding_ctx_length=False") as refused:
        refuse_bare(["a text", [begin, 7, end], OPENAIS], info)
    assert refused.value.index == 2
    assert "--token-input cl100k" in str(refused.value)


def test_ids_that_a_special_token_begins_or_ends_pass_and_so_do_texts(info: ModelInfo) -> None:
    begin, end = info.around
    batch: list[Input] = ["a text", "", [begin, 7, end], [begin, 7], [7, end], [begin]]
    refuse_bare(batch, info)


def test_ids_of_a_model_without_special_tokens_pass(info: ModelInfo) -> None:
    refuse_bare([OPENAIS], replace(info, around=()))
