from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import Embeddings, EmbedOptions, Input
from textmill.engine.engine import Engine, Policy
from textmill.tasks.embed import Embedder, EmbedProfile
from textmill.tasks.line import Line
from textmill.tasks.texts import TextProfile
from textmill.testing.runtime import FakeRuntime
from textmill.testing.tokenizers import bert_tokenizer

MAX_TOKENS = 12
TEXTS = TextProfile(prompts={"query": "ask: "}, default_prompt="", max_tokens=MAX_TOKENS)
PROFILE = EmbedProfile(dimensions=8, include_prompt=True)


class Embeds:
    """The task on its line to an engine, asked in both ways."""

    def __init__(self, line: Line, task: Embedder) -> None:
        self._line = line
        self._task = task

    async def embed(self, inputs: Sequence[Input], options: EmbedOptions) -> Embeddings:
        return await self._line.answer(self._task.call(inputs, options))

    def embed_now(self, inputs: Sequence[Input], options: EmbedOptions) -> Embeddings:
        return self._line.answer_now(self._task.call(inputs, options))


MakeEmbedder = Callable[..., Embeds]


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
    """Makes embedders on the fake runtime; keywords change the profile, ``texts`` that of texts."""
    engine = Engine(runtime, Policy(batch_tokens=runtime.facts.batch_tokens), name="fake")
    engine.start()
    with ThreadPoolExecutor(1) as pool:
        line = Line(engine, pool, MAX_TOKENS)

        def make(texts: TextProfile = TEXTS, **changes: Any) -> Embeds:
            return Embeds(line, Embedder(tokenizer, texts, replace(PROFILE, **changes)))

        yield make
    runtime.gate.open()
    engine.close()


@pytest.fixture
def embedder(make_embedder: MakeEmbedder) -> Embeds:
    return make_embedder()
