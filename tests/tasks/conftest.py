from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from textmill.checkpoint.tokenizer import Tokenizer
from textmill.engine.engine import Engine, Policy
from textmill.tasks.embed import Embedder, Profile
from textmill.testing.runtime import FakeRuntime
from textmill.testing.tokenizers import bert_tokenizer

MAX_TOKENS = 12
PROFILE = Profile(
    prompts={"query": "ask: "}, default_prompt="", include_prompt=True, max_tokens=MAX_TOKENS, dimensions=8
)

MakeEmbedder = Callable[..., Embedder]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    made = bert_tokenizer()
    made.save(str(folder / "tokenizer.json"))
    return Tokenizer(folder, vocabulary=made.get_vocab_size())


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


@pytest.fixture
def make_embedder(tokenizer: Tokenizer, runtime: FakeRuntime) -> Iterator[MakeEmbedder]:
    """Makes embedders on the fake runtime; keywords change the profile."""
    engine = Engine(runtime, Policy(batch_tokens=runtime.facts.batch_tokens), name="fake")
    engine.start()
    with ThreadPoolExecutor(1) as pool:
        yield lambda **changes: Embedder(tokenizer, engine, replace(PROFILE, **changes), pool)
    runtime.gate.open()
    engine.close()


@pytest.fixture
def embedder(make_embedder: MakeEmbedder) -> Embedder:
    return make_embedder()
