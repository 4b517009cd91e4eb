from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sentence_transformers import CrossEncoder

from textmill.testing.checkpoints import NormalizeModule, tiny_bert
from textmill.testing.heads import tiny_reranker, tiny_splade


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that does not normalise, and has prompts."""
    folder = tmp_path_factory.mktemp("plain") / "tiny"
    return str(tiny_bert(folder, modules=(), prompts={"query": "ask: ", "passage": "tell: "}))


@pytest.fixture(scope="session")
def unit(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model whose files end in normalising."""
    return str(tiny_bert(tmp_path_factory.mktemp("unit") / "tiny", modules=(NormalizeModule(),), seed=3))


@pytest.fixture(scope="session")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Saved by sentence-transformers, with the files of a tokenizer that transformers reads as we do."""
    folder = tmp_path_factory.mktemp("reranker")
    CrossEncoder(str(tiny_reranker(folder / "raw")), device="cpu").save_pretrained(str(folder / "tiny"))
    return str(folder / "tiny")


@pytest.fixture(scope="session")
def splade(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_splade(tmp_path_factory.mktemp("splade") / "tiny"))


class Closing:
    """Makes components, and closes them behind the test."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def __call__(self, kind: Any, **keywords: Any) -> Any:
        self.made.append(kind(**keywords))
        return self.made[-1]


@pytest.fixture
def opened() -> Iterator[Closing]:
    closing = Closing()
    yield closing
    for each in closing.made:
        each.close()
