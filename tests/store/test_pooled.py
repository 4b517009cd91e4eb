"""Vectors from token states that are pooled outside the model, and what a model's file says about vectors."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from textmill.checkpoint.tokenizer import Tokenizer
from textmill.config import ModelOptions
from textmill.contract import EmbedDefaults, EmbedOptions, Input
from textmill.engine.engine import Engine, Policy
from textmill.errors import ConfigInvalid, InvalidInput, WrongTask
from textmill.store.load import load, load_model
from textmill.store.model import Model
from textmill.store.pooled import embed_pooled, parts
from textmill.tasks.embed import Embedder, EmbedProfile
from textmill.tasks.line import Line
from textmill.tasks.texts import TextProfile
from textmill.testing.checkpoints import tiny_bert, tiny_qwen3
from textmill.testing.heads import tiny_reranker
from textmill.testing.runtime import FakeRuntime

TEXTS = ["hello world", "", "the river and the stone, hello world; a cat by the water. " * 6, "the dog house"]
ONE = ModelOptions(threads=1, dtype="float32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("pooled"), prompts={"query": "search: "})


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[Model]:
    with load(str(folder), dtype="float32", threads=1) as opened:
        yield opened


@pytest.mark.parametrize("include_prompt", [True, False])
@pytest.mark.parametrize(("own", "asked"), [("mean", "mean"), ("lasttoken", "last")])
async def test_it_is_the_models_own_vector_where_that_is_its_pooling(
    own: str, asked: str, include_prompt: object, tmp_path: Path
) -> None:
    make = tiny_bert if own == "mean" else tiny_qwen3
    path = make(tmp_path / "m", pooling=own, include_prompt=bool(include_prompt), prompts={"query": "search: "})
    with load(str(path), dtype="float32", threads=1) as opened:
        for how in (EmbedOptions(), EmbedOptions(prompt_name="query"), EmbedOptions(dimensions=8, normalize=False)):
            plain = await opened.embed_inputs(TEXTS, how)
            options = EmbedOptions(
                prompt_name=how.prompt_name,
                dimensions=how.dimensions,
                normalize=how.normalize,
                pooling=asked,  # type: ignore[arg-type]  # one of them
            )
            made = await opened.embed_inputs(TEXTS, options)
            np.testing.assert_allclose(made.vectors, plain.vectors, atol=1e-6)
            assert (made.tokens, made.truncated) == (plain.tokens, plain.truncated)


async def test_a_decayed_mean_is_that_of_the_states(model: Model) -> None:
    made = await model.embed_inputs(TEXTS[:1], EmbedOptions(pooling="decayed_mean", half_life=2))
    [states] = model.embed_tokens(TEXTS[:1])
    weights = 2.0 ** (-np.arange(len(states))[::-1] / 2)
    mean = weights @ states / weights.sum()
    np.testing.assert_allclose(made.vectors[0], mean / np.linalg.norm(mean), atol=1e-6)


async def test_parts_are_joined_in_their_order_and_errors_count_from_the_first(folder: Path) -> None:
    runtime = FakeRuntime()
    tokenizer = Tokenizer(folder, vocabulary=1000)
    profile = EmbedProfile(dimensions=4, features=runtime.dimensions)
    texts = TextProfile(prompts={}, default_prompt="", max_tokens=12)
    embedder = Embedder(tokenizer, texts, profile)
    engine = Engine(runtime, Policy(batch_tokens=256), name="fake")
    engine.start()
    try:
        with ThreadPoolExecutor(1) as pool:
            line = Line(engine, pool, 12)
            inputs: list[Input] = ["hello world", "cat", [1, 2, 3], "the dog"]
            options = EmbedOptions(pooling="last", normalize=False)
            made = await embed_pooled(line, embedder, inputs, options, 18, 12)
            whole = await embed_pooled(line, embedder, inputs, options, 10**6, 12)
            np.testing.assert_array_equal(made.vectors, whole.vectors)
            assert (made.tokens, made.truncated) == (whole.tokens, whole.truncated)
            assert made.vectors.shape == (4, runtime.dimensions)
            assert made.timings.inference > 0
            with pytest.raises(InvalidInput, match=r"^input 3 "):
                await embed_pooled(line, embedder, [*inputs[:3], [10**6]], options, 18, 12)
    finally:
        engine.close()


def test_a_part_has_as_many_tokens_as_it_may_or_one_input() -> None:
    assert list(parts(["a" * 100, "b", "c", "d" * 9], 16, 64)) == [(0, 1), (1, 3), (3, 4)]
    assert list(parts(["a"], 1, 64)) == [(0, 1)]


def test_a_model_without_states_says_so(folder: Path, tmp_path: Path) -> None:
    texts = TextProfile(prompts={}, default_prompt="", max_tokens=12)
    embedder = Embedder(Tokenizer(folder, vocabulary=1000), texts, EmbedProfile(dimensions=4))
    with pytest.raises(WrongTask, match="its own pooling is all there is"):
        embedder.call(["a"], EmbedOptions(pooling="mean"))
    with pytest.raises(ConfigInvalid, match="decayed_mean"):
        load_model(str(tiny_reranker(tmp_path / "m")), ONE, defaults=EmbedDefaults(pooling="decayed_mean"))


async def test_what_its_file_says_holds_where_a_call_says_nothing(folder: Path, model: Model) -> None:
    defaults = EmbedDefaults(norm=0, pooling="decayed_mean", half_life=2)
    with load_model(str(folder), ONE, defaults=defaults) as filed:
        made = (await filed.embed_inputs(TEXTS[:1], EmbedOptions())).vectors
        assert np.abs(made).max() == pytest.approx(32_760)
        how = EmbedOptions(pooling="decayed_mean", half_life=2)
        unit = (await model.embed_inputs(TEXTS[:1], how)).vectors
        np.testing.assert_allclose(made / np.linalg.norm(made), unit, atol=1e-6)
        np.testing.assert_allclose(
            (await filed.embed_inputs(TEXTS[:1], EmbedOptions(normalize=True, pooling="own"))).vectors,
            model.embed(TEXTS[:1]),
            atol=1e-6,
        )
        assert (filed.info.pooling, filed.info.fingerprint) != (model.info.pooling, model.info.fingerprint)
        assert filed.info.fingerprint != model.info.fingerprint
