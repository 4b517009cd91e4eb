"""The chunks task by itself: which rows it makes of texts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.tasks.conftest import PROFILE, TEXTS

from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import ChunkOptions
from textmill.tasks.chunks import ChunkEmbedder
from textmill.tasks.embed import Embedder


@pytest.mark.parametrize(
    ("options", "adapter"),
    [
        (ChunkOptions(prompt_name="query"), 2),
        (ChunkOptions(kind="query"), 2),
        (ChunkOptions(prompt_name="query", late=True), 2),
        (ChunkOptions(), 1),
    ],
)
def test_chunks_run_with_the_adapter_that_the_prompts_name_names(
    options: ChunkOptions, adapter: int, tokenizer: Tokenizer
) -> None:
    profile = replace(PROFILE, adapters=("passage", "query"), default_adapter="passage")
    embedder = ChunkEmbedder(tokenizer, TEXTS, Embedder(tokenizer, TEXTS, profile), late=True)
    rows = embedder.call(["a text of several words"], options).prepare(["a text of several words"], 0)
    assert {each.row.adapter for each in rows} == {adapter}
